//! `string.*` and `char.*`.

use super::{elements, new_array, text};
use crate::abi::{Header, Loc, Sequence};
use crate::memory;
use crate::output::string_bytes;
use crate::start::new_string;
use crate::stop::{clef_panic_bounds, stop_at};
use crate::text::strings;
use std::ptr;

/// A string of `len` bytes, not yet written but for its end.
fn blank_string(len: usize) -> *mut Sequence {
    let s = memory::clef_alloc((size_of::<Sequence>() + len + 1) as i64).cast::<Sequence>();
    // SAFETY: fresh memory of that size.
    unsafe {
        s.write(Sequence { header: Header { count: 1, tag: 0 }, len: len as i64 });
        s.add(1).cast::<u8>().add(len).write(0);
    }
    s
}

/// The concatenation of `n` strings.
///
/// # Safety
/// `parts` are `n` string objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_concat(n: i64, parts: *const *const Sequence) -> *mut Sequence {
    // SAFETY: the caller's promise.
    unsafe { join(b"", std::slice::from_raw_parts(parts, n.max(0) as usize)) }
}

/// The concatenation of `s`, whose reference is taken, and `n` more strings. Grows `s` in place if that was its only
/// reference, so that a text that is built piece by piece takes linear time.
///
/// # Safety
/// `s` is a string object, and `parts` are `n` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_append(
    s: *mut Sequence,
    n: i64,
    parts: *const *const Sequence,
) -> *mut Sequence {
    // SAFETY: the caller's promise. Nobody else has an object whose only reference was given here: no part is `s`.
    unsafe {
        let parts = std::slice::from_raw_parts(parts, n.max(0) as usize);
        let count = (*s).header.count;
        let old = string_bytes(s).len();
        let more: usize = parts.iter().map(|p| string_bytes(*p).len()).sum();
        if count == 1 {
            let head = size_of::<Sequence>() + 1;
            let grown = memory::clef_grow(s.cast(), (head + old) as i64, (head + old + more) as i64);
            let s = grown.cast::<Sequence>();
            let start = s.add(1).cast::<u8>();
            let mut at = start.add(old);
            for part in parts {
                let bytes = string_bytes(*part);
                ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len());
                at = at.add(bytes.len());
            }
            at.write(0);
            (*s).len = (old + more) as i64;
            return s;
        }
        let joined = blank_string(old + more);
        let mut at = joined.add(1).cast::<u8>();
        for bytes in std::iter::once(string_bytes(s)).chain(parts.iter().map(|p| string_bytes(*p))) {
            ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len());
            at = at.add(bytes.len());
        }
        if count > 1 {
            (*s).header.count = count - 1;
        }
        joined
    }
}

/// # Safety
/// `parts` are string objects.
unsafe fn join(separator: &[u8], parts: &[*const Sequence]) -> *mut Sequence {
    // SAFETY: the caller's promise.
    let lengths: usize = parts.iter().map(|p| unsafe { string_bytes(*p) }.len()).sum();
    let s = blank_string(lengths + separator.len() * parts.len().saturating_sub(1));
    // SAFETY: the parts and separators fit what was just counted.
    unsafe {
        let mut at = s.add(1).cast::<u8>();
        let mut put = |bytes: &[u8]| {
            ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len());
            at = at.add(bytes.len());
        };
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                put(separator);
            }
            put(string_bytes(*part));
        }
    }
    s
}

/// # Safety
/// String objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_eq(a: *const Sequence, b: *const Sequence) -> bool {
    // SAFETY: the caller's promise.
    ptr::eq(a, b) || unsafe { string_bytes(a) == string_bytes(b) }
}

/// Ordinal comparison: -1, 0 or 1.
///
/// # Safety
/// String objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_compare(a: *const Sequence, b: *const Sequence) -> i32 {
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (string_bytes(a), string_bytes(b)) };
    // Most texts differ early, or are short: words of eight bytes cost less than a call of `memcmp`.
    let common = a.len().min(b.len());
    let mut at = 0;
    while at + 8 <= common {
        let (x, y) = (word(a, at), word(b, at));
        if x != y {
            return if x < y { -1 } else { 1 };
        }
        at += 8;
    }
    let (x, y) = (last_word(&a[at..common]), last_word(&b[at..common]));
    x.cmp(&y).then(a.len().cmp(&b.len())) as i32
}

/// Eight bytes as a number that orders as they do.
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// Less than eight bytes as a number that orders as they do, among those of the same length.
fn last_word(bytes: &[u8]) -> u64 {
    let half = |at: usize| {
        bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes) as u64
    };
    match bytes {
        [] => 0,
        [a] => u64::from(*a),
        [a, b] => u64::from(*a) << 8 | u64::from(*b),
        [a, b, c] => u64::from(*a) << 16 | u64::from(*b) << 8 | u64::from(*c),
        // The halves overlap in bytes that are equal if the first halves are.
        _ => half(0) << 32 | half(bytes.len() - 4),
    }
}

/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_hash(s: *const Sequence) -> i32 {
    // SAFETY: the caller's promise.
    strings::hash(unsafe { string_bytes(s) })
}

/// # Safety
/// A string object and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_sub(
    s: *const Sequence,
    start: i32,
    count: i32,
    loc: *const Loc,
) -> *mut Sequence {
    // SAFETY: the caller's promise.
    match strings::sub(&unsafe { text(s) }, start, count) {
        Ok(part) => new_string(part.as_bytes()),
        Err(why) => stop_at(loc, format_args!("{why}")),
    }
}

/// # Safety
/// String objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_index_of(s: *const Sequence, part: *const Sequence, from: i32) -> i32 {
    // SAFETY: the caller's promise.
    strings::index_of(&unsafe { text(s) }, &unsafe { text(part) }, from)
}

/// # Safety
/// String objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_last_index_of(s: *const Sequence, part: *const Sequence) -> i32 {
    // SAFETY: the caller's promise.
    strings::last_index_of(&unsafe { text(s) }, &unsafe { text(part) })
}

/// # Safety
/// String objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_starts_with(s: *const Sequence, part: *const Sequence) -> bool {
    // SAFETY: the caller's promise.
    unsafe { string_bytes(s).starts_with(string_bytes(part)) }
}

/// # Safety
/// String objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_ends_with(s: *const Sequence, part: *const Sequence) -> bool {
    // SAFETY: the caller's promise.
    unsafe { string_bytes(s).ends_with(string_bytes(part)) }
}

/// # Safety
/// String objects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_trim(
    s: *const Sequence,
    ends: i32,
    chars: *const Sequence,
) -> *mut Sequence {
    // SAFETY: the caller's promise.
    new_string(strings::trim(&unsafe { text(s) }, ends, &unsafe { text(chars) }).as_bytes())
}

/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_to_upper(s: *const Sequence) -> *mut Sequence {
    // SAFETY: the caller's promise.
    new_string(strings::upper(&unsafe { text(s) }).as_bytes())
}

/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_to_lower(s: *const Sequence) -> *mut Sequence {
    // SAFETY: the caller's promise.
    new_string(strings::lower(&unsafe { text(s) }).as_bytes())
}

/// # Safety
/// String objects and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_replace(
    s: *const Sequence,
    old: *const Sequence,
    fresh: *const Sequence,
    loc: *const Loc,
) -> *mut Sequence {
    // SAFETY: the caller's promise.
    let result = unsafe { strings::replace(&text(s), &text(old), &text(fresh)) };
    match result {
        Ok(replaced) => new_string(replaced.as_bytes()),
        Err(why) => stop_at(loc, format_args!("{why}")),
    }
}

/// # Safety
/// A string object and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_repeat(
    s: *const Sequence,
    count: i32,
    loc: *const Loc,
) -> *mut Sequence {
    // SAFETY: the caller's promise.
    match strings::repeat(&unsafe { text(s) }, count) {
        Ok(repeated) => new_string(repeated.as_bytes()),
        Err(why) => stop_at(loc, format_args!("{why}")),
    }
}

/// # Safety
/// A string object and an array of strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_join(
    separator: *const Sequence,
    parts: *const Sequence,
) -> *mut Sequence {
    // SAFETY: the caller's promise.
    unsafe { join(string_bytes(separator), elements::<*const Sequence>(parts)) }
}

/// # Safety
/// An array of characters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_of_chars(chars: *const Sequence) -> *mut Sequence {
    // SAFETY: the caller's promise.
    let scalars = unsafe { elements::<u32>(chars) };
    let text: String =
        scalars.iter().map(|&c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    new_string(text.as_bytes())
}

/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_runes(s: *const Sequence) -> *mut Sequence {
    // SAFETY: the caller's promise.
    let chars: Vec<char> = unsafe { text(s) }.chars().collect();
    new_array(&chars)
}

/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_to_bytes(s: *const Sequence) -> *mut Sequence {
    // SAFETY: the caller's promise.
    new_array(unsafe { string_bytes(s) })
}

/// # Safety
/// An array of bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_of_bytes(bytes: *const Sequence) -> *mut Sequence {
    // SAFETY: the caller's promise.
    new_string(String::from_utf8_lossy(unsafe { elements::<u8>(bytes) }).as_bytes())
}

/// # Safety
/// A string object and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_byte(s: *const Sequence, index: i32, loc: *const Loc) -> i32 {
    // SAFETY: the caller's promise.
    let bytes = unsafe { string_bytes(s) };
    match usize::try_from(index).ok().and_then(|i| bytes.get(i)) {
        Some(&b) => i32::from(b),
        None => clef_panic_bounds(i64::from(index), bytes.len() as i64, loc),
    }
}

/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_pad_left(s: *const Sequence, width: i32, fill: u32) -> *mut Sequence {
    // SAFETY: the caller's promise.
    new_string(strings::pad(&unsafe { text(s) }, width, scalar(fill), true).as_bytes())
}

/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_string_pad_right(s: *const Sequence, width: i32, fill: u32) -> *mut Sequence {
    // SAFETY: the caller's promise.
    new_string(strings::pad(&unsafe { text(s) }, width, scalar(fill), false).as_bytes())
}

fn scalar(c: u32) -> char {
    char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[unsafe(no_mangle)]
pub extern "C" fn clef_char_is_letter(c: u32) -> bool {
    scalar(c).is_alphabetic()
}

#[unsafe(no_mangle)]
pub extern "C" fn clef_char_is_upper(c: u32) -> bool {
    scalar(c).is_uppercase()
}

#[unsafe(no_mangle)]
pub extern "C" fn clef_char_is_lower(c: u32) -> bool {
    scalar(c).is_lowercase()
}

#[unsafe(no_mangle)]
pub extern "C" fn clef_char_is_white_space(c: u32) -> bool {
    scalar(c).is_whitespace()
}

#[unsafe(no_mangle)]
pub extern "C" fn clef_char_to_upper(c: u32) -> u32 {
    u32::from(strings::upper_char(scalar(c)))
}

#[unsafe(no_mangle)]
pub extern "C" fn clef_char_to_lower(c: u32) -> u32 {
    u32::from(strings::lower_char(scalar(c)))
}
