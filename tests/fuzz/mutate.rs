//! How programs are changed: by bytes, tokens, lines, and by repeating parts of themselves many times.

use super::corpus::Corpus;
use clef_tests::random::Random;

/// Longest text that changes may make, in bytes.
const LONGEST: usize = 60_000;

/// Characters that lexers stumble over.
const ODD: [&str; 18] = [
    "\"", "'", "\\", "(*", "*)", "//", "\"\"\"", "$\"", "{", "\t", "\r\n", "\u{feff}", "\0", "é", "𝄞", "``",
    "#if", "@\"",
];

/// Things to nest: what opens, and what closes.
const NESTS: [(&str, &str); 16] = [
    ("(", ")"),
    ("[", "]"),
    ("{| A = ", " |}"),
    ("if true then ", " else 0"),
    ("fun x -> ", ""),
    ("let y = ", " in y"),
    ("match 1 with _ -> ", ""),
    ("Some (", ")"),
    ("1 + ", ""),
    ("not ", ""),
    ("-", ""),
    ("1 :: ", ""),
    ("lazy (", ")"),
    ("seq { yield ", " }"),
    ("$\"{", "}\""),
    ("f ", ""),
];

/// A changed program.
pub fn mutated(corpus: &Corpus, random: &mut Random) -> String {
    let mut text = random.pick(&corpus.programs).clone();
    // Few changes leave more of the program meaningful.
    let changes = 1 + random.below(4).min(random.below(8));
    for _ in 0..changes {
        text = change(corpus, &text, random);
    }
    if text.len() > LONGEST {
        let mut end = LONGEST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

fn change(corpus: &Corpus, text: &str, random: &mut Random) -> String {
    match random.below(20) {
        0 => bytes(text, random),
        1 | 2 => lines(text, random),
        3 => {
            let other = random.pick::<String>(&corpus.programs).as_str();
            splice(text, other, random)
        }
        4 => nest(text, random),
        5 => indent(text, random),
        6..=8 => replace_token(text, random, |random, _| random.pick(&corpus.tokens).clone()),
        9..=14 => replace_token(text, random, |random, old| alike(corpus, random, old)),
        15 => repeat_token(text, random),
        _ => move_token(text, random),
    }
}

/// Words, numbers, texts, operators, blanks: enough to change programs by.
pub fn tokens(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        _ if c.is_alphanumeric() || c == '_' || c == '\'' => 0,
        ' ' => 1,
        '\n' => 2,
        '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '"' => 3,
        _ => 4,
    };
    let mut out = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        let now = kind(c);
        if at > start && (last != Some(now) || now == 3) {
            out.push(&text[start..at]);
            start = at;
        }
        last = Some(now);
    }
    if start < text.len() {
        out.push(&text[start..]);
    }
    out
}

/// Another token of the same sort, so that the program may still mean something.
fn alike(corpus: &Corpus, random: &mut Random, old: &str) -> String {
    let sort = |t: &str| match t.chars().next() {
        Some(c) if c.is_ascii_digit() => 0,
        Some(c) if c.is_uppercase() => 1,
        Some(c) if c.is_alphabetic() => 2,
        _ => 3,
    };
    let edges = [
        "0",
        "1",
        "2147483647",
        "2147483648",
        "9223372036854775807L",
        "255uy",
        "256uy",
        "1e308",
        "1e999",
        "0x7f",
        "3.5f",
    ];
    if sort(old) == 0 && random.chance(50) {
        return (*random.pick(&edges)).into();
    }
    for _ in 0..20 {
        let new = random.pick(&corpus.tokens);
        if sort(new) == sort(old) {
            return new.clone();
        }
    }
    old.to_owned()
}

fn bytes(text: &str, random: &mut Random) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..random.between(1, 6) {
        let at = random.below(chars.len() + 1);
        match random.below(3) {
            0 if at < chars.len() => drop(chars.remove(at)),
            1 if at < chars.len() => chars[at] = char::from(random.between(1, 126) as u8),
            _ => {
                let odd: Vec<char> = random.pick(&ODD).chars().collect();
                chars.splice(at..at, odd);
            }
        }
    }
    chars.into_iter().collect()
}

fn lines(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    if lines.is_empty() {
        return "\n".into();
    }
    let (a, b) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(4) {
        0 => drop(lines.remove(a)),
        1 => lines.insert(b, lines[a]),
        2 => lines.swap(a, b),
        _ => lines.truncate(a),
    }
    lines.concat()
}

fn indent(text: &str, random: &mut Random) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let from = random.below(lines.len().max(1));
    let count = random.between(1, 4);
    let by = random.between(1, 5);
    let less = random.chance(50);
    let shift = |(n, line): (usize, &&str)| {
        if n < from || n >= from + count {
            (*line).to_owned()
        } else if less {
            line.chars().enumerate().skip_while(|(i, c)| *i < by && *c == ' ').map(|(_, c)| c).collect()
        } else {
            " ".repeat(by) + line
        }
    };
    lines.iter().enumerate().map(shift).collect()
}

fn splice(text: &str, other: &str, random: &mut Random) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) =
        (text.split_inclusive('\n').collect(), other.split_inclusive('\n').collect());
    let (i, j) = (random.below(a.len() + 1), random.below(b.len() + 1));
    let end = (j + random.between(1, 8)).min(b.len());
    [&a[..i], &b[j..end], &a[i..]].concat().concat()
}

/// Something deep in the place of a token.
fn nest(text: &str, random: &mut Random) -> String {
    let (open, close) = *random.pick(&NESTS);
    let depth = *random.pick(&[3, 30, 300, 399, 401, 3000]);
    let deep =
        if random.chance(85) { open.repeat(depth) + "x" + &close.repeat(depth) } else { open.repeat(depth) };
    replace_token(text, random, |_, _| deep.clone())
}

fn replace_token(text: &str, random: &mut Random, with: impl Fn(&mut Random, &str) -> String) -> String {
    let tokens = tokens(text);
    for _ in 0..20 {
        let at = random.below(tokens.len().max(1));
        if let Some(old) = tokens.get(at).filter(|t| !t.trim().is_empty()) {
            let new = with(random, old);
            return tokens[..at].concat() + &new + &tokens[at + 1..].concat();
        }
    }
    text.to_owned()
}

fn repeat_token(text: &str, random: &mut Random) -> String {
    let tokens = tokens(text);
    let at = random.below(tokens.len().max(1));
    let end = (at + random.between(1, 6)).min(tokens.len());
    let Some(part) = tokens.get(at..end) else { return text.to_owned() };
    let times = *random.pick(&[2, 3, 20, 500]);
    tokens[..at].concat() + &part.concat().repeat(times) + &tokens[end..].concat()
}

fn move_token(text: &str, random: &mut Random) -> String {
    let mut tokens = tokens(text);
    if tokens.is_empty() {
        return "let".into();
    }
    let (a, b) = (random.below(tokens.len()), random.below(tokens.len()));
    match random.below(3) {
        0 => drop(tokens.remove(a)),
        1 => tokens.swap(a, b),
        _ => tokens.insert(b, tokens[a]),
    }
    tokens.concat()
}
