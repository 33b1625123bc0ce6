//! The types of generated programs, and their values' literals.

use crate::random::Random;

/// A type of a generated program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ty {
    /// An index into [`INTS`].
    Int(usize),
    Float,
    Float32,
    /// `float<m>`.
    Metres,
    Bool,
    Char,
    Str,
    Tuple(Vec<Ty>),
    List(Box<Ty>),
    Array(Box<Ty>),
    Opt(Box<Ty>),
    /// The program's records and unions by number.
    Record(usize),
    Union(usize),
    /// Generic types of the prelude.
    Tree(Box<Ty>),
    Duo(Box<Ty>, Box<Ty>),
    Fun(Box<Ty>, Box<Ty>),
}

pub const INT: Ty = Ty::Int(0);

/// Name, suffix of literals, bits, signed.
pub const INTS: [(&str, &str, u32, bool); 8] = [
    ("int", "", 32, true),
    ("int64", "L", 64, true),
    ("byte", "uy", 8, false),
    ("sbyte", "y", 8, true),
    ("int16", "s", 16, true),
    ("uint16", "us", 16, false),
    ("uint32", "u", 32, false),
    ("uint64", "UL", 64, false),
];

impl Ty {
    pub fn text(&self) -> String {
        match self {
            Ty::Int(n) => INTS[*n].0.into(),
            Ty::Float => "float".into(),
            Ty::Float32 => "float32".into(),
            Ty::Metres => "float<m>".into(),
            Ty::Bool => "bool".into(),
            Ty::Char => "char".into(),
            Ty::Str => "string".into(),
            Ty::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(Ty::text).collect();
                format!("({})", parts.join(" * "))
            }
            Ty::List(of) => format!("{} list", of.text()),
            Ty::Array(of) => format!("{}[]", of.text()),
            Ty::Opt(of) => format!("{} option", of.text()),
            Ty::Record(n) => format!("Rec{n}"),
            Ty::Union(n) => format!("Uni{n}"),
            Ty::Tree(of) => format!("Tree<{}>", of.text()),
            Ty::Duo(a, b) => format!("Duo<{}, {}>", a.text(), b.text()),
            Ty::Fun(a, b) => format!("({} -> {})", a.text(), b.text()),
        }
    }

    /// The format that shows a value of the type.
    pub fn format(&self, random: &mut Random) -> &'static str {
        match self {
            Ty::Int(_) => *random.pick(&["%d", "%d", "%5d", "%-6d|", "%x", "%A"]),
            Ty::Float => *random.pick(&["%g", "%.3f", "%e", "%A", "%f", "%10.2f"]),
            Ty::Float32 => *random.pick(&["%g", "%.3f"]),
            Ty::Bool => "%b",
            Ty::Char => "%c",
            Ty::Str => *random.pick(&["%s", "%s", "%8s", "%A"]),
            _ => "%A",
        }
    }
}

/// A type for a field, a parameter or a result; `users` are the numbers of records and unions so far.
pub fn any(random: &mut Random, users: (usize, usize), depth: usize) -> Ty {
    if depth == 0 || random.chance(55) {
        return scalar(random);
    }
    let of = |random: &mut Random| Box::new(any(random, users, depth - 1));
    match random.below(12) {
        0 | 1 => Ty::List(of(random)),
        2 => Ty::Array(of(random)),
        3 | 4 => Ty::Opt(of(random)),
        5 => Ty::Tuple((0..random.between(2, 3)).map(|_| any(random, users, depth - 1)).collect()),
        6 => Ty::Tree(Box::new(scalar(random))),
        7 => Ty::Duo(of(random), of(random)),
        8 | 9 if users.0 > 0 => Ty::Record(random.below(users.0)),
        10 | 11 if users.1 > 0 => Ty::Union(random.below(users.1)),
        _ => scalar(random),
    }
}

pub fn scalar(random: &mut Random) -> Ty {
    match random.below(16) {
        0..=5 => INT,
        6 | 7 => Ty::Int(random.below(INTS.len())),
        8 | 9 => Ty::Float,
        10 => Ty::Float32,
        11 => Ty::Metres,
        12 => Ty::Bool,
        13 => Ty::Char,
        _ => Ty::Str,
    }
}

/// A literal of a scalar type.
pub fn literal(random: &mut Random, ty: &Ty) -> Option<String> {
    Some(match ty {
        Ty::Int(n) => int(random, *n),
        Ty::Float => float(random),
        Ty::Float32 => format!("{}f", float(random).replace("e10", "e3")).replace(")f", "f)"),
        Ty::Metres => {
            let text = float(random);
            if text.ends_with(')') { text.replace(')', "<m>)") } else { text + "<m>" }
        }
        Ty::Bool => random.chance(50).to_string(),
        Ty::Char => format!("'{}'", random.pick(&['a', 'b', 'Z', '0', ' ', '+', 'q'])),
        Ty::Str => format!("\"{}\"", random.pick(&["", "a", "ab", "clef", "x y", "12", "Zed,q", "-", "tab  "])),
        _ => return None,
    })
}

fn int(random: &mut Random, kind: usize) -> String {
    let (_, suffix, bits, signed) = INTS[kind];
    let small = random.below(10);
    if small < 7 {
        return format!("{}{suffix}", random.below(if small < 3 { 4 } else { 100 }));
    }
    let top = u64::MAX >> (64 - bits);
    match (random.below(4), signed) {
        (0, true) => format!("{}{suffix}", top >> 1),
        (0, false) => format!("{top}{suffix}"),
        (1, true) => format!("(-{}{suffix})", top >> 1),
        (2, true) => format!("(-{}{suffix})", random.between(1, 100)),
        (_, true) => format!("{}{suffix}", random.draw() & (top >> 1)),
        (_, false) => format!("{}{suffix}", random.draw() & top),
    }
}

fn float(random: &mut Random) -> String {
    match random.below(8) {
        0 => "0.0".into(),
        1 => "1.0".into(),
        2 => format!("(-{}.5)", random.below(50)),
        3 => format!("{}.25e10", random.below(9)),
        4 => "0.1".into(),
        _ => format!("{}.{}", random.below(100), random.below(100)),
    }
}
