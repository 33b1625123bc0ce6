//! One compilation's files: read from disk, numbered, kept for rendering diagnostics.

use crate::output::reason;
use crate::project::Project;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::parse;
use clef_frontend::span::{FileId, SourceFile};
use std::fs;
use std::path::Path;

/// Largest source file accepted, in bytes: offsets are 32 bits and trees are several times the text.
const LARGEST: u64 = 64 << 20;

/// The files of a compilation: user files first, in order, then the library files that they need.
#[derive(Default)]
pub struct Session {
    pub files: Vec<SourceFile>,
    /// How many of the files are the user's.
    pub user_files: usize,
}

impl Session {
    /// Reads the user's files. A file that cannot be used is reported and stands as an empty one.
    pub fn load(project: &Project) -> (Self, Vec<Diagnostic>) {
        let mut session = Session::default();
        let mut diagnostics = Vec::new();
        for (path, shown) in &project.sources {
            let id = FileId(session.files.len() as u32);
            let text = read(path).and_then(|bytes| match parse::bytes_to_text(id, &bytes) {
                Ok(text) => Ok(text.to_owned()),
                Err(diagnostic) => {
                    // The place is shown in a lossy copy; the file is not used further.
                    session.files.push(SourceFile::new(shown.clone(), String::from_utf8_lossy(&bytes)));
                    Err(diagnostic)
                }
            });
            match text {
                Ok(text) => session.files.push(SourceFile::new(shown.clone(), text)),
                Err(diagnostic) => {
                    diagnostics.push(diagnostic);
                    if session.files.len() == id.0 as usize {
                        session.files.push(SourceFile::new(shown.clone(), ""));
                    }
                }
            }
        }
        session.user_files = session.files.len();
        (session, diagnostics)
    }

    pub fn add(&mut self, file: SourceFile) -> FileId {
        self.files.push(file);
        FileId(self.files.len() as u32 - 1)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let unreadable = |why: String| {
        Diagnostic::without_place(codes::UNREADABLE, format!("cannot read `{}`: {why}", path.display()))
    };
    let meta = fs::metadata(path).map_err(|e| {
        if e.kind() == std::io::ErrorKind::NotFound {
            let text = format!("there is no file `{}`", path.display());
            Diagnostic::without_place(codes::NO_SUCH_FILE, text)
        } else {
            unreadable(reason(&e))
        }
    })?;
    if meta.is_dir() {
        return Err(unreadable("it is a folder".to_owned()));
    }
    if meta.len() > LARGEST {
        let text = format!(
            "`{}` has {} MiB; a source file may have {}",
            path.display(),
            meta.len() >> 20,
            LARGEST >> 20
        );
        return Err(Diagnostic::without_place(codes::TOO_LARGE, text)
            .help("split it into several files of a project"));
    }
    let bytes = fs::read(path).map_err(|e| unreadable(reason(&e)))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unreadable(format!("it holds more than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}
