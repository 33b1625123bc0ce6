//! Operations on strings that the library declares as intrinsics. Positions are in bytes.

/// `count` bytes from `start` on; the error is a text for the user.
pub fn sub(s: &str, start: i32, count: i32) -> Result<&str, String> {
    let outside = || {
        let last = i64::from(start) + i64::from(count);
        format!("the part from {start} to {last} is outside the string, whose length is {}", s.len())
    };
    let from = usize::try_from(start).map_err(|_| outside())?;
    let to = from + usize::try_from(count).map_err(|_| outside())?;
    if to > s.len() {
        return Err(outside());
    }
    s.get(from..to).ok_or_else(|| {
        format!("the part from {from} to {to} begins or ends inside a character of the string")
    })
}

/// The first place at or behind `from` where `part` stands, or -1.
pub fn index_of(s: &str, part: &str, from: i32) -> i32 {
    let from = usize::try_from(from).unwrap_or(0);
    let rest = s.as_bytes().get(from..).unwrap_or_default();
    if from > s.len() {
        return -1;
    }
    // `from` may be inside a character; then no match of whole characters can begin before the next one.
    let ahead = (0..rest.len().min(4)).find(|i| s.is_char_boundary(from + i)).unwrap_or(rest.len());
    match s.get(from + ahead..).and_then(|r| r.find(part)) {
        Some(i) => (from + ahead + i) as i32,
        None => -1,
    }
}

/// The last place where `part` stands, or -1.
pub fn last_index_of(s: &str, part: &str) -> i32 {
    s.rfind(part).map_or(-1, |i| i as i32)
}

/// Without white space, or the characters of `chars`, at the start (bit 0 of `ends`) and the end (bit 1).
pub fn trim<'a>(s: &'a str, ends: i32, chars: &str) -> &'a str {
    let unwanted = |c: char| if chars.is_empty() { c.is_whitespace() } else { chars.contains(c) };
    let s = if ends & 1 != 0 { s.trim_start_matches(unwanted) } else { s };
    if ends & 2 != 0 { s.trim_end_matches(unwanted) } else { s }
}

/// Case by character; a character whose other case is several characters stays.
pub fn upper_char(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(u), None) => u,
        _ => c,
    }
}

/// As [`upper_char`].
pub fn lower_char(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(l), None) => l,
        _ => c,
    }
}

pub fn upper(s: &str) -> String {
    if s.is_ascii() { s.to_ascii_uppercase() } else { s.chars().map(upper_char).collect() }
}

pub fn lower(s: &str) -> String {
    if s.is_ascii() { s.to_ascii_lowercase() } else { s.chars().map(lower_char).collect() }
}

/// Every `old` replaced; an empty `old` is an error with a text for the user.
pub fn replace(s: &str, old: &str, fresh: &str) -> Result<String, String> {
    if old.is_empty() {
        Err("the text to be replaced is empty".to_owned())
    } else {
        Ok(s.replace(old, fresh))
    }
}

/// `s` many times; the error is a text for the user.
pub fn repeat(s: &str, count: i32) -> Result<String, String> {
    let count = usize::try_from(count).map_err(|_| format!("a count is negative: {count}"))?;
    match s.len().checked_mul(count) {
        Some(bytes) if bytes <= i32::MAX as usize => Ok(s.repeat(count)),
        _ => Err(format!("a string of {count} times {} bytes is too long", s.len())),
    }
}

/// Filled up to `width` characters, in front (`left`) or behind.
pub fn pad(s: &str, width: i32, fill: char, left: bool) -> String {
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(s.chars().count());
    let fill: String = std::iter::repeat_n(fill, missing).collect();
    if left { fill + s } else { s.to_owned() + &fill }
}

/// The value of one byte; the error is a text for the user.
pub fn byte(s: &str, index: i32) -> Result<i32, String> {
    let byte = usize::try_from(index).ok().and_then(|i| s.as_bytes().get(i));
    byte.map(|&b| i32::from(b))
        .ok_or_else(|| format!("index {index} is out of range: the length is {}", s.len()))
}

/// `s.[index]`: a byte that is a character of its own; the error is a text for the user.
pub fn ascii_at(s: &str, index: i32) -> Result<char, String> {
    match byte(s, index)? {
        b @ 0..=127 => Ok(char::from(b as u8)),
        _ => Err(format!("the byte at index {index} is part of a longer character")),
    }
}

/// The hash of a string's bytes (FNV-1a, folded).
pub fn hash(bytes: &[u8]) -> i32 {
    let code = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    (code ^ (code >> 32)) as i32
}
