//! Code objects for the chips of a program, made beside its host code: a second back end runs at the same time, with a
//! thread for each chip, and each chip's object is linked on a thread of its own.

use crate::backend::{self, Failure};
use crate::chips::Chip;
use crate::link;
use clef_psg::job::{Job, Want};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Instant;

/// The kernels of a program for one chip.
pub struct CodeObject {
    /// The instruction set, by the name that agents have for it.
    pub isa: String,
    /// An ELF file for AMD's chips, text for NVIDIA's.
    pub bytes: Vec<u8>,
}

#[derive(Default)]
pub struct Made {
    /// In the order of [`Chip::ALL`]; none where no kernel is dispatched to a GPU.
    pub objects: Vec<CodeObject>,
    pub micros: u64,
    pub timings: Vec<(String, u64)>,
}

/// Work that has begun.
pub struct Task(JoinHandle<Result<Made, Failure>>);

impl Task {
    /// Begins to make the code objects of `job.options.chips`.
    pub fn start(job: &Job) -> Self {
        let job = Job { want: Want::Device, ..job.clone() };
        Self(std::thread::spawn(move || make(&job)))
    }

    /// Waits for the end.
    pub fn finish(self) -> Result<Made, Failure> {
        self.0.join().unwrap_or_else(|_| Err(bug("making the code objects panicked")))
    }
}

fn bug(text: &str) -> Failure {
    Failure::Bug(crate::stages::Bug(text.to_owned()))
}

fn make(job: &Job) -> Result<Made, Failure> {
    let start = Instant::now();
    let answer = backend::run(job)?;
    // Kernels without a form for a GPU are refused with the program's own code, which has the same ones.
    let folder = link::Scratch::new().map_err(Failure::User)?;
    let linked: Vec<_> = std::thread::scope(|scope| {
        let one = |(name, bytes): &'_ (String, Vec<u8>)| {
            let (name, bytes, folder) = (name.clone(), bytes.clone(), &folder);
            scope.spawn(move || link_one(&name, bytes, folder))
        };
        let threads: Vec<_> = answer.files.iter().map(one).collect();
        let end = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(bug("linking a code object panicked")))
        };
        threads.into_iter().map(end).collect()
    });
    Ok(Made {
        objects: linked.into_iter().collect::<Result<_, _>>()?,
        micros: start.elapsed().as_micros() as u64,
        timings: answer.timings,
    })
}

/// A file `kernels.CHIP.ENDING` of the back end.
fn link_one(name: &str, bytes: Vec<u8>, folder: &link::Scratch) -> Result<CodeObject, Failure> {
    let path = Path::new(name);
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let chip = Chip::ALL.into_iter().find(|chip| stem.strip_prefix("kernels.") == Some(chip.name()));
    let chip = chip.ok_or_else(|| bug("the back end made a file for an unknown chip"))?;
    let bytes = match path.extension().and_then(|e| e.to_str()) {
        Some("o") => link::link_object(&bytes, folder, stem).map_err(Failure::User)?,
        _ => bytes,
    };
    Ok(CodeObject { isa: chip.isa(), bytes })
}
