//! The C ABI under torture: random functions over random structs, called from Clef and calling Clef.
//!
//! A seed gives structs of 1 to 320 bytes (integers, floats, booleans, addresses, arrays, structs in structs) and
//! functions over them. For each function there is one that C defines and Clef calls, and one that Clef defines and C
//! calls through its address. Whoever is called checks every scalar of every parameter; whoever called checks every
//! scalar of the result. The same programs run here and, by AArch64's rules, in qemu. `CLEF_TEST_ABI=2000` makes that
//! many functions on each instead of the usual hundred, `CLEF_TEST_ABI_SEED` starts elsewhere.

use crate::trial;
use clef_tests::{Scratch, clefc, root, run};
use libtest_mimic::Trial;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Functions in one program.
const BATCH: u64 = 25;

pub fn trials() -> Vec<Trial> {
    let number = |name: &str, usual| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual);
    let (count, first) = (number("CLEF_TEST_ABI", 100), number("CLEF_TEST_ABI_SEED", 1));
    let mut trials = Vec::new();
    for machine in [Machine::Host, Machine::Aarch64] {
        let name = machine.name();
        for seed in first..first + count / BATCH {
            let program = move || agrees(machine, seed, &Program::random(seed).print());
            trials.push(trial(format!("abi/{name}random_functions_{seed}"), program));
        }
        trials.push(trial(format!("abi/{name}a_wrong_value_is_noticed"), move || wrong_is_noticed(machine)));
        trials.push(trial(format!("abi/{name}unused_bits_are_not_read"), move || unused_bits(machine)));
    }
    trials.push(trial("abi/aarch64_executables_are_refused", executables_are_refused));
    trials
}

/// Where the two sides run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    /// Here: a whole executable with the runtime.
    Host,
    /// In qemu: Clef's object with C objects, one of which stands for the runtime.
    Aarch64,
}

impl Machine {
    fn name(self) -> &'static str {
        match self {
            Self::Host => "",
            Self::Aarch64 => "aarch64_",
        }
    }

    /// A C compiler; by turns another than the one whose code generator is under test.
    fn compiler(self, seed: u64) -> Command {
        let (own, other) = match self {
            Self::Host => ("clang-22", "cc"),
            Self::Aarch64 => ("clang-22", CROSS),
        };
        let mut command = Command::new(if seed.is_multiple_of(2) { own } else { other });
        if self == Self::Aarch64 && seed.is_multiple_of(2) {
            // Its headers are where Debian's package has them.
            command.args(["--target=aarch64-linux-gnu", "-isystem", "/usr/aarch64-linux-gnu/include"]);
        }
        command
    }
}

/// The compiler of Debian's package `gcc-aarch64-linux-gnu`.
const CROSS: &str = "aarch64-linux-gnu-gcc";

/// The test of the tests: where one side expects something else, the program says so.
fn wrong_is_noticed(machine: Machine) -> Result<(), String> {
    let (c, clef) = Program::random(1).print();
    let in_c = (c.replacen("if (!(", "if (!(0 && ", 1), clef.clone());
    let in_clef = (c, clef.replacen(" <> ", " = ", 1));
    match (agrees(machine, 1, &in_c), agrees(machine, 1, &in_clef)) {
        (Err(a), Err(b)) if a.contains("exit code 1") && b.contains("wrong: ") => Ok(()),
        other => Err(format!("not noticed: {other:?}")),
    }
}

/// Bits of a register that a small integer does not use may be anything: on AArch64 in arguments and results, on x86-64
/// in results. C lies about the types to put something there.
fn unused_bits(machine: Machine) -> Result<(), String> {
    let c = "#include <stdint.h>\n\
        int wrongs(void) { return 0; }\n\
        uint32_t give_byte(void) { return 0xABCDEFC8u; }\n\
        uint32_t give_signed(void) { return 0x12345680u; }\n\
        uint64_t give_short(void) { return 0x123456789ABC8001u; }\n\
        uint32_t give_bool(void) { return 0xABCDEF01u; }\n\
        int call(int (*f)(uint8_t, int8_t, int16_t, uint16_t, int32_t, _Bool)) {\n    \
        int (*lying)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t) = (void *)f;\n    \
        return EXACT ? f(200, -128, -32767, 65535, -5, 1)\n        \
        : lying(0xFFFFFFFFABCDEFC8u, 0x1234567880u, 0x12345678001u, 0xABCDEFFFFu, 0x12FFFFFFFBu, 0xABCDEF01u);\n}\n";
    let exact = if machine == Machine::Host { "1" } else { "0" };
    let clef = "module Main\n\n\
        [<Extern(\"abi\", EntryPoint = \"give_byte\")>]\nextern byte giveByte()\n\n\
        [<Extern(\"abi\", EntryPoint = \"give_signed\")>]\nextern sbyte giveSigned()\n\n\
        [<Extern(\"abi\", EntryPoint = \"give_short\")>]\nextern int16 giveShort()\n\n\
        [<Extern(\"abi\", EntryPoint = \"give_bool\")>]\nextern bool giveBool()\n\n\
        [<Extern(\"abi\", EntryPoint = \"call\")>]\n\
        extern int call(f: byte -> sbyte -> int16 -> uint16 -> int -> bool -> int)\n\n\
        let f (a: byte) (b: sbyte) (c: int16) (d: uint16) (e: int) (g: bool) : int =\n    \
        let right = int a = 200 && int b = -128 && int c = -32767 && int d = 65535 && int64 e = -5L && g\n    \
        if right then 42 else 0\n\n\
        [<EntryPoint>]\nlet main (args: string array) : int =\n    \
        let results = int (giveByte ()) = 200 && int (giveSigned ()) = -128 && int (giveShort ()) = -32767\n    \
        if results && giveBool () && call f = 42 then\n        printfn \"agreed\"\n        0\n    else\n        1\n";
    for seed in 1..=4 {
        agrees(machine, seed, &(c.replace("EXACT", exact), clef.to_string()))?;
    }
    Ok(())
}

/// Builds and runs the two sides of a seed's functions.
fn agrees(machine: Machine, seed: u64, (c_text, clef_text): &(String, String)) -> Result<(), String> {
    let folder = Scratch::new();
    let c = folder.file("abi.c", c_text);
    let main = folder.file("Main.clef", clef_text);
    let object = folder.0.join("abi.o");
    let level = ["-O0", "-O1", "-O2"][(seed % 3) as usize];
    let mut compiler = machine.compiler(seed);
    ok(compiler.args(["-std=gnu11", "-w", level, "-c"]).arg(&c).arg("-o").arg(&object))?;
    let optimise = if seed.is_multiple_of(4) { "-O2" } else { "-O0" };
    let program = folder.0.join("abi");
    let done = match machine {
        Machine::Host => {
            let manifest = "[package]\nname = \"abi\"\n[build]\nsources = [\"Main.clef\"]\n\
                            [link.library.abi]\npath = \".\"\nkind = \"static\"\n";
            folder.file("abi.fidproj", manifest);
            ok(Command::new("ar").arg("rcs").arg(folder.0.join("libabi.a")).arg(&object))?;
            ok(Command::new(clefc()).arg("build").arg(&folder.0).arg("-o").arg(&program).arg(optimise))?;
            run(Command::new(&program).env("CLEF_DEBUG_LEAKS", "1"), "")?
        }
        Machine::Aarch64 => {
            let own = folder.0.join("program.o");
            let mut emit = Command::new(clefc());
            ok(emit.args(["emit", "obj", "--arch", "aarch64", optimise]).arg(&main).arg("-o").arg(&own))?;
            link_for_aarch64(&[&own, &object, &root().join("tests/abi/runtime.c")], &program)?;
            run(Command::new("qemu-aarch64").arg(&program), "").map_err(missing)?
        }
    };
    if done.code == 0 && done.stdout == "agreed\n" {
        return Ok(());
    }
    Err(format!("seed {seed}: exit code {}\n{}{}", done.code, done.stdout, done.stderr))
}

/// An executable without shared libraries, so that qemu needs none.
pub fn link_for_aarch64(parts: &[&Path], program: &Path) -> Result<(), String> {
    let mut link = Command::new(CROSS);
    ok(link.args(["-static", "-O1", "-w"]).args(parts).arg("-o").arg(program)).map_err(missing)
}

fn missing(why: String) -> String {
    format!(
        "{why}\nthis needs Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user: ./x setup"
    )
}

/// There is no runtime for AArch64, so no executable; the message says what can be made.
fn executables_are_refused() -> Result<(), String> {
    let folder = Scratch::new();
    let main = folder.file("Main.clef", "module Main\n\nprintfn \"hello\"\n");
    for command in ["build", "run"] {
        let done = run(Command::new(clefc()).args([command, "--arch", "aarch64"]).arg(&main), "")?;
        let words = ["CLEF0809", "AArch64", "clefc emit obj --arch aarch64"];
        if done.code != 2 || words.iter().any(|w| !done.stderr.contains(w)) {
            return Err(format!("{command}: exit code {}\n{}", done.code, done.stderr));
        }
    }
    Ok(())
}

fn ok(command: &mut Command) -> Result<(), String> {
    let done = run(command, "")?;
    if done.code == 0 {
        Ok(())
    } else {
        Err(format!("{command:?}: exit code {}\n{}", done.code, done.stderr))
    }
}

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

struct Program {
    structs: Vec<Struct>,
    functions: Vec<Function>,
}

impl Program {
    fn random(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut program = Self { structs: Vec::new(), functions: Vec::new() };
        for n in 0..24 {
            let limit = [1, 2, 4, 8, 12, 16, 16, 24, 64, 128, 320][(n + random.below(3)) % 11];
            program.add_struct(&mut random, limit);
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
            let fixed = (random.below(4) == 0).then(|| 1 + random.below(if limit > 64 { 12 } else { 4 }));
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

    fn print(&self) -> (String, String) {
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
