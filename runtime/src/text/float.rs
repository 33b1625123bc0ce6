//! Floating-point numbers as text.
//!
//! - `%f %e %g` (`%F %E %G`): as C's `printf`, exact decimal expansion, ties to even; `NaN` and `Infinity` as .NET.
//! - `string`, `%O`, `%s`: the shortest digits that read back as the same value, in .NET's layout: `1.5`, `1`, `1E+16`.
//! - `%A`: ten digits, `1.0`, `0.3`, and `f` behind `float32`, as F#.

use super::{Spec, pad, pad_number, plus_sign};

/// A number of `bits` bits, widened to `f64`.
pub fn format(value: f64, bits: u8, spec: &Spec) -> String {
    match spec.conversion {
        'A' => return pad(any(value, bits), spec),
        'O' | 's' => return pad(shortest(value, bits), spec),
        _ => {}
    }
    let sign = if value.is_sign_negative() && !value.is_nan() { "-" } else { plus_sign(spec) };
    if !value.is_finite() {
        return pad_number(sign, if value.is_nan() { "NaN" } else { "Infinity" }, false, spec);
    }
    let magnitude = value.abs();
    let precision = usize::from(spec.precision.unwrap_or(6));
    let digits = match spec.conversion {
        'e' => exponential(magnitude, precision),
        'E' => exponential(magnitude, precision).to_uppercase(),
        'g' => general(magnitude, precision),
        'G' => general(magnitude, precision).to_uppercase(),
        _ => format!("{magnitude:.precision$}"),
    };
    pad_number(sign, &digits, true, spec)
}

/// `1.500000e+00`: digits behind the point as asked for, two or three digits of exponent.
fn exponential(magnitude: f64, precision: usize) -> String {
    let (digits, exponent) = scientific(magnitude, precision);
    format!("{digits}{}", exponent_text('e', exponent))
}

/// `d.ddd` with `precision` digits behind the point, and the decimal exponent.
fn scientific(magnitude: f64, precision: usize) -> (String, i32) {
    let text = format!("{magnitude:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.to_owned(), exponent.parse().unwrap_or(0))
}

fn exponent_text(letter: char, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{letter}{sign}{:02}", exponent.unsigned_abs())
}

/// C's `%g`: `precision` significant digits, no zeros at the end, exponent form where the exponent is less than -4 or
/// not less than the precision.
fn general(magnitude: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let (digits, exponent) = scientific(magnitude, precision - 1);
    if exponent < -4 || exponent >= precision as i32 {
        return format!("{}{}", without_zeros(&digits), exponent_text('e', exponent));
    }
    let behind = (precision as i32 - 1 - exponent).max(0) as usize;
    without_zeros(&format!("{magnitude:.behind$}")).to_owned()
}

fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// F#'s `%A`.
fn any(value: f64, bits: u8) -> String {
    let single = if bits == 32 { "f" } else { "" };
    if value.is_nan() {
        return format!("nan{single}");
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}infinity{single}");
    }
    let digits = general(value.abs(), 10);
    let point = if digits.contains(['.', 'e']) { "" } else { ".0" };
    format!("{sign}{digits}{point}{single}")
}

/// The shortest text that reads back as the same number of that width, in .NET's layout.
pub fn shortest(value: f64, bits: u8) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}Infinity");
    }
    let magnitude = value.abs();
    // `{:e}` without a precision gives the shortest digits.
    let (text, plain) =
        if bits <= 32 { (format!("{:e}", magnitude as f32), 7) } else { (format!("{magnitude:e}"), 15) };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    // .NET: digits in front of the point as long as they are no more than the number has, or 15 (7).
    let places = exponent + 1;
    if magnitude != 0.0 && (places > (digits.len() as i32).max(plain) || places < -4 + 1) {
        return format!("{sign}{mantissa}{}", exponent_text('E', exponent));
    }
    format!("{sign}{}", positional(&digits, exponent))
}

/// `digits` with the point behind the first `exponent + 1` of them.
fn positional(digits: &str, exponent: i32) -> String {
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let places = exponent as usize + 1;
    if digits.len() <= places {
        return format!("{digits}{}", "0".repeat(places - digits.len()));
    }
    format!("{}.{}", &digits[..places], &digits[places..])
}
