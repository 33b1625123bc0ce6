//! `clef_format_*` of the `printf` family, `format.*`, `parse.*`.

use super::text;
use crate::abi::{Format, Loc, Sequence};
use crate::output::string_bytes;
use crate::start::new_string;
use crate::stop::stop_at;
use crate::text::{self, Spec, Value, parse};
use std::fmt::Display;

fn spec(format: &Format) -> Spec {
    Spec {
        conversion: char::from_u32(format.conversion).unwrap_or('O'),
        width: format.width,
        precision: u16::try_from(format.precision).ok(),
        left: format.flags & 1 != 0,
        zero: format.flags & 2 != 0,
        plus: format.flags & 4 != 0,
        space: format.flags & 8 != 0,
    }
}

fn formatted(value: Value<'_>, format: &Format) -> *mut Sequence {
    new_string(text::format(value, &spec(format)).as_bytes())
}

/// # Safety
/// A static descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_format_int(value: i64, format: *const Format) -> *mut Sequence {
    // SAFETY: the caller's promise.
    let format = unsafe { &*format };
    formatted(Value::Int { value, bits: format.bits, unsigned: format.is_unsigned != 0 }, format)
}

/// # Safety
/// A static descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_format_float(value: f64, format: *const Format) -> *mut Sequence {
    // SAFETY: the caller's promise.
    let format = unsafe { &*format };
    formatted(Value::Float { value, bits: format.bits }, format)
}

/// # Safety
/// A static descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_format_bool(value: bool, format: *const Format) -> *mut Sequence {
    // SAFETY: the caller's promise.
    formatted(Value::Bool(value), unsafe { &*format })
}

/// # Safety
/// A static descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_format_char(value: u32, format: *const Format) -> *mut Sequence {
    let value = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
    // SAFETY: the caller's promise.
    formatted(Value::Char(value), unsafe { &*format })
}

/// # Safety
/// A string object and a static descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_format_string(value: *const Sequence, format: *const Format) -> *mut Sequence {
    // SAFETY: the caller's promise.
    let (value, format) = unsafe { (text(value), &*format) };
    formatted(Value::String(&value), format)
}

/// `Format.floatWith`: a C conversion letter with that many digits.
#[unsafe(no_mangle)]
pub extern "C" fn clef_format_float_with(value: f64, conversion: u32, digits: i32) -> *mut Sequence {
    new_string(text::float_with(value, char::from_u32(conversion).unwrap_or('f'), digits).as_bytes())
}

/// The value, or the end of the program.
fn or_stop<T, E: Display>(result: Result<T, E>, loc: *const Loc) -> T {
    result.unwrap_or_else(|why| stop_at(loc, format_args!("{why}")))
}

/// Defines `clef_parse_*` for one integer type.
macro_rules! parse_int {
    ($($name:ident: $ty:ty, $bits:literal, $unsigned:literal;)*) => {$(
        /// # Safety
        /// A string object and a place.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(s: *const Sequence, loc: *const Loc) -> $ty {
            // SAFETY: the caller's promise.
            or_stop(parse::int(&unsafe { text(s) }, $bits, $unsigned), loc) as $ty
        }
    )*};
}

parse_int! {
    clef_parse_int8: i8, 8, false;
    clef_parse_uint8: u8, 8, true;
    clef_parse_int16: i16, 16, false;
    clef_parse_uint16: u16, 16, true;
    clef_parse_int32: i32, 32, false;
    clef_parse_uint32: u32, 32, true;
    clef_parse_int64: i64, 64, false;
    clef_parse_uint64: u64, 64, true;
}

/// # Safety
/// A string object and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_parse_float64(s: *const Sequence, loc: *const Loc) -> f64 {
    // SAFETY: the caller's promise.
    or_stop(parse::float(&unsafe { text(s) }), loc)
}

/// # Safety
/// A string object and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_parse_float32(s: *const Sequence, loc: *const Loc) -> f32 {
    // SAFETY: the caller's promise.
    or_stop(parse::float32(&unsafe { text(s) }), loc)
}

/// Whether a text is an integer of so many bits; negative: signed.
///
/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_parse_can_int(s: *const Sequence, bits: i32) -> bool {
    // SAFETY: the caller's promise.
    parse::can_int(&unsafe { text(s) }, bits)
}

/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_parse_can_float(s: *const Sequence) -> bool {
    // SAFETY: the caller's promise.
    std::str::from_utf8(unsafe { string_bytes(s) }).is_ok_and(|t| parse::float(t).is_ok())
}
