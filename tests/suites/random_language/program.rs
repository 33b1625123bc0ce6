//! Whole programs: type definitions, functions over them, and a body that shows values.
//!
//! A program is everything whose name carries its seed. Several go into one file with a `main` that runs those from
//! the number on that its argument gives, so that one executable serves many.

use super::types::{Case, Field, INT, RecordDef, Ty, Types, UnionDef, key};
use clef_tests::random::{Random, Writer};

const PRELUDE: &str = include_str!("prelude.clef");

/// A name that expressions may use.
#[derive(Clone)]
pub struct Var {
    pub name: String,
    pub ty: Ty,
    pub mutable: bool,
}

/// A function that expressions may call. `generic` has the number of type parameters.
#[derive(Clone)]
pub struct Fun {
    pub name: String,
    pub params: Vec<Ty>,
    pub ret: Ty,
    pub generic: Option<usize>,
}

/// What a place of the program can name.
#[derive(Clone, Default)]
pub struct Scope {
    pub vars: Vec<Var>,
    pub funs: Vec<Fun>,
    /// `ref` cells.
    pub cells: Vec<(String, Ty)>,
    /// Loops around this place.
    pub loops: usize,
}

impl Scope {
    pub fn add(&mut self, name: &str, ty: &Ty) {
        self.vars.push(Var { name: name.into(), ty: ty.clone(), mutable: false });
    }

    pub fn add_mutable(&mut self, name: &str, ty: &Ty) {
        self.vars.push(Var { name: name.into(), ty: ty.clone(), mutable: true });
    }

    pub fn with(&self, name: &str, ty: &Ty) -> Self {
        let mut scope = self.clone();
        scope.add(name, ty);
        scope
    }

    /// What a closure sees: everything but `let mutable`.
    pub fn captured(&self) -> Self {
        let mut scope = self.clone();
        scope.vars.retain(|v| !v.mutable);
        scope
    }

    /// Into a loop over a name.
    pub fn enter(&mut self, name: &str, ty: &Ty) {
        self.loops += 1;
        self.add(name, ty);
    }
}

/// The writer of one program.
pub struct Gen<'a> {
    pub random: &'a mut Random,
    pub out: &'a mut Writer,
    pub types: Types,
    pub funs: Vec<Fun>,
    /// Expressions written in the present function, and how many may be.
    pub size: usize,
    pub limit: usize,
    /// Statements with statements inside that the present function may still have.
    pub statements: usize,
    seed: u64,
    names: usize,
}

/// Programs with the numbers `first .. first + count - 1` as one source text; the number is also the seed.
pub fn batch(first: u64, count: usize) -> String {
    let mut out = Writer::default();
    out.text.push_str(PRELUDE);
    let seeds = first..first + count as u64;
    for seed in seeds.clone() {
        let mut random = Random::new(seed);
        let gen_ = Gen {
            random: &mut random,
            out: &mut out,
            types: Types::default(),
            funs: Vec::new(),
            size: 0,
            limit: 0,
            statements: 0,
            seed,
            names: 0,
        };
        gen_.write();
    }
    out.line("\n[<EntryPoint>]\nlet main (argv: string array) : int =");
    out.open();
    out.line("let from = if argv.Length > 0 then int argv.[0] else 0");
    for seed in seeds {
        out.line(format!("if from <= {seed} then"));
        out.line(format!("    printfn \"program {seed}\""));
        out.line("    fuel.Value <- 300");
        out.line(format!("    program{seed} from"));
    }
    out.line("0");
    out.text
}

impl Gen<'_> {
    fn write(mut self) {
        self.out.line("");
        for _ in 0..self.random.below(4) {
            if self.random.chance(50) {
                self.record();
            } else {
                self.union();
            }
        }
        for _ in 0..self.random.between(1, 4) {
            self.function();
        }
        self.restart(220, 6);
        self.out.line(format!("\nlet program{} (start: int) : unit =", self.seed));
        self.out.open();
        let mut scope = Scope::default();
        scope.add("start", &INT);
        for _ in 0..self.random.between(3, 8) {
            self.statement(&mut scope);
        }
        self.limit += 40;
        self.print_all(&scope);
        self.out.close();
    }

    /// Everything at the end is shown, so that no difference stays hidden.
    fn print_all(&mut self, scope: &Scope) {
        for v in &scope.vars {
            if self.types.plain(&v.ty) {
                self.out.line(format!("printfn \"{} %A\" {}", v.name.replace(['(', ')'], ""), v.name));
            }
        }
        self.print(scope);
    }

    fn restart(&mut self, limit: usize, statements: usize) {
        self.size = 0;
        self.limit = limit;
        self.statements = statements;
    }

    pub fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}{}", self.names)
    }

    pub fn some_type(&mut self, depth: usize) -> Ty {
        self.types.any(self.random, depth)
    }

    pub fn plain_type(&mut self, depth: usize) -> Ty {
        self.types.any_plain(self.random, depth)
    }

    pub fn key_type(&mut self) -> Ty {
        key(self.random)
    }

    fn generics(count: usize) -> &'static str {
        ["", "<'a>", "<'a, 'b>"][count]
    }

    /// A field's type: sometimes a parameter of the definition, alone or in something.
    fn field_type(&mut self, params: usize) -> Ty {
        if params > 0 && self.random.chance(50) {
            let param = Ty::Param(self.random.below(params));
            return match self.random.below(4) {
                0 => Ty::List(Box::new(param)),
                1 => Ty::Opt(Box::new(param)),
                _ => param,
            };
        }
        self.some_type(1)
    }

    fn record(&mut self) {
        let params = self.random.below(4).saturating_sub(1);
        let name = format!("R{}n{}", self.seed, self.types.records.len());
        let attribute = if self.random.chance(20) { "[<Struct>] " } else { "" };
        let mut fields = Vec::new();
        for _ in 0..self.random.between(1, 4) {
            let ty = self.field_type(params);
            let mutable = attribute.is_empty() && self.random.chance(20);
            fields.push(Field { name: format!("F{}x{}", self.seed, self.names), ty, mutable });
            self.names += 1;
        }
        self.out.line(format!("\n{attribute}type {name}{} =", Self::generics(params)));
        let text: Vec<String> = fields
            .iter()
            .map(|f| {
                format!("{}{}: {}", if f.mutable { "mutable " } else { "" }, f.name, self.types.text(&f.ty))
            })
            .collect();
        self.out.line(format!("    {{ {} }}", text.join("; ")));
        let mut scope = Scope::default();
        for f in &fields {
            scope.add(&format!("r.{}", f.name), &f.ty);
        }
        let members = self.member("r", &scope);
        self.types.records.push(RecordDef { name, params, fields, members });
    }

    fn union(&mut self) {
        let params = self.random.below(4).saturating_sub(1);
        let number = self.types.unions.len();
        let name = format!("U{}n{number}", self.seed);
        let itself = Ty::Union(number, (0..params).map(Ty::Param).collect());
        let mut cases = Vec::new();
        for case in 0..self.random.between(1, 4) {
            let mut fields = Vec::new();
            for _ in 0..self.random.below(4) {
                let recursive = case > 0 && self.random.chance(30);
                let ty = if recursive { itself.clone() } else { self.field_type(params) };
                // Functions would forbid comparing, which unions are for here.
                let ty = if matches!(ty, Ty::Fun(..)) || !self.showable(&ty) { INT } else { ty };
                fields.push(ty);
            }
            cases.push(Case { name: format!("C{}n{number}x{case}", self.seed), fields });
        }
        self.types.unions.push(UnionDef { name: name.clone(), params, cases, members: Vec::new() });
        self.out.line(format!("\ntype {name}{} =", Self::generics(params)));
        let mut lines = Vec::new();
        for case in &self.types.unions[number].cases {
            let fields: Vec<String> = case.fields.iter().map(|t| self.types.text(t)).collect();
            let of = if fields.is_empty() { String::new() } else { format!(" of {}", fields.join(" * ")) };
            lines.push(format!("    | {}{of}", case.name));
        }
        lines.iter().for_each(|l| self.out.line(l));
        let members = self.member("u", &Scope::default());
        self.types.unions[number].members = members;
    }

    /// Whether a field of a union keeps the union comparable.
    fn showable(&self, ty: &Ty) -> bool {
        match ty {
            Ty::Union(n, _) if *n >= self.types.unions.len() => true,
            Ty::Param(_) => true,
            Ty::List(a) | Ty::Opt(a) if matches!(**a, Ty::Param(_)) => true,
            other => self.types.plain(other),
        }
    }

    /// Sometimes a property.
    fn member(&mut self, this: &str, scope: &Scope) -> Vec<(String, Ty)> {
        if !self.random.chance(40) {
            return Vec::new();
        }
        self.restart(12, 0);
        let ty = super::types::scalar(self.random);
        let name = format!("M{}x{}", self.seed, self.names);
        self.names += 1;
        let value = self.expr(&ty, scope, 3);
        self.out.line(format!("    member {this}.{name} : {} = {value}", self.types.text(&ty)));
        vec![(name, ty)]
    }

    /// A function of the program: generic or not, alone, recursive, or one of two that call each other.
    fn function(&mut self) {
        self.restart(110, 4);
        let name = format!("fun{}x{}", self.seed, self.funs.len());
        let generic = self.random.chance(25);
        let mut params: Vec<Ty> = (0..self.random.between(1, 3)).map(|_| self.some_type(2)).collect();
        let mut ret = self.some_type(2);
        if generic {
            params.insert(0, Ty::Param(0));
            params.push(Ty::List(Box::new(Ty::Param(0))));
            ret = if self.random.chance(70) { Ty::Param(0) } else { ret };
        }
        let recursive = self.random.chance(40);
        let fun = Fun {
            name: name.clone(),
            params: params.clone(),
            ret: ret.clone(),
            generic: generic.then_some(1),
        };
        let mut scope = Scope::default();
        let head = self.params(&params, &mut scope);
        let keyword = if recursive { "let rec" } else { "let" };
        self.out.line(format!("\n{keyword} {name} {head}: {} =", self.types.text(&ret)));
        self.out.open();
        let stop = self.leaf(&ret, &scope);
        self.out.line(format!("if tired () then {stop}"));
        self.out.line("else");
        self.out.open();
        if recursive {
            // Inside its own body a function's type parameters are fixed.
            self.funs.push(Fun { generic: None, ..fun.clone() });
        }
        let statements = self.random.below(4);
        self.block(&ret, &mut scope, statements);
        if recursive {
            self.funs.pop();
        }
        self.out.close();
        self.out.close();
        self.funs.push(fun);
    }
}
