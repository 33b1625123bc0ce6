//! Integers as text: `%d %i %u %x %X %o %B`, `%A` with the literal's suffix, `%O` and `string`.

use super::{Spec, pad_number, plus_sign};

/// An integer of `bits` bits, extended to 64 by its signedness.
pub fn format(value: i64, bits: u8, unsigned: bool, spec: &Spec) -> String {
    let raw = truncated(value, bits);
    let (sign, mut digits) = match spec.conversion {
        'x' => ("", format!("{raw:x}")),
        'X' => ("", format!("{raw:X}")),
        'o' => ("", format!("{raw:o}")),
        'B' | 'b' => ("", format!("{raw:b}")),
        'u' => ("", raw.to_string()),
        _ if unsigned => (plus_sign(spec), raw.to_string()),
        _ if value < 0 => ("-", value.unsigned_abs().to_string()),
        _ => (plus_sign(spec), value.to_string()),
    };
    if spec.conversion == 'A' {
        digits.push_str(suffix(bits, unsigned));
    }
    let Some(precision) = spec.precision else { return pad_number(sign, &digits, true, spec) };
    let missing = usize::from(precision).saturating_sub(digits.len());
    pad_number(sign, &format!("{}{digits}", "0".repeat(missing)), false, spec)
}

/// The value's own bits.
fn truncated(value: i64, bits: u8) -> u64 {
    match bits {
        8 => u64::from(value as u8),
        16 => u64::from(value as u16),
        32 => u64::from(value as u32),
        _ => value as u64,
    }
}

/// What F# writes behind a literal of the type.
fn suffix(bits: u8, unsigned: bool) -> &'static str {
    match (bits, unsigned) {
        (8, false) => "y",
        (8, true) => "uy",
        (16, false) => "s",
        (16, true) => "us",
        (32, false) => "",
        (32, true) => "u",
        (_, false) => "L",
        (_, true) => "UL",
    }
}
