//! Random structs and functions over them, as C and as Clef.

use std::fmt::Write as _;

/// Functions in one program.
pub const BATCH: u64 = 25;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// A scalar: C's name, Clef's name, size, suffix of Clef's literals.
type Scalar = (&'static str, &'static str, usize, &'static str);

const SCALARS: &[Scalar] = &[
    ("int8_t", "sbyte", 1, "y"),
    ("uint8_t", "byte", 1, "uy"),
    ("int16_t", "int16", 2, "s"),
    ("uint16_t", "uint16", 2, "us"),
    ("int32_t", "int", 4, ""),
    ("uint32_t", "uint32", 4, "u"),
    ("int64_t", "int64", 8, "L"),
    ("uint64_t", "uint64", 8, "UL"),
    ("intptr_t", "nativeint", 8, "n"),
    ("float", "float32", 4, "f"),
    ("double", "float", 8, ""),
    ("_Float16", "float16", 2, ""),
    ("_Bool", "bool", 1, ""),
];
const FLOAT: usize = 9;
const HALF: usize = 11;
const BOOL: usize = 12;

#[derive(Clone)]
enum Type {
    Scalar(usize),
    Struct(usize),
}

struct Field {
    ty: Type,
    /// An array of so many.
    fixed: Option<usize>,
}

struct Struct {
    fields: Vec<Field>,
    size: usize,
    align: usize,
}

struct Function {
    params: Vec<Type>,
    ret: Option<Type>,
}

pub struct Program {
    structs: Vec<Struct>,
    functions: Vec<Function>,
}

impl Program {
    /// The program of a seed.
    pub fn random(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut program = Self { structs: Vec::new(), functions: Vec::new() };
        for n in 0..24 {
            let limit = [1, 2, 4, 8, 12, 16, 16, 24, 64, 128, 320][(n + random.below(3)) % 11];
            if n % 4 == 3 {
                program.add_floats(&mut random);
            } else {
                program.add_struct(&mut random, limit);
            }
        }
        for _ in 0..BATCH {
            let count = random.below(9);
            let params = (0..count).map(|_| program.any_type(&mut random)).collect();
            let ret = (random.below(8) > 0).then(|| program.any_type(&mut random));
            program.functions.push(Function { params, ret });
        }
        program
    }

    fn any_type(&self, random: &mut Random) -> Type {
        if random.below(3) == 0 {
            Type::Scalar(random.below(SCALARS.len()))
        } else {
            Type::Struct(random.below(self.structs.len()))
        }
    }

    fn size_align(&self, ty: &Type) -> (usize, usize) {
        match ty {
            Type::Scalar(s) => (SCALARS[*s].2, SCALARS[*s].2),
            Type::Struct(s) => (self.structs[*s].size, self.structs[*s].align),
        }
    }

    /// A struct of at most so many bytes.
    fn add_struct(&mut self, random: &mut Random, limit: usize) {
        let (mut fields, mut at, mut align) = (Vec::new(), 0usize, 1usize);
        // Some have floats only: their classes differ.
        let floats = random.below(4) == 0;
        for _ in 0..1 + random.below(10) {
            let ty = match (floats, self.structs.is_empty(), random.below(4)) {
                (true, _, _) => Type::Scalar(FLOAT + random.below(3)),
                (_, false, 0) => Type::Struct(random.below(self.structs.len())),
                _ => Type::Scalar(random.below(SCALARS.len())),
            };
            // On x86-64 gcc takes the class of an array's first struct for all of them, clang that of each eightbyte: with
            // half precision they differ ({short; {bool; _Float16}[2]}), and no test can have both.
            let array = random.below(4) == 0 && !matches!(ty, Type::Struct(s) if self.has_half(s));
            let fixed = array.then(|| 1 + random.below(if limit > 64 { 12 } else { 4 }));
            let (size, own) = self.size_align(&ty);
            let end = at.next_multiple_of(own) + size * fixed.unwrap_or(1);
            if end.next_multiple_of(align.max(own)) > limit {
                continue;
            }
            (at, align) = (end, align.max(own));
            fields.push(Field { ty, fixed });
        }
        if fields.is_empty() {
            (at, align) = (1, 1);
            fields.push(Field { ty: Type::Scalar(1), fixed: None });
        }
        self.structs.push(Struct { fields, size: at.next_multiple_of(align), align });
    }

    fn has_half(&self, id: usize) -> bool {
        self.structs[id].fields.iter().any(|field| match field.ty {
            Type::Scalar(s) => s == HALF,
            Type::Struct(s) => self.has_half(s),
        })
    }

    /// A struct of one to five floats of one type, alone, in arrays and in structs: up to four travel together on
    /// AArch64.
    fn add_floats(&mut self, random: &mut Random) {
        let (scalar, wanted) = (FLOAT + random.below(3), 1 + random.below(5));
        let (mut fields, mut count) = (Vec::new(), 0);
        while count < wanted {
            let left = wanted - count;
            let inner: Vec<usize> = (0..self.structs.len())
                .filter(|s| self.count_of(*s, scalar).is_some_and(|n| n <= left && n < wanted))
                .collect();
            let field = match random.below(3) {
                0 if !inner.is_empty() => {
                    let id = inner[random.below(inner.len())];
                    count += self.count_of(id, scalar).unwrap_or(left);
                    Field { ty: Type::Struct(id), fixed: None }
                }
                1 => {
                    let n = 1 + random.below(left);
                    count += n;
                    Field { ty: Type::Scalar(scalar), fixed: Some(n) }
                }
                _ => {
                    count += 1;
                    Field { ty: Type::Scalar(scalar), fixed: None }
                }
            };
            fields.push(field);
        }
        let size = SCALARS[scalar].2;
        self.structs.push(Struct { fields, size: size * wanted, align: size });
    }

    /// How often a struct holds a scalar, if it holds nothing else.
    fn count_of(&self, id: usize, scalar: usize) -> Option<usize> {
        let fields = self.structs[id].fields.iter().map(|field| {
            let one = match field.ty {
                Type::Scalar(s) => (s == scalar).then_some(1),
                Type::Struct(s) => self.count_of(s, scalar),
            };
            Some(one? * field.fixed.unwrap_or(1))
        });
        fields.sum()
    }

    // --- text

    fn c_type(ty: &Type) -> String {
        match ty {
            Type::Scalar(s) => SCALARS[*s].0.into(),
            Type::Struct(s) => format!("struct s{s}"),
        }
    }

    fn clef_type(ty: &Type) -> String {
        match ty {
            Type::Scalar(s) => SCALARS[*s].1.into(),
            Type::Struct(s) => format!("S{s}"),
        }
    }

    /// A value in both languages, from a seed: the k-th scalar of the same seed is the same number.
    fn value(&self, ty: &Type, random: &mut Random) -> (String, String) {
        match ty {
            Type::Scalar(s) => scalar(*s, random),
            Type::Struct(id) => {
                let (mut c, mut clef) = (Vec::new(), Vec::new());
                for (n, field) in self.structs[*id].fields.iter().enumerate() {
                    let (own_c, own_clef) = match field.fixed {
                        None => self.value(&field.ty, random),
                        Some(count) => {
                            let all: Vec<_> = (0..count).map(|_| self.value(&field.ty, random)).collect();
                            let (c, clef): (Vec<String>, Vec<String>) = all.into_iter().unzip();
                            (format!("{{{}}}", c.join(", ")), format!("[| {} |]", clef.join("; ")))
                        }
                    };
                    c.push(own_c);
                    clef.push(format!("S{id}F{n} = {own_clef}"));
                }
                (format!("(struct s{id}){{{}}}", c.join(", ")), format!("{{ {} }}", clef.join("; ")))
            }
        }
    }

    /// C conditions that each scalar at `place` is the one of the same seed.
    fn c_checks(&self, ty: &Type, place: &str, random: &mut Random, out: &mut Vec<String>) {
        match ty {
            Type::Scalar(s) => out.push(format!("{place} == {}", scalar(*s, random).0)),
            Type::Struct(id) => {
                for (n, field) in self.structs[*id].fields.iter().enumerate() {
                    match field.fixed {
                        None => self.c_checks(&field.ty, &format!("{place}.f{n}"), random, out),
                        Some(count) => {
                            for i in 0..count {
                                self.c_checks(&field.ty, &format!("{place}.f{n}[{i}]"), random, out);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The two sides: C and Clef.
    pub fn print(&self) -> (String, String) {
        let mut c = String::from("#include <stdint.h>\nint wrong;\nint wrongs(void) { return wrong; }\n");
        let mut clef = String::from("module Main\n\nlet wrong = ref 0\n");
        for (id, s) in self.structs.iter().enumerate() {
            let _ = writeln!(c, "struct s{id} {{");
            let _ = writeln!(clef, "\ntype S{id} = {{");
            for (n, field) in s.fields.iter().enumerate() {
                let (c_type, clef_type) = (Self::c_type(&field.ty), Self::clef_type(&field.ty));
                let array = field.fixed.map_or_else(String::new, |n| format!("[{n}]"));
                let _ = writeln!(c, "    {c_type} f{n}{array};");
                let _ = match field.fixed {
                    Some(count) => writeln!(clef, "    [<FixedArray({count})>] S{id}F{n}: {clef_type}[]"),
                    None => writeln!(clef, "    S{id}F{n}: {clef_type}"),
                };
            }
            let _ = writeln!(c, "}};\n_Static_assert(sizeof(struct s{id}) == {}, \"size\");", s.size);
            let _ = writeln!(clef, "}}");
        }
        let _ = writeln!(clef, "\n[<Extern(\"abi\", EntryPoint = \"wrongs\")>]\nextern int wrongs()");
        let mut calls = String::new();
        for (n, function) in self.functions.iter().enumerate() {
            self.c_callee(n, function, &mut c, &mut clef, &mut calls);
            self.clef_callee(n, function, &mut c, &mut clef, &mut calls);
        }
        let _ = writeln!(
            clef,
            "\n[<EntryPoint>]\nlet main (args: string array) : int =\n{calls}    if wrong.Value + wrongs () = 0 then"
        );
        clef += "        printfn \"agreed\"\n        0\n    else\n        1\n";
        (c, clef)
    }

    /// Clef calls C.
    fn c_callee(&self, n: usize, f: &Function, c: &mut String, clef: &mut String, calls: &mut String) {
        let mut checks = Vec::new();
        let (mut c_params, mut clef_params, mut arguments) = (Vec::new(), Vec::new(), Vec::new());
        for (i, ty) in f.params.iter().enumerate() {
            self.c_checks(ty, &format!("a{i}"), &mut Random(seed(n, i)), &mut checks);
            c_params.push(format!("{} a{i}", Self::c_type(ty)));
            clef_params.push(format!("a{i}: {}", Self::clef_type(ty)));
            arguments.push(self.value(ty, &mut Random(seed(n, i))).1);
        }
        let list = if c_params.is_empty() { "void".into() } else { c_params.join(", ") };
        let (c_ret, clef_ret) = names(f.ret.as_ref());
        let _ =
            writeln!(c, "{c_ret} to_c_{n}({list}) {{\n    if (!({})) wrong++;", all(&checks, " && ", "1"));
        let _ = writeln!(clef, "\n[<Extern(\"abi\", EntryPoint = \"to_c_{n}\")>]");
        let _ = writeln!(clef, "extern {clef_ret} toC{n}({})", clef_params.join(", "));
        let call = format!("toC{n}({})", arguments.join(", "));
        match &f.ret {
            Some(ty) => {
                let (c_value, clef_value) = self.value(ty, &mut Random(seed(n, 100)));
                let _ = writeln!(c, "    return {c_value};\n}}");
                report(calls, &format!("{call} <> {clef_value}"), &format!("result of C function {n}"));
            }
            None => {
                c.push_str("}\n");
                let _ = writeln!(calls, "    {call}");
            }
        }
    }

    /// C calls Clef.
    fn clef_callee(&self, n: usize, f: &Function, c: &mut String, clef: &mut String, calls: &mut String) {
        // A function of Clef without parameters takes `unit`; so does its type.
        let mut body = String::new();
        let (mut c_types, mut clef_types, mut clef_params, mut arguments) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (i, ty) in f.params.iter().enumerate() {
            let (c_value, clef_value) = self.value(ty, &mut Random(seed(n, 200 + i)));
            c_types.push(Self::c_type(ty));
            clef_types.push(Self::clef_type(ty));
            clef_params.push(format!("(a{i}: {})", Self::clef_type(ty)));
            arguments.push(c_value);
            report(
                &mut body,
                &format!("a{i} <> {clef_value}"),
                &format!("argument {i} of Clef function {n}"),
            );
        }
        if f.params.is_empty() {
            clef_types.push("unit".into());
            clef_params.push("()".into());
        }
        let (c_ret, clef_ret) = names(f.ret.as_ref());
        let _ = writeln!(clef, "\nlet clef{n} {} : {clef_ret} =\n{body}", clef_params.join(" ").as_str());
        let c_list = if c_types.is_empty() { "void".into() } else { c_types.join(", ") };
        let _ = writeln!(c, "void to_clef_{n}({c_ret} (*callee)({c_list})) {{");
        let call = format!("callee({})", arguments.join(", "));
        match &f.ret {
            Some(ty) => {
                let (_, clef_value) = self.value(ty, &mut Random(seed(n, 300)));
                let _ = writeln!(clef, "    {clef_value}");
                let mut checks = Vec::new();
                self.c_checks(ty, "r", &mut Random(seed(n, 300)), &mut checks);
                let _ = writeln!(
                    c,
                    "    {c_ret} r = {call};\n    if (!({})) wrong++;\n}}",
                    all(&checks, " && ", "1")
                );
            }
            None => {
                let _ = writeln!(clef, "    ()");
                let _ = writeln!(c, "    {call};\n}}");
            }
        }
        let _ = writeln!(clef, "\n[<Extern(\"abi\", EntryPoint = \"to_clef_{n}\")>]");
        let _ = writeln!(clef, "extern unit toClef{n}(callee: {} -> {clef_ret})", clef_types.join(" -> "));
        let _ = writeln!(calls, "    toClef{n}(clef{n})");
    }
}

fn names(ret: Option<&Type>) -> (String, String) {
    match ret {
        Some(ty) => (Program::c_type(ty), Program::clef_type(ty)),
        None => ("void".into(), "unit".into()),
    }
}

fn report(out: &mut String, condition: &str, what: &str) {
    let _ = writeln!(out, "    if {condition} then");
    let _ = writeln!(out, "        printfn \"wrong: {what}\"\n        wrong.Value <- wrong.Value + 1");
}

fn all(list: &[String], between: &str, none: &str) -> String {
    if list.is_empty() { none.into() } else { list.join(between) }
}

fn seed(function: usize, place: usize) -> u64 {
    (function as u64) << 16 | place as u64
}

/// A random scalar, as C and as Clef write it.
fn scalar(which: usize, random: &mut Random) -> (String, String) {
    let (_, _, size, suffix) = SCALARS[which];
    let bits = random.next();
    if which == BOOL {
        return ((bits & 1).to_string(), (bits & 1 == 1).to_string());
    }
    if which == HALF {
        // Numbers that its eleven bits hold.
        let text = format!("{}.5", (bits % 1000) as i64 - 500);
        return (text.clone(), format!("(float16 {text})"));
    }
    if which >= FLOAT {
        // Numbers that both sizes of floats have.
        let text = format!("{}.5", (bits % 100_000) as i64 - 50_000);
        return (text.clone() + suffix, text + suffix);
    }
    let unsigned = suffix.starts_with('u') || suffix == "UL";
    let shift = 64 - 8 * size as u32;
    if unsigned {
        let value = bits >> shift;
        (format!("{value}ULL"), format!("{value}{suffix}"))
    } else {
        let value = ((bits as i64) >> shift).max(-(i64::MAX >> shift));
        (format!("({value}LL)"), format!("{value}{suffix}"))
    }
}
