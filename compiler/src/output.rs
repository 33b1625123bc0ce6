//! Exit codes, writing results whole or not at all, and the report of a compiler bug.

use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The program that was compiled has errors.
pub const ERRORS: u8 = 1;
/// The command line, a file or the machine is not as it must be.
pub const USAGE: u8 = 2;
/// A bug in the compiler.
pub const BUG: u8 = 101;

/// Tells the user that the compiler itself is wrong, and what to send.
pub fn bug(what: &str) {
    eprintln!("clefc: bug in the compiler: {what}");
    eprintln!(
        "  this is not an error of your program; please report it with the source file, the command line"
    );
    eprintln!("  and this version: clefc {}", env!("CARGO_PKG_VERSION"));
}

/// Writes to standard output; a closed pipe is not an error.
pub fn stdout(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// A file that appears under its name only when it is complete.
pub struct Pending {
    temporary: PathBuf,
    target: PathBuf,
    done: bool,
}

impl Pending {
    /// Checks that the target can be written and chooses a temporary name beside it.
    pub fn new(target: &Path) -> Result<Self, Diagnostic> {
        if target.is_dir() {
            let text = format!("the output `{}` is a folder", target.display());
            return Err(Diagnostic::without_place(codes::UNWRITABLE, text).help("name a file with `-o`"));
        }
        let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = target.with_file_name(format!(".{name}.{}.part", std::process::id()));
        match fs::File::create(&temporary) {
            Ok(_) => Ok(Self { temporary, target: target.to_owned(), done: false }),
            Err(error) => Err(cannot_write(target, &error)),
        }
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    pub fn commit(mut self) -> Result<(), Diagnostic> {
        fs::rename(&self.temporary, &self.target).map_err(|error| cannot_write(&self.target, &error))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            // Best effort: the half-written file is ours alone.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Writes a whole file or nothing.
pub fn write_file(target: &Path, bytes: &[u8]) -> Result<(), Diagnostic> {
    let pending = Pending::new(target)?;
    fs::write(pending.path(), bytes).map_err(|error| cannot_write(target, &error))?;
    pending.commit()
}

fn cannot_write(target: &Path, error: &io::Error) -> Diagnostic {
    let text = format!("cannot write `{}`: {}", target.display(), reason(error));
    Diagnostic::without_place(codes::UNWRITABLE, text)
        .help("check that the folder exists and that you may write there")
}

/// The system's reason in plain words, without its error number.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_owned()
        }
    }
}
