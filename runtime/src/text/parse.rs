//! Numbers from text, as F#'s `int`, `float` and their kin read them.
//!
//! Integers: blanks around, a sign, decimal digits, or `0x`, `0o`, `0b` and digits (these may use all bits of a signed
//! type). Floats: what F# writes, `Infinity` and `NaN` in any case.

/// Why a text is no number of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    text: String,
    /// The type's name.
    ty: &'static str,
    too_large: bool,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { text, ty, too_large } = self;
        let shown: String = text.chars().take(60).collect();
        let dots = if shown.len() < text.len() { "..." } else { "" };
        if *too_large {
            write!(f, "the text \"{shown}{dots}\" is a number outside the range of {ty}")
        } else {
            write!(f, "the text \"{shown}{dots}\" is not a number of type {ty}")
        }
    }
}

/// An integer of `bits` bits, extended to 64 by its signedness.
pub fn int(text: &str, bits: u8, unsigned: bool) -> Result<i64, ParseError> {
    let error = |too_large| ParseError { text: text.to_owned(), ty: int_name(bits, unsigned), too_large };
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let (radix, digits) = radix(digits);
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(error(false));
    }
    let magnitude = u128::from_str_radix(digits, radix).map_err(|_| error(true))?;
    let all = if unsigned || radix != 10 { 1_u128 << bits } else { 1_u128 << (bits - 1) };
    if negative {
        let least = if unsigned { 0 } else { 1_u128 << (bits - 1) };
        if magnitude > least {
            return Err(error(true));
        }
        return Ok((magnitude as i128).wrapping_neg() as i64);
    }
    if magnitude >= all {
        return Err(error(true));
    }
    Ok(extended(magnitude as u64, bits, unsigned))
}

/// Whether a text is an integer of so many bits; negative: signed.
pub fn can_int(text: &str, bits: i32) -> bool {
    int(text, bits.unsigned_abs().min(64) as u8, bits > 0).is_ok()
}

fn radix(digits: &str) -> (u32, &str) {
    for (lower, upper, radix) in [("0x", "0X", 16), ("0o", "0O", 8), ("0b", "0B", 2)] {
        if let Some(rest) = digits.strip_prefix(lower).or_else(|| digits.strip_prefix(upper)) {
            return (radix, rest);
        }
    }
    (10, digits)
}

fn extended(value: u64, bits: u8, unsigned: bool) -> i64 {
    match (bits, unsigned) {
        (8, false) => i64::from(value as i8),
        (16, false) => i64::from(value as i16),
        (32, false) => i64::from(value as i32),
        _ => value as i64,
    }
}

fn int_name(bits: u8, unsigned: bool) -> &'static str {
    match (bits, unsigned) {
        (8, false) => "sbyte",
        (8, true) => "byte",
        (16, false) => "int16",
        (16, true) => "uint16",
        (32, false) => "int",
        (32, true) => "uint32",
        (_, false) => "int64",
        (_, true) => "uint64",
    }
}

/// A 64-bit float.
pub fn float(text: &str) -> Result<f64, ParseError> {
    let trimmed = text.trim();
    let bare = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let named = bare.eq_ignore_ascii_case("infinity") || bare.eq_ignore_ascii_case("nan");
    let plain = bare.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let error = || ParseError { text: text.to_owned(), ty: "float", too_large: false };
    if named || plain { trimmed.parse().map_err(|_| error()) } else { Err(error()) }
}

/// A 32-bit float, rounded once.
pub fn float32(text: &str) -> Result<f32, ParseError> {
    float(text).map_err(|e| ParseError { ty: "float32", ..e })?;
    text.trim().parse().map_err(|_| ParseError { text: text.to_owned(), ty: "float32", too_large: false })
}
