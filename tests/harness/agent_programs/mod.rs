//! Random programs that hand buffers between agents.
//!
//! Branches, loops, calls with aliasing parameters, recursion, closures, records, unions, lists and arrays of buffers,
//! addresses inside a buffer, partial ranges, early exits, several queues and devices. Every program ends, and its
//! parallel loops have no conflicts, whatever buffers are the same: each work-item touches its own element only, unless
//! the buffers are known to differ.
//!
//! Many programs make one source text, [`batch`]: its `main` takes the number of the program to run. Programs share
//! nothing but the kernels and the types.

mod leaves;

use crate::random::{Random, Writer};

/// Elements of each buffer.
const LENGTH: usize = 16;

/// Types and kernels that all programs share.
const HEAD: &str = include_str!("head.clef");

/// Programs with the numbers `first .. first + count - 1` as one source text; the number is also the seed.
pub fn batch(first: u64, count: usize) -> String {
    let mut out = Writer::default();
    out.text.push_str(HEAD);
    for seed in first..first + count as u64 {
        Program { random: Random::new(seed), seed, out: &mut out, helpers: Vec::new(), names: 0, budget: 0 }
            .print();
    }
    out.line("\n[<EntryPoint>]\nlet main argv =");
    out.open();
    out.line("let n = argv.Length");
    for seed in first..first + count as u64 {
        out.line(format!("if argv.[0] = \"{seed}\" then printfn \"%d\" (program{seed} n)"));
    }
    out.line("0");
    out.text
}

/// What a helper function takes.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// Two buffers that may be the same, and a number.
    Buffers,
    /// The same, calling itself so many times as the number says.
    Recursive,
    /// A record of two buffers.
    Record,
    Union,
    List,
    /// Two buffers; gives one.
    Gives,
    /// A function and a buffer.
    Applies,
}

const SHAPES: [Shape; 7] = [
    Shape::Buffers,
    Shape::Recursive,
    Shape::Record,
    Shape::Union,
    Shape::List,
    Shape::Gives,
    Shape::Applies,
];

/// What a place of the program can name.
#[derive(Clone, Default)]
struct Scope {
    buffers: Vec<String>,
    /// Names of buffers that were allocated here: two names are two buffers.
    own: Vec<String>,
    /// Mutable names of buffers.
    moving: Vec<String>,
    arrays: Vec<String>,
    ints: Vec<String>,
    /// The accumulator, where it may be assigned.
    total: bool,
    /// Loops around this place.
    loops: usize,
}

struct Program<'a> {
    random: Random,
    seed: u64,
    out: &'a mut Writer,
    helpers: Vec<Shape>,
    names: usize,
    /// Statements that the function may still have.
    budget: usize,
}

impl Program<'_> {
    fn print(mut self) {
        let seed = self.seed;
        self.out.line("");
        let global = self.random.chance(30);
        if global {
            self.out.line(format!("let global{seed} = fresh ()"));
        }
        for number in 0..self.random.below(4) {
            let shape = *self.random.pick(&SHAPES);
            self.helper(number, shape, global);
            self.helpers.push(shape);
        }
        self.out.line(format!("let program{seed} (n: int) : int ="));
        self.out.open();
        let mut scope = Scope { ints: vec!["n".into()], total: true, ..Scope::default() };
        if global {
            scope.buffers.push(format!("global{seed}"));
            scope.own.push(format!("global{seed}"));
        }
        for _ in 0..self.random.between(1, 4) {
            self.allocate(&mut scope);
        }
        self.out.line("let mutable total = n");
        self.budget = self.random.between(4, 16);
        self.body(&mut scope);
        self.out.close();
    }

    fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}{}", self.names)
    }

    fn allocate(&mut self, scope: &mut Scope) {
        let name = self.name("b");
        self.out.line(format!("let {name} = fresh ()"));
        scope.buffers.push(name.clone());
        scope.own.push(name);
    }

    fn helper(&mut self, number: usize, shape: Shape, global: bool) {
        let name = format!("helper{}x{number}", self.seed);
        let buffer = "UnifiedBuffer<int>";
        let mut scope = Scope { ints: vec!["n".into()], total: true, ..Scope::default() };
        let (rec, params, buffers): (_, String, &[&str]) = match shape {
            Shape::Buffers => ("", format!("(x: {buffer}) (y: {buffer}) (n: int) : int"), &["x", "y"]),
            Shape::Recursive => ("rec ", format!("(x: {buffer}) (y: {buffer}) (n: int) : int"), &["x", "y"]),
            Shape::Record => ("", "(p: Pair) (n: int) : int".into(), &["p.First", "p.Second"]),
            Shape::Union => ("", "(s: Slot) (n: int) : int".into(), &[]),
            Shape::List => ("", format!("(bs: {buffer} list) (n: int) : int"), &[]),
            Shape::Gives => ("", format!("(x: {buffer}) (y: {buffer}) (n: int) : {buffer}"), &["x", "y"]),
            Shape::Applies => ("", format!("(f: {buffer} -> int) (x: {buffer}) (n: int) : int"), &["x"]),
        };
        scope.buffers = buffers.iter().map(ToString::to_string).collect();
        if global && self.random.chance(50) {
            scope.buffers.push(format!("global{}", self.seed));
        }
        self.out.line(format!("let {rec}{name} {params} ="));
        self.out.open();
        self.budget = self.random.between(2, 7);
        match shape {
            Shape::Recursive => {
                self.out.line("if n <= 0 then 1");
                self.out.line("else");
                self.out.open();
                self.recursive_body(&name, &mut scope);
                self.out.close();
            }
            Shape::Union => self.union_body(&scope),
            Shape::List => {
                self.out.line("let mutable total = n");
                self.out.line("for b in bs do");
                self.inner(&scope, |s| {
                    s.buffers.push("b".into());
                    s.loops += 1;
                });
                self.out.line("total");
            }
            Shape::Gives => {
                self.out.line("let mutable total = n");
                self.statements(&mut scope, 3);
                let condition = self.condition(&scope);
                let (a, b) = (self.buffer(&scope), self.buffer(&scope));
                let a = if self.random.chance(20) { "fresh ()".to_owned() } else { a };
                self.out.line(format!("if {condition} then {a} else {b}"));
            }
            Shape::Applies => {
                self.out.line("let mutable total = f x");
                self.statements(&mut scope, 3);
                self.out.line(if self.random.chance(50) { "total + f x" } else { "total" });
            }
            Shape::Buffers | Shape::Record => {
                self.out.line("let mutable total = n");
                self.body(&mut scope);
            }
        }
        self.out.close();
    }

    fn recursive_body(&mut self, name: &str, scope: &mut Scope) {
        self.out.line("let mutable total = n");
        self.statements(scope, 2);
        let again = match self.random.below(3) {
            0 => format!("{name} y x (n - 1)"),
            1 => format!("{name} x y (n - 1)"),
            _ => format!("{name} x x (n - 1)"),
        };
        if self.random.chance(50) {
            self.out.line(again);
        } else {
            self.out.line(format!("let below = {again}"));
            scope.ints.push("below".into());
            self.statements(scope, 2);
            self.out.line("total + below");
        }
    }

    fn union_body(&mut self, scope: &Scope) {
        self.out.line("let mutable total = n");
        self.out.line("match s with");
        self.out.line("| Nothing -> ()");
        self.out.line("| One a ->");
        self.inner(scope, |s| s.buffers.push("a".into()));
        self.out.line("| Two (a, b) ->");
        self.inner(scope, |s| s.buffers.extend(["a".into(), "b".into()]));
        self.out.line("total");
    }

    /// Statements and a number at the end; sometimes the rest is behind an early exit.
    fn body(&mut self, scope: &mut Scope) {
        let count = self.budget;
        self.statements(scope, count);
        if self.random.chance(25) && !scope.buffers.is_empty() {
            let (condition, early) = (self.condition(scope), self.int(scope, 1));
            self.out.line(format!("if {condition} then"));
            self.out.line(format!("    {early}"));
            self.out.line("else");
            self.out.open();
            self.budget = self.random.between(1, 5);
            self.body(scope);
            self.out.close();
            return;
        }
        if self.random.chance(60) && !scope.buffers.is_empty() {
            let buffer = self.buffer(scope);
            self.out.line(format!("for i = 0 to {} do", LENGTH - 1));
            self.out.line(format!("    total <- total * 31 + {buffer}.[i]"));
        }
        self.out.line("total");
    }

    fn statements(&mut self, scope: &mut Scope, count: usize) {
        for _ in 0..count {
            self.statement(scope);
        }
    }

    /// A block of one to three statements, in a scope of its own.
    fn inner(&mut self, scope: &Scope, add: impl FnOnce(&mut Scope)) {
        let mut scope = scope.clone();
        add(&mut scope);
        self.out.open();
        let count = self.random.between(1, 3);
        if scope.buffers.is_empty() {
            self.out.line("()");
        } else {
            self.statements(&mut scope, count);
            // A block must not end in a definition.
            self.out.line("()");
        }
        self.out.close();
    }

    fn statement(&mut self, scope: &mut Scope) {
        if scope.buffers.is_empty() {
            return self.allocate(scope);
        }
        let nests = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        match self.random.below(if nests { 25 } else { 14 }) {
            0..=7 => self.dispatch(scope),
            8 | 9 => self.host_write(scope),
            10..=12 => self.host_read(scope),
            13 => self.small(scope),
            14..=16 => self.branch(scope),
            17..=19 => self.repeat(scope),
            20 | 21 => self.call(scope),
            22 => self.closure(scope),
            _ => self.name_of(scope),
        }
    }

    fn host_write(&mut self, scope: &mut Scope) {
        let (buffer, value) = (self.buffer(scope), self.int(scope, 2));
        if self.random.chance(60) {
            let index = self.index(scope);
            self.out.line(format!("{buffer}.[{index}] <- {value}"));
        } else {
            let low = if self.random.chance(60) { 0 } else { self.random.below(8) };
            let high = if self.random.chance(60) { LENGTH - 1 } else { self.random.below(LENGTH) };
            self.out.line(format!("for i = {low} to {high} do"));
            self.out.line(format!("    {buffer}.[i] <- {value} + i"));
        }
    }

    fn host_read(&mut self, scope: &mut Scope) {
        let (buffer, index) = (self.buffer(scope), self.index(scope));
        if scope.total {
            self.out.line(format!("total <- total * 31 + {buffer}.[{index}]"));
        } else {
            self.out.line(format!("if {buffer}.[{index}] = 123456789 then printfn \"odd\""));
        }
    }

    /// What is rare: output, markers, a stop, a buffer of one's own.
    fn small(&mut self, scope: &mut Scope) {
        match self.random.below(8) {
            0 | 1 => {
                let value = self.int(scope, 2);
                self.out.line(format!("printfn \"%d\" ({value})"));
            }
            2..=4 => {
                let buffer = self.buffer(scope);
                self.out.line(format!("signalCompletion {buffer}"));
            }
            5 if self.random.chance(30) => {
                let condition = self.condition(scope);
                self.out.line(format!("if {condition} && n > 0 then failwith \"stopped\""));
            }
            _ => self.allocate(scope),
        }
    }

    fn branch(&mut self, scope: &Scope) {
        let condition = self.condition(scope);
        self.out.line(format!("if {condition} then"));
        self.inner(scope, |_| {});
        if self.random.chance(50) {
            self.out.line("else");
            self.inner(scope, |_| {});
        }
    }

    fn repeat(&mut self, scope: &mut Scope) {
        if scope.loops >= 2 {
            return self.dispatch(scope);
        }
        match self.random.below(4) {
            0 | 1 => {
                let variable = self.name("i");
                let high = self.random.below(4);
                self.out.line(format!("for {variable} = 1 to {high} do"));
                self.inner(scope, |s| {
                    s.loops += 1;
                    s.ints.push(variable);
                });
            }
            2 => {
                let variable = self.name("w");
                let high = self.random.below(4);
                self.out.line(format!("let mutable {variable} = {high}"));
                let condition = if self.random.chance(30) {
                    format!("{variable} > 0 && {}", self.condition(scope))
                } else {
                    format!("{variable} > 0")
                };
                self.out.line(format!("while {condition} do"));
                self.out.open();
                self.out.line(format!("{variable} <- {variable} - 1"));
                self.out.close();
                self.inner(scope, |s| s.loops += 1);
            }
            _ => {
                let variable = self.name("e");
                let (a, b) = (self.buffer(scope), self.buffer(scope));
                self.out.line(format!("for {variable} in [{a}; {b}] do"));
                self.inner(scope, |s| {
                    s.loops += 1;
                    s.buffers.push(variable);
                });
            }
        }
    }

    /// A call of a helper; the result goes into the accumulator, or is a new name of a buffer.
    fn call(&mut self, scope: &mut Scope) {
        if self.helpers.is_empty() {
            return self.dispatch(scope);
        }
        let number = self.random.below(self.helpers.len());
        let shape = self.helpers[number];
        let name = format!("helper{}x{number}", self.seed);
        let (a, b, value) = (self.buffer(scope), self.buffer(scope), self.int(scope, 1));
        let call = match shape {
            Shape::Buffers => format!("{name} {a} {b} ({value})"),
            Shape::Recursive => format!("{name} {a} {b} {}", self.random.below(4)),
            Shape::Record => format!("{name} {{ First = {a}; Second = {b}; Tag = 0 }} ({value})"),
            Shape::Union => {
                let slot = match self.random.below(4) {
                    0 => "Nothing".to_owned(),
                    1 => format!("(One {a})"),
                    2 => format!("(if {} then One {a} else Two ({b}, {a}))", self.condition(scope)),
                    _ => format!("(Two ({a}, {b}))"),
                };
                format!("{name} {slot} ({value})")
            }
            Shape::List => format!("{name} [{a}; {b}] ({value})"),
            Shape::Gives => {
                let given = self.name("g");
                self.out.line(format!("let {given} = {name} {a} {b} ({value})"));
                return scope.buffers.push(given);
            }
            Shape::Applies => {
                let inner = self.reads_in_closure(scope, "z");
                format!("{name} (fun z -> {inner}) {a} ({value})")
            }
        };
        let line = if scope.total { format!("total <- total + {call}") } else { format!("{call} |> ignore") };
        self.out.line(line);
    }

    fn reads_in_closure(&mut self, scope: &Scope, parameter: &str) -> String {
        let captured = self.fixed(scope);
        format!("{parameter}.[{}] + {captured}.[{}]", self.random.below(LENGTH), self.random.below(LENGTH))
    }

    /// A local function that captures buffers, called once or twice.
    fn closure(&mut self, scope: &Scope) {
        let name = self.name("again");
        self.out.line(format!("let {name} () ="));
        self.inner(scope, |s| {
            s.total = false;
            s.moving.clear();
            s.ints.retain(|i| i != "total");
            s.loops += 1;
        });
        for _ in 0..self.random.between(1, 2) {
            self.out.line(format!("{name} ()"));
        }
    }

    /// A new name for a buffer that has one, in one of many ways.
    fn name_of(&mut self, scope: &mut Scope) {
        let (a, b) = (self.fixed(scope), self.fixed(scope));
        let condition = self.condition(scope);
        match self.random.below(7) {
            0 => {
                let name = self.name("c");
                self.out.line(format!("let {name} = if {condition} then {a} else {b}"));
                scope.buffers.push(name);
            }
            1 => {
                let name = self.name("r");
                self.out.line(format!("let {name} = {{ First = {a}; Second = {b}; Tag = 1 }}"));
                scope.buffers.extend([format!("{name}.First"), format!("{name}.Second")]);
                if self.random.chance(40) {
                    let (other, c) = (self.name("r"), self.fixed(scope));
                    self.out.line(format!("let {other} = {{ {name} with Second = {c} }}"));
                    scope.buffers.extend([format!("{other}.First"), format!("{other}.Second")]);
                }
            }
            2 => {
                let name = self.name("a");
                self.out.line(format!("let {name} = [| {a}; {b} |]"));
                scope.arrays.push(name);
            }
            3 => {
                let name = self.name("m");
                self.out.line(format!("let mutable {name} = {a}"));
                scope.moving.push(name);
            }
            4 if !scope.moving.is_empty() => {
                let name = self.random.pick(&scope.moving).clone();
                self.out.line(format!("{name} <- {b}"));
            }
            5 if !scope.arrays.is_empty() => {
                let name = self.random.pick(&scope.arrays).clone();
                let index = self.int(scope, 1);
                self.out.line(format!("{name}.[({index}) &&& 1] <- {b}"));
            }
            5 => {
                let name = self.name("o");
                self.out.line(format!("let {name} = if {condition} then Some {a} else None"));
                self.out.line(format!("match {name} with"));
                self.out.line("| Some held ->");
                self.inner(scope, |s| s.buffers.push("held".into()));
                self.out.line("| None -> ()");
            }
            _ if scope.loops < 2 && scope.buffers.len() > 1 => self.double_buffering(scope),
            _ => self.allocate(scope),
        }
    }

    /// Two names that change places in a loop.
    fn double_buffering(&mut self, scope: &mut Scope) {
        let (now, next, t) = (self.name("now"), self.name("next"), self.name("t"));
        let (a, b) = (self.fixed(scope), self.fixed(scope));
        self.out.line(format!("let mutable {now} = {a}"));
        self.out.line(format!("let mutable {next} = {b}"));
        let rounds = self.random.between(1, 3);
        self.out.line(format!("for round = 1 to {rounds} do"));
        scope.moving.extend([now.clone(), next.clone()]);
        self.inner(scope, |s| s.loops += 1);
        self.out.open();
        let agent = self.agent();
        self.out.line(format!("{agent} \"mix\" {{| V = round; X = {now}.Address; Z = {next}.Address |}}"));
        self.out.line(format!("let {t} = {now}"));
        self.out.line(format!("{now} <- {next}"));
        self.out.line(format!("{next} <- {t}"));
        self.out.close();
    }
}
