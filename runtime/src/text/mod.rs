//! Values to text and text to values: one implementation for compiled programs and for the interpreter.
//!
//! - [`format()`], [`int`], [`float`]: the `printf` family and `string`.
//! - [`parse`]: `int "12"` and its kin.
//! - [`strings`]: the operations on strings that the library declares as intrinsics.
//!
//! Numbers follow C's `printf` to the byte where F# gives the same number of digits, and .NET where C has no form
//! (`Infinity`, shortest round-trip). All functions are pure; bad input gives an error with a text for the user.

pub mod float;
pub mod int;
pub mod parse;
pub mod strings;

#[cfg(test)]
mod tests;

/// How a value is to be written: `%-08.3f`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    pub conversion: char,
    pub width: u16,
    pub precision: Option<u16>,
    pub left: bool,
    pub zero: bool,
    pub plus: bool,
    pub space: bool,
}

impl Spec {
    /// A conversion without flags.
    pub const fn plain(conversion: char) -> Self {
        Self { conversion, width: 0, precision: None, left: false, zero: false, plus: false, space: false }
    }
}

/// What is formatted, as far as text is concerned.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Extended to 64 bits by its signedness.
    Int {
        value: i64,
        bits: u8,
        unsigned: bool,
    },
    Float {
        value: f64,
        bits: u8,
    },
    Bool(bool),
    Char(char),
    String(&'a str),
}

/// A value as text.
pub fn format(value: Value<'_>, spec: &Spec) -> String {
    match value {
        Value::Int { value, bits, unsigned } => int::format(value, bits, unsigned, spec),
        Value::Float { value, bits } => float::format(value, bits, spec),
        Value::Bool(b) => pad(if b { "true" } else { "false" }.to_owned(), spec),
        Value::Char(c) if spec.conversion == 'A' => pad(quoted_char(c), spec),
        Value::Char(c) => pad(c.to_string(), spec),
        Value::String(s) if spec.conversion == 'A' => pad(format!("\"{s}\""), spec),
        Value::String(s) => pad(s.to_owned(), spec),
    }
}

/// A float by a C conversion letter with that many digits (0 to 400).
pub fn float_with(value: f64, conversion: char, digits: i32) -> String {
    let digits = digits.clamp(0, 400) as u16;
    float::format(value, 64, &Spec { precision: Some(digits), ..Spec::plain(conversion) })
}

fn quoted_char(c: char) -> String {
    match c {
        '\n' => "'\\n'".to_owned(),
        '\t' => "'\\t'".to_owned(),
        '\r' => "'\\r'".to_owned(),
        '\0' => "'\\000'".to_owned(),
        '\\' => "'\\\\'".to_owned(),
        '\'' => "'\\''".to_owned(),
        c => format!("'{c}'"),
    }
}

/// Fills up with blanks to the width.
fn pad(text: String, spec: &Spec) -> String {
    let width = usize::from(spec.width);
    let have = text.chars().count();
    if have >= width {
        return text;
    }
    let blanks = " ".repeat(width - have);
    if spec.left { text + &blanks } else { blanks + &text }
}

/// Puts sign and digits together, filled up with zeros or blanks to the width.
fn pad_number(sign: &str, digits: &str, zeros: bool, spec: &Spec) -> String {
    let width = usize::from(spec.width);
    let have = sign.len() + digits.len();
    if zeros && spec.zero && !spec.left && have < width {
        return format!("{sign}{}{digits}", "0".repeat(width - have));
    }
    pad(format!("{sign}{digits}"), spec)
}

/// The sign of a number that is not negative.
fn plus_sign(spec: &Spec) -> &'static str {
    match (spec.plus, spec.space) {
        (true, _) => "+",
        (false, true) => " ",
        (false, false) => "",
    }
}
