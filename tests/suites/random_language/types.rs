//! The types of generated programs: their text, what can be done with them, and literals.
//!
//! A program's records and unions are in [`Types`]; a type refers to them by number. `Param` is a type parameter of
//! the definition or function that is being written; values of it come from what is in scope only.

use clef_tests::random::Random;

/// A type of a generated program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ty {
    /// An index into [`INTS`].
    Int(usize),
    Float,
    Float32,
    /// `float<m>`.
    Metres,
    /// `int<kg>`.
    Kilos,
    Bool,
    Char,
    Str,
    /// The enum of the prelude.
    Colour,
    Tuple(Vec<Ty>),
    List(Box<Ty>),
    Array(Box<Ty>),
    Opt(Box<Ty>),
    Res(Box<Ty>, Box<Ty>),
    Map(Box<Ty>, Box<Ty>),
    Set(Box<Ty>),
    /// The program's records and unions by number, with their type arguments.
    Record(usize, Vec<Ty>),
    Union(usize, Vec<Ty>),
    Fun(Vec<Ty>, Box<Ty>),
    Param(usize),
}

pub const INT: Ty = Ty::Int(0);

/// Name, suffix of literals, bits, signed.
pub const INTS: [(&str, &str, u32, bool); 10] = [
    ("int", "", 32, true),
    ("int64", "L", 64, true),
    ("byte", "uy", 8, false),
    ("sbyte", "y", 8, true),
    ("int16", "s", 16, true),
    ("uint16", "us", 16, false),
    ("uint32", "u", 32, false),
    ("uint64", "UL", 64, false),
    ("nativeint", "n", 64, true),
    ("unativeint", "un", 64, false),
];

/// A field of a record.
pub struct Field {
    pub name: String,
    pub ty: Ty,
    pub mutable: bool,
}

pub struct RecordDef {
    pub name: String,
    pub params: usize,
    pub fields: Vec<Field>,
    /// Members without parameters, and their types.
    pub members: Vec<(String, Ty)>,
}

pub struct Case {
    pub name: String,
    pub fields: Vec<Ty>,
}

/// The first case of a union never mentions the union itself.
pub struct UnionDef {
    pub name: String,
    pub params: usize,
    pub cases: Vec<Case>,
    pub members: Vec<(String, Ty)>,
}

/// The definitions of one program.
#[derive(Default)]
pub struct Types {
    pub records: Vec<RecordDef>,
    pub unions: Vec<UnionDef>,
}

impl Types {
    pub fn text(&self, ty: &Ty) -> String {
        let of = |list: &[Ty]| list.iter().map(|t| self.text(t)).collect::<Vec<_>>();
        let applied = |name: &str, args: &[Ty]| match args {
            [] => name.to_owned(),
            args => format!("{name}<{}>", of(args).join(", ")),
        };
        match ty {
            Ty::Int(n) => INTS[*n].0.into(),
            Ty::Float => "float".into(),
            Ty::Float32 => "float32".into(),
            Ty::Metres => "float<m>".into(),
            Ty::Kilos => "int<kg>".into(),
            Ty::Bool => "bool".into(),
            Ty::Char => "char".into(),
            Ty::Str => "string".into(),
            Ty::Colour => "Colour".into(),
            Ty::Tuple(parts) => format!("({})", of(parts).join(" * ")),
            Ty::List(item) => format!("{} list", self.text(item)),
            Ty::Array(item) => format!("{}[]", self.text(item)),
            Ty::Opt(item) => format!("{} option", self.text(item)),
            Ty::Res(a, b) => format!("Result<{}, {}>", self.text(a), self.text(b)),
            Ty::Map(a, b) => format!("Map<{}, {}>", self.text(a), self.text(b)),
            Ty::Set(item) => format!("Set<{}>", self.text(item)),
            Ty::Record(n, args) => applied(&self.records[*n].name, args),
            Ty::Union(n, args) => applied(&self.unions[*n].name, args),
            Ty::Fun(from, to) => format!("({} -> {})", of(from).join(" -> "), self.text(to)),
            Ty::Param(n) => format!("'{}", ["a", "b"][*n]),
        }
    }

    /// Whether values can be compared and shown: nothing in them is a function or of an unknown type.
    pub fn plain(&self, ty: &Ty) -> bool {
        match ty {
            Ty::Fun(..) | Ty::Param(_) => false,
            Ty::Tuple(parts) => parts.iter().all(|p| self.plain(p)),
            Ty::List(a) | Ty::Array(a) | Ty::Opt(a) | Ty::Set(a) => self.plain(a),
            Ty::Res(a, b) | Ty::Map(a, b) => self.plain(a) && self.plain(b),
            Ty::Record(n, args) => {
                args.iter().all(|a| self.plain(a))
                    && self.records[*n].fields.iter().all(|f| self.plain(&f.ty) || mentions(&f.ty))
            }
            Ty::Union(_, args) => args.iter().all(|a| self.plain(a)),
            _ => true,
        }
    }

    /// The types of a record's fields.
    pub fn fields(&self, n: usize, args: &[Ty]) -> Vec<(String, Ty, bool)> {
        self.records[n].fields.iter().map(|f| (f.name.clone(), subst(&f.ty, args), f.mutable)).collect()
    }

    /// The types of a case's fields.
    pub fn case(&self, n: usize, case: usize, args: &[Ty]) -> (String, Vec<Ty>) {
        let case = &self.unions[n].cases[case];
        (case.name.clone(), case.fields.iter().map(|t| subst(t, args)).collect())
    }

    /// A type for a field, a parameter or a result.
    pub fn any(&self, random: &mut Random, depth: usize) -> Ty {
        if depth == 0 || random.chance(45) {
            return scalar(random);
        }
        let of = |random: &mut Random| Box::new(self.any(random, depth - 1));
        match random.below(18) {
            0 | 1 => Ty::List(of(random)),
            2 | 3 => Ty::Array(of(random)),
            4 | 5 => Ty::Opt(of(random)),
            6 => Ty::Tuple((0..random.between(2, 3)).map(|_| self.any(random, depth - 1)).collect()),
            7 => Ty::Res(of(random), Box::new(Ty::Str)),
            8 => Ty::Map(Box::new(key(random)), of(random)),
            9 => Ty::Set(Box::new(key(random))),
            10 => Ty::Fun((0..random.between(1, 2)).map(|_| scalar(random)).collect(), of(random)),
            11..=13 if !self.records.is_empty() => {
                let n = random.below(self.records.len());
                Ty::Record(n, (0..self.records[n].params).map(|_| self.argument(random, depth - 1)).collect())
            }
            _ if !self.unions.is_empty() => {
                let n = random.below(self.unions.len());
                Ty::Union(n, (0..self.unions[n].params).map(|_| self.argument(random, depth - 1)).collect())
            }
            _ => scalar(random),
        }
    }

    /// A type without functions.
    pub fn any_plain(&self, random: &mut Random, depth: usize) -> Ty {
        for _ in 0..4 {
            let ty = self.any(random, depth);
            if self.plain(&ty) {
                return ty;
            }
        }
        scalar(random)
    }

    fn argument(&self, random: &mut Random, depth: usize) -> Ty {
        self.any_plain(random, depth)
    }
}

/// Whether a type is or holds a parameter.
pub fn mentions(ty: &Ty) -> bool {
    match ty {
        Ty::Param(_) => true,
        Ty::Tuple(parts) => parts.iter().any(mentions),
        Ty::List(a) | Ty::Array(a) | Ty::Opt(a) | Ty::Set(a) => mentions(a),
        Ty::Res(a, b) | Ty::Map(a, b) => mentions(a) || mentions(b),
        Ty::Record(_, args) | Ty::Union(_, args) => args.iter().any(mentions),
        Ty::Fun(from, to) => from.iter().any(mentions) || mentions(to),
        _ => false,
    }
}

/// A type with its parameters replaced.
pub fn subst(ty: &Ty, args: &[Ty]) -> Ty {
    let one = |t: &Ty| Box::new(subst(t, args));
    let all = |list: &[Ty]| list.iter().map(|t| subst(t, args)).collect();
    match ty {
        Ty::Param(n) => args.get(*n).cloned().unwrap_or_else(|| ty.clone()),
        Ty::Tuple(parts) => Ty::Tuple(all(parts)),
        Ty::List(a) => Ty::List(one(a)),
        Ty::Array(a) => Ty::Array(one(a)),
        Ty::Opt(a) => Ty::Opt(one(a)),
        Ty::Set(a) => Ty::Set(one(a)),
        Ty::Res(a, b) => Ty::Res(one(a), one(b)),
        Ty::Map(a, b) => Ty::Map(one(a), one(b)),
        Ty::Record(n, list) => Ty::Record(*n, all(list)),
        Ty::Union(n, list) => Ty::Union(*n, all(list)),
        Ty::Fun(from, to) => Ty::Fun(all(from), one(to)),
        other => other.clone(),
    }
}

pub fn scalar(random: &mut Random) -> Ty {
    match random.below(20) {
        0..=6 => INT,
        7..=9 => Ty::Int(random.below(INTS.len())),
        10 | 11 => Ty::Float,
        12 => Ty::Float32,
        13 => Ty::Metres,
        14 => Ty::Kilos,
        15 => Ty::Bool,
        16 => Ty::Char,
        17 => Ty::Colour,
        _ => Ty::Str,
    }
}

/// A type for keys of maps and elements of sets.
pub fn key(random: &mut Random) -> Ty {
    match random.below(6) {
        0 | 1 => INT,
        2 => Ty::Str,
        3 => Ty::Char,
        4 => Ty::Int(random.below(INTS.len())),
        _ => Ty::Tuple(vec![INT, Ty::Str]),
    }
}

/// A literal of a scalar type.
pub fn literal(random: &mut Random, ty: &Ty) -> Option<String> {
    Some(match ty {
        Ty::Int(n) => int(random, *n),
        Ty::Kilos => format!("{}<kg>", random.below(100)),
        Ty::Float => signed(random, ""),
        Ty::Float32 => signed(random, "f"),
        Ty::Metres => signed(random, "<m>"),
        Ty::Bool => random.chance(50).to_string(),
        Ty::Char => format!("'{}'", random.pick(&['a', 'b', 'Z', '0', ' ', '+', 'q', 'é', '→'])),
        Ty::Str => {
            let texts = [
                "",
                "a",
                "ab",
                "clef",
                "x y",
                "12",
                "Zed,q",
                "-",
                "tab\\t",
                "naïve",
                "→é",
                "\\\"q\\\"",
                "%d {0}",
            ];
            format!("\"{}\"", random.pick(&texts))
        }
        Ty::Colour => format!("Colour.{}", random.pick(&["Red", "Green", "Blue"])),
        _ => return None,
    })
}

pub fn int(random: &mut Random, kind: usize) -> String {
    let (_, suffix, bits, signed) = INTS[kind];
    let small = random.below(10);
    if small < 7 {
        return format!("{}{suffix}", random.below(if small < 3 { 4 } else { 100 }));
    }
    let top = u64::MAX >> (64 - bits);
    match (random.below(5), signed) {
        (0, true) => format!("{}{suffix}", top >> 1),
        (0, false) => format!("{top}{suffix}"),
        (1, true) => format!("(-{}{suffix})", top >> 1),
        (2, true) => format!("(-{}{suffix})", random.between(1, 100)),
        (3, true) => format!("(-{}{suffix} - 1{suffix})", top >> 1),
        (_, true) => format!("{}{suffix}", random.draw() & (top >> 1)),
        (_, false) => format!("{}{suffix}", random.draw() & top),
    }
}

fn signed(random: &mut Random, suffix: &str) -> String {
    match random.below(9) {
        0 => format!("0.0{suffix}"),
        1 => format!("1.0{suffix}"),
        2 => format!("(-{}.5{suffix})", random.below(50)),
        3 if suffix != "<m>" => format!("{}.25e{}{suffix}", random.below(9), random.below(20)),
        4 => format!("0.1{suffix}"),
        5 if suffix != "<m>" => format!("{}e-{}{suffix}", random.between(1, 9), random.below(12)),
        _ => format!("{}.{}{suffix}", random.below(100), random.below(100)),
    }
}
