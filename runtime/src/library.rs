//! Foreign libraries that are loaded when they are first needed (`load = "runtime"` in a project file).
//!
//! Compiled code asks for a symbol once and keeps the address. A library is opened once for each symbol asked for, which
//! the system counts and answers quickly; it is never closed. What cannot be loaded stops the program with the place of
//! the call, the library, the symbol and what to install. No thread other than the caller's waits for it.

use crate::abi::Loc;
use crate::stop::stop_at;
use std::ffi::{CStr, c_char, c_void};

/// The address of `symbol` of the foreign library `library`, which is in the first of `files` that opens.
///
/// # Safety
/// `library`, `files`, `symbol` and `package` are texts that end with a NUL. `files` are separated by line breaks;
/// `package` may be empty.
#[cold]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_library_symbol(
    library: *const c_char,
    files: *const c_char,
    symbol: *const c_char,
    package: *const c_char,
    loc: *const Loc,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    let text = |p: *const c_char| unsafe { CStr::from_ptr(p) }.to_string_lossy().into_owned();
    let (library, name, package) = (text(library), text(symbol), text(package));
    let mut reasons = Vec::new();
    for file in text(files).split('\n') {
        let Ok(path) = std::ffi::CString::new(file) else { continue };
        // SAFETY: the path is a NUL-terminated text. The library's own initialisers are the program's affair.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        if handle.is_null() {
            reasons.push(last_error());
            continue;
        }
        // SAFETY: the handle is open, the symbol a NUL-terminated text.
        let address = unsafe { libc::dlsym(handle, symbol) };
        if address.is_null() {
            let install = install(&package);
            stop_at(
                loc,
                format_args!(
                    "`{name}` is not in the library `{library}` ({file}): another version is needed{install}"
                ),
            );
        }
        return address;
    }
    let (why, install) = (reasons.join("; "), install(&package));
    stop_at(
        loc,
        format_args!("the library `{library}` is needed for `{name}` and cannot be loaded: {why}{install}"),
    )
}

fn install(package: &str) -> String {
    if package.is_empty() { String::new() } else { format!("; install {package}") }
}

fn last_error() -> String {
    // SAFETY: the text is valid until the next call of the dl functions on this thread.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "no reason given".into();
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
