//! The C functions behind the library's intrinsics: `[<Intrinsic("string.trim")>]` is `clef_string_trim`.
//!
//! Arguments are borrowed, results are given. The work is done in [`crate::text`], which the interpreter shares; here
//! are objects, files, standard input and the ways to stop. Each function takes the trailing place only if it can stop.

pub mod convert;
pub mod files;
pub mod strings;

#[cfg(test)]
mod tests;

use crate::abi::{Header, Sequence};
use crate::{memory, output};
use std::borrow::Cow;

/// The text of a string object; what is not UTF-8 (only foreign code can make it) shows as U+FFFD.
///
/// # Safety
/// `s` is a string object that outlives `'a`.
unsafe fn text<'a>(s: *const Sequence) -> Cow<'a, str> {
    // SAFETY: the caller's promise.
    String::from_utf8_lossy(unsafe { output::string_bytes(s) })
}

/// The elements of an array object.
///
/// # Safety
/// `array` is an array of `T` that outlives `'a`, and nobody writes to it.
unsafe fn elements<'a, T>(array: *const Sequence) -> &'a [T] {
    // SAFETY: the caller's promise; elements begin behind the head.
    unsafe { std::slice::from_raw_parts(array.add(1).cast(), (*array).len.max(0) as usize) }
}

/// A new array object with one reference.
fn new_array<T: Copy>(items: &[T]) -> *mut Sequence {
    let bytes = size_of::<Sequence>() + size_of_val(items);
    let array = memory::clef_alloc(bytes as i64).cast::<Sequence>();
    // SAFETY: fresh memory of that size.
    unsafe {
        array.write(Sequence { header: Header { count: 1, tag: 0 }, len: items.len() as i64 });
        std::ptr::copy_nonoverlapping(items.as_ptr(), array.add(1).cast(), items.len());
    }
    array
}
