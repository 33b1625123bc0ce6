//! Blocks: definitions, assignments, loops, output, and the value at the end.

use super::program::{Fun, Gen, Scope};
use super::types::{INT, Ty};

/// How deep expressions in statements go.
const DEPTH: usize = 4;

impl Gen<'_> {
    /// Statements and a value of the type, at the writer's depth.
    pub fn block(&mut self, ty: &Ty, scope: &mut Scope, statements: usize) {
        for _ in 0..statements {
            self.statement(scope);
        }
        self.tail(ty, scope, 2);
    }

    /// The value at the end of a block: an expression, or a condition or match over lines.
    fn tail(&mut self, ty: &Ty, scope: &Scope, depth: usize) {
        let choice = if depth == 0 { 9 } else { self.random.below(10) };
        match choice {
            0 | 1 => {
                let c = self.expr(&Ty::Bool, scope, 2);
                self.out.line(format!("if {c} then"));
                self.inner(ty, scope, depth);
                self.out.line("else");
                self.inner(ty, scope, depth);
            }
            2 | 3 => {
                let on = self.matched_type(scope);
                let subject = self.subject(&on, scope, 2);
                self.out.line(format!("match {subject} with"));
                for (pattern, inner) in self.arms(&on, scope) {
                    let guard = self.guard(&pattern, &inner, 1);
                    self.out.line(format!("| {pattern}{guard} ->"));
                    self.inner(ty, &inner, depth);
                }
            }
            _ => {
                let value = self.expr(ty, scope, DEPTH);
                self.out.line(value);
            }
        }
    }

    fn inner(&mut self, ty: &Ty, scope: &Scope, depth: usize) {
        self.out.open();
        let mut scope = scope.clone();
        if self.random.chance(40) {
            self.statement(&mut scope);
        }
        self.tail(ty, &scope, depth - 1);
        self.out.close();
    }

    /// A block of statements without a value.
    fn body(&mut self, scope: &Scope, add: impl FnOnce(&mut Scope)) {
        let mut scope = scope.clone();
        add(&mut scope);
        self.out.open();
        for _ in 0..self.random.between(1, 2) {
            self.statement(&mut scope);
        }
        // A block must not end in a definition.
        self.out.line("()");
        self.out.close();
    }

    pub fn statement(&mut self, scope: &mut Scope) {
        let nests = self.statements > 0;
        self.statements = self.statements.saturating_sub(1);
        match self.random.below(if nests { 22 } else { 10 }) {
            0..=2 => self.let_value(scope),
            3 => self.let_mutable(scope),
            4 | 5 => self.assign(scope),
            6 => self.let_pattern(scope),
            7 | 8 => self.print(scope),
            9 => self.let_cell(scope),
            10 | 11 => self.branch(scope),
            12..=15 => self.repeat(scope),
            16 | 17 => self.local_function(scope),
            18 => self.local_recursion(scope),
            19 => self.match_statement(scope),
            20 => self.let_lazy(scope),
            _ => self.let_value(scope),
        }
    }

    fn let_value(&mut self, scope: &mut Scope) {
        let ty = self.some_type(2);
        let name = self.name("x");
        let value = self.expr(&ty, scope, DEPTH);
        self.out.line(format!("let {name}: {} = {value}", self.types.text(&ty)));
        scope.add(&name, &ty);
    }

    fn let_mutable(&mut self, scope: &mut Scope) {
        let ty = self.some_type(1);
        let name = self.name("m");
        let value = self.expr(&ty, scope, DEPTH - 1);
        self.out.line(format!("let mutable {name}: {} = {value}", self.types.text(&ty)));
        scope.add_mutable(&name, &ty);
    }

    /// A `ref`: the one thing that closures can change.
    fn let_cell(&mut self, scope: &mut Scope) {
        let ty = self.random.pick(&[INT, Ty::Str, Ty::List(Box::new(INT))]).clone();
        let name = self.name("c");
        let value = self.expr(&ty, scope, 2);
        self.out.line(format!("let {name} : ref<{}> = ref {value}", self.types.text(&ty)));
        scope.add(&format!("{name}.Value"), &ty);
        scope.cells.push((name, ty));
    }

    fn let_lazy(&mut self, scope: &mut Scope) {
        let ty = self.some_type(1);
        let name = self.name("z");
        let value = self.expr(&ty, &scope.captured(), DEPTH - 1);
        self.out.line(format!("let {name} : Lazy<{}> = lazy ({value})", self.types.text(&ty)));
        scope.add(&format!("({name}.Force ())"), &ty);
    }

    /// `let` with a pattern that takes every value.
    fn let_pattern(&mut self, scope: &mut Scope) {
        let parts: Vec<Ty> = (0..self.random.between(2, 3)).map(|_| self.some_type(1)).collect();
        let value = self.expr(&Ty::Tuple(parts.clone()), scope, 3);
        let names: Vec<String> = parts.iter().map(|_| self.name("t")).collect();
        self.out.line(format!("let ({}) = {value}", names.join(", ")));
        for (name, ty) in names.iter().zip(&parts) {
            scope.add(name, ty);
        }
    }

    /// Keeps a value that loops assign again and again from growing.
    fn bounded(ty: &Ty, value: String) -> String {
        match ty {
            Ty::Str => format!("cut {value}"),
            Ty::List(_) => format!("few {value}"),
            Ty::Array(_) => format!("small {value}"),
            _ => value,
        }
    }

    fn assign(&mut self, scope: &mut Scope) {
        let mut targets: Vec<(String, Ty)> =
            scope.vars.iter().filter(|v| v.mutable).map(|v| (v.name.clone(), v.ty.clone())).collect();
        targets.extend(scope.cells.iter().map(|(n, t)| (format!("{n}.Value"), t.clone())));
        for v in &scope.vars {
            match &v.ty {
                Ty::Record(n, args) => {
                    let fields = self.types.fields(*n, args).into_iter().filter(|f| f.2);
                    targets.extend(fields.map(|f| (format!("{}.{}", v.name, f.0), f.1)));
                }
                Ty::Array(of) => targets.push((format!("put {}", v.name), (**of).clone())),
                _ => {}
            }
        }
        if targets.is_empty() {
            return self.let_mutable(scope);
        }
        let (target, ty) = self.random.pick(&targets).clone();
        if target.starts_with("put ") {
            let (i, value) = (self.expr(&INT, scope, 2), self.expr(&ty, scope, 3));
            return self.out.line(format!("{target} {i} {value}"));
        }
        let value = self.expr(&ty, scope, DEPTH);
        self.out.line(format!("{target} <- {}", Self::bounded(&ty, value)));
    }

    pub fn print(&mut self, scope: &Scope) {
        let mut format = String::new();
        let mut arguments = String::new();
        for _ in 0..self.random.between(1, 3) {
            let shown: Vec<(String, Ty)> = scope
                .vars
                .iter()
                .filter(|v| self.types.plain(&v.ty))
                .map(|v| (v.name.clone(), v.ty.clone()))
                .collect();
            let (text, ty) = if shown.is_empty() || self.random.chance(40) {
                let ty = self.plain_type(2);
                (self.expr(&ty, scope, 3), ty)
            } else {
                self.random.pick(&shown).clone()
            };
            format += self.format(&ty);
            format += " ";
            arguments += " ";
            arguments += &text;
        }
        self.out.line(format!("printfn \"{}\"{arguments}", format.trim_end()));
    }

    fn branch(&mut self, scope: &Scope) {
        let c = self.expr(&Ty::Bool, scope, 3);
        self.out.line(format!("if {c} then"));
        self.body(scope, |_| {});
        if self.random.chance(30) {
            let c = self.expr(&Ty::Bool, scope, 2);
            self.out.line(format!("elif {c} then"));
            self.body(scope, |_| {});
        }
        if self.random.chance(50) {
            self.out.line("else");
            self.body(scope, |_| {});
        }
    }

    fn match_statement(&mut self, scope: &Scope) {
        let on = self.matched_type(scope);
        let subject = self.subject(&on, scope, 3);
        self.out.line(format!("match {subject} with"));
        for (pattern, inner) in self.arms(&on, scope) {
            let guard = self.guard(&pattern, &inner, 2);
            self.out.line(format!("| {pattern}{guard} ->"));
            self.body(&inner, |_| {});
        }
    }

    fn repeat(&mut self, scope: &mut Scope) {
        if scope.loops >= 2 {
            return self.assign(scope);
        }
        let name = self.name("i");
        match self.random.below(6) {
            0 | 1 => {
                let high = self.random.below(4);
                let range =
                    if self.random.chance(30) { format!("{high} downto 0") } else { format!("0 to {high}") };
                self.out.line(format!("for {name} = {range} do"));
                self.body(scope, |s| s.enter(&name, &INT));
            }
            2 => {
                let low = self.random.below(3);
                self.out.line(format!("for {name} in {low} .. {} .. 7 do", self.random.between(2, 4)));
                self.body(scope, |s| s.enter(&name, &INT));
            }
            3 | 4 => {
                let of = self.some_type(1);
                let list = self.random.chance(50);
                let boxed = Box::new(of.clone());
                let items = self.expr(&if list { Ty::List(boxed) } else { Ty::Array(boxed) }, scope, 3);
                let keep = if list { "few" } else { "small" };
                self.out.line(format!("for {name} in {keep} {items} do"));
                self.body(scope, |s| s.enter(&name, &of));
            }
            _ => {
                let high = self.random.below(4);
                let c = self.expr(&Ty::Bool, scope, 2);
                self.out.line(format!("let mutable {name} = {high}"));
                self.out.line(format!("while {name} > 0 && (fuel.Value > 0 || {c}) do"));
                self.out.open();
                self.out.line(format!("{name} <- {name} - 1"));
                self.out.close();
                self.body(scope, |s| s.loops += 1);
            }
        }
    }

    fn local_function(&mut self, scope: &mut Scope) {
        let name = self.name("f");
        let params: Vec<Ty> = (0..self.random.between(1, 2)).map(|_| self.some_type(1)).collect();
        let ret = self.some_type(1);
        let mut inner = scope.captured();
        let head = self.params(&params, &mut inner);
        self.out.line(format!("let {name} {head}: {} =", self.types.text(&ret)));
        self.out.open();
        let statements = self.random.below(2);
        self.block(&ret, &mut inner, statements);
        self.out.close();
        scope.add(&name, &Ty::Fun(params.clone(), Box::new(ret.clone())));
        scope.funs.push(Fun { name, params, ret, generic: None });
    }

    /// A local function that calls itself, in tail position or not.
    fn local_recursion(&mut self, scope: &mut Scope) {
        let name = self.name("go");
        let ty = self.some_type(1);
        let text = self.types.text(&ty);
        self.out.line(format!("let rec {name} (n: int) (acc: {text}) : {text} ="));
        self.out.open();
        let mut inner = scope.captured();
        inner.add("acc", &ty);
        inner.add("n", &INT);
        let stop = self.expr(&ty, &inner, 2);
        let next = self.expr(&ty, &inner, 3);
        self.out.line(format!("if n <= 0 || tired () then {stop}"));
        if self.random.chance(60) {
            self.out.line(format!("else {name} (n - 1) ({})", Self::bounded(&ty, next)));
        } else {
            self.out.line("else");
            self.out.open();
            self.out.line(format!("let acc : {text} = {name} (n - 1) ({})", Self::bounded(&ty, next)));
            let value = self.expr(&ty, &inner, 3);
            self.out.line(Self::bounded(&ty, value));
            self.out.close();
        }
        self.out.close();
        let result = self.name("x");
        let start = self.expr(&ty, scope, 2);
        self.out.line(format!("let {result} : {text} = {name} {} {start}", self.random.below(8)));
        scope.add(&result, &ty);
    }

    /// The parameters of a function, which the scope then has.
    pub fn params(&mut self, types: &[Ty], scope: &mut Scope) -> String {
        let mut head = String::new();
        for ty in types {
            let name = self.name("a");
            head += &format!("({name}: {}) ", self.types.text(ty));
            scope.add(&name, ty);
        }
        head
    }
}
