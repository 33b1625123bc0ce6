//! Expressions of any type: what is in scope, calls, conditions, and the types that hold others.

use super::program::{Gen, Scope};
use super::types::{INT, Ty, literal, subst};

impl Gen<'_> {
    /// An expression that can stand as an argument: a name, a literal, or something in brackets.
    pub fn expr(&mut self, ty: &Ty, scope: &Scope, depth: usize) -> String {
        self.size += 1;
        let unknown = matches!(ty, Ty::Param(_));
        if depth == 0 || self.size > self.limit {
            return self.leaf(ty, scope);
        }
        let d = depth - 1;
        match self.random.below(100) {
            0..=17 => self.leaf(ty, scope),
            18..=23 => {
                let c = self.expr(&Ty::Bool, scope, d);
                format!("(if {c} then {} else {})", self.expr(ty, scope, d), self.expr(ty, scope, d))
            }
            24..=31 => self.match_expr(ty, scope, d),
            32..=39 => self.call(ty, scope, d),
            40..=44 => self.part(ty, scope, d),
            45..=47 => {
                let f = self.lambda(&[ty.clone()], ty, scope, d);
                let x = self.expr(ty, scope, d);
                if self.random.chance(50) { format!("({x} |> {f})") } else { format!("({f} <| {x})") }
            }
            48 | 49 => format!("(say {} {})", self.random.below(100), self.expr(ty, scope, d)),
            50 | 51 => {
                let of = self.some_type(1);
                let name = self.name("y");
                let value = self.expr(&of, scope, d);
                let inner = scope.with(&name, &of);
                format!("(let {name}: {} = {value} in {})", self.types.text(&of), self.expr(ty, &inner, d))
            }
            _ if unknown => self.leaf(ty, scope),
            _ => self.of_type(ty, scope, depth),
        }
    }

    fn of_type(&mut self, ty: &Ty, scope: &Scope, depth: usize) -> String {
        match ty {
            Ty::Int(kind) => self.int_expr(*kind, scope, depth),
            Ty::Float | Ty::Float32 => self.float_expr(ty, scope, depth),
            Ty::Metres => self.metres_expr(scope, depth),
            Ty::Kilos => self.kilos_expr(scope, depth),
            Ty::Bool => self.bool_expr(scope, depth),
            Ty::Char => self.char_expr(scope, depth),
            Ty::Str => self.str_expr(scope, depth),
            Ty::List(of) => self.list_expr(of, scope, depth),
            Ty::Array(of) => self.array_expr(of, scope, depth),
            Ty::Opt(of) => self.option_expr(of, scope, depth),
            Ty::Map(key, of) => self.map_expr(key, of, scope, depth),
            Ty::Set(of) => self.set_expr(of, scope, depth),
            Ty::Record(n, args) if self.random.chance(40) => {
                let fields = self.types.fields(*n, args);
                let (name, field, _) = self.random.pick(&fields).clone();
                let record = self.expr(ty, scope, depth - 1);
                format!("{{ {record} with {name} = {} }}", self.expr(&field, scope, depth - 1))
            }
            Ty::Res(a, b) if self.random.chance(40) => {
                let from = self.some_type(1);
                let f = self.lambda(&[from.clone()], a, scope, depth - 1);
                let x = self.expr(&Ty::Res(Box::new(from), b.clone()), scope, depth - 1);
                format!("(Result.map {f} {x})")
            }
            _ => self.value(ty, scope, depth),
        }
    }

    /// A name, or the smallest value.
    pub fn leaf(&mut self, ty: &Ty, scope: &Scope) -> String {
        let named: Vec<&str> = scope.vars.iter().filter(|v| v.ty == *ty).map(|v| v.name.as_str()).collect();
        if !named.is_empty() && (matches!(ty, Ty::Param(_)) || self.random.chance(75)) {
            // Later names more often: they shadow less of what the compiler could fold.
            let n = self.random.below(named.len()).max(self.random.below(named.len()));
            return named[n].to_owned();
        }
        self.value(ty, scope, 0)
    }

    /// A literal, or what constructs a value; without depth, of the smallest parts.
    pub fn value(&mut self, ty: &Ty, scope: &Scope, depth: usize) -> String {
        if let Some(text) = literal(self.random, ty) {
            return text;
        }
        let d = depth.saturating_sub(1);
        let count = if depth == 0 { self.random.below(2) } else { self.random.below(4) };
        match ty {
            Ty::Tuple(parts) => format!("({})", self.list_of(parts, scope, d).join(", ")),
            Ty::List(of) if count == 0 => format!("([]: {} list)", self.types.text(of)),
            Ty::Array(of) if count == 0 => format!("([||]: {}[])", self.types.text(of)),
            Ty::List(of) => {
                format!("[ {} ]", self.list_of(&vec![(**of).clone(); count], scope, d).join("; "))
            }
            Ty::Array(of) => {
                format!("[| {} |]", self.list_of(&vec![(**of).clone(); count], scope, d).join("; "))
            }
            Ty::Opt(_) if count == 0 => format!("(None: {})", self.types.text(ty)),
            Ty::Opt(of) => format!("(Some {})", self.expr(of, scope, d)),
            Ty::Res(a, _) if count > 1 => format!("(Ok {}: {})", self.expr(a, scope, d), self.types.text(ty)),
            Ty::Res(_, b) => format!("(Error {}: {})", self.expr(b, scope, d), self.types.text(ty)),
            Ty::Map(key, of) => {
                let pair = Ty::List(Box::new(Ty::Tuple(vec![(**key).clone(), (**of).clone()])));
                format!("(Map.ofList {})", self.value(&pair, scope, depth))
            }
            Ty::Set(of) => format!("(Set.ofList {})", self.value(&Ty::List(of.clone()), scope, depth)),
            Ty::Record(n, args) => {
                let fields = self.types.fields(*n, args);
                let text: Vec<String> = fields
                    .iter()
                    .map(|(name, of, _)| format!("{name} = {}", self.expr(of, scope, d)))
                    .collect();
                format!("{{ {} }}", text.join("; "))
            }
            Ty::Union(n, args) => {
                let cases = self.types.unions[*n].cases.len();
                let (name, fields) =
                    self.types.case(*n, if depth == 0 { 0 } else { self.random.below(cases) }, args);
                match fields.len() {
                    0 => format!("({name}: {})", self.types.text(ty)),
                    _ => format!(
                        "({name} ({}): {})",
                        self.list_of(&fields, scope, d).join(", "),
                        self.types.text(ty)
                    ),
                }
            }
            Ty::Fun(from, to) => self.lambda(from, to, scope, d),
            // Every other type has literals.
            _ => "(failwith \"nothing of this type\")".into(),
        }
    }

    fn list_of(&mut self, types: &[Ty], scope: &Scope, d: usize) -> Vec<String> {
        types.iter().map(|t| self.expr(t, scope, d)).collect()
    }

    /// A function value; it sees no `let mutable`.
    pub fn lambda(&mut self, from: &[Ty], to: &Ty, scope: &Scope, d: usize) -> String {
        let mut inner = scope.captured();
        let mut params = String::new();
        for ty in from {
            let name = self.name("p");
            params += &format!("({name}: {}) ", self.types.text(ty));
            inner.add(&name, ty);
        }
        let known = Ty::Fun(from.to_vec(), Box::new(to.clone()));
        let named: Vec<String> =
            inner.vars.iter().filter(|v| v.ty == known).map(|v| v.name.clone()).collect();
        if !named.is_empty() && self.random.chance(40) {
            return self.random.pick(&named).clone();
        }
        format!("(fun {params}-> {})", self.expr(to, &inner, d))
    }

    /// A call of one of the program's functions, of a function in scope, or of a generic one of the prelude.
    fn call(&mut self, ty: &Ty, scope: &Scope, d: usize) -> String {
        let mut found: Vec<(String, Vec<Ty>)> = Vec::new();
        for f in self.funs.iter().chain(&scope.funs) {
            if f.ret == *ty && f.generic.is_none() {
                found.push((f.name.clone(), f.params.clone()));
            } else if f.generic.is_some() && f.ret == Ty::Param(0) {
                let with = [ty.clone()];
                found.push((f.name.clone(), f.params.iter().map(|p| subst(p, &with)).collect()));
            }
        }
        for v in &scope.vars {
            if let Ty::Fun(from, to) = &v.ty {
                if **to == *ty {
                    found.push((v.name.clone(), from.clone()));
                }
            }
        }
        if found.is_empty() || self.random.chance(15) {
            let (a, i, b) = (Box::new(ty.clone()), self.expr(&INT, scope, d), self.expr(ty, scope, d));
            return if self.random.chance(50) {
                format!("(at {} {i} {b})", self.expr(&Ty::Array(a), scope, d))
            } else {
                format!("(nth {} {i} {b})", self.expr(&Ty::List(a), scope, d))
            };
        }
        let (name, params) = self.random.pick(&found).clone();
        format!("({name} {})", self.list_of(&params, scope, d).join(" "))
    }

    /// A part of something that is in scope: a field, a member, an element.
    fn part(&mut self, ty: &Ty, scope: &Scope, d: usize) -> String {
        let mut found: Vec<String> = Vec::new();
        for v in &scope.vars {
            match &v.ty {
                Ty::Record(n, args) => {
                    let fields = self.types.fields(*n, args).into_iter();
                    found.extend(fields.filter(|f| f.1 == *ty).map(|f| format!("{}.{}", v.name, f.0)));
                    let members = self.types.records[*n].members.iter();
                    found.extend(members.filter(|m| m.1 == *ty).map(|m| format!("{}.{}", v.name, m.0)));
                }
                Ty::Union(n, _) => {
                    let members = self.types.unions[*n].members.iter();
                    found.extend(members.filter(|m| m.1 == *ty).map(|m| format!("{}.{}", v.name, m.0)));
                }
                Ty::Tuple(parts) if parts.len() == 2 && parts[0] == *ty => {
                    found.push(format!("(fst {})", v.name))
                }
                Ty::Tuple(parts) if parts.len() == 2 && parts[1] == *ty => {
                    found.push(format!("(snd {})", v.name))
                }
                Ty::Opt(of) if **of == *ty => {
                    found.push(format!("(defaultArg {} {})", v.name, self.leaf(ty, scope)));
                }
                _ => {}
            }
        }
        if found.is_empty() {
            return self.expr(ty, scope, d);
        }
        self.random.pick(&found).clone()
    }

    fn list_expr(&mut self, of: &Ty, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        let ty = Ty::List(Box::new(of.clone()));
        match self.random.below(16) {
            0 | 1 => {
                let from = self.some_type(1);
                let f = self.lambda(&[from.clone()], of, scope, d);
                format!("(List.map {f} {})", self.expr(&Ty::List(Box::new(from)), scope, d))
            }
            2 => {
                let f = self.lambda(&[of.clone()], &Ty::Bool, scope, d);
                format!("(List.filter {f} {})", self.expr(&ty, scope, d))
            }
            3 => format!("(few ({} @ {}))", self.expr(&ty, scope, d), self.expr(&ty, scope, d)),
            4 => format!("({} :: {})", self.expr(of, scope, d), self.expr(&ty, scope, d)),
            5 => format!("(List.rev {})", self.expr(&ty, scope, d)),
            6 if self.types.plain(of) => {
                let f = *self.random.pick(&["sort", "distinct", "sortDescending"]);
                format!("(List.{f} {})", self.expr(&ty, scope, d))
            }
            7 | 8 => self.comprehension("[", "]", of, scope, d),
            9 => {
                let f = self.lambda(&[INT], of, scope, d);
                format!("(List.init {} {f})", self.random.below(5))
            }
            10 => format!("(Array.toList {})", self.expr(&Ty::Array(Box::new(of.clone())), scope, d)),
            11 => {
                let f = self.lambda(&[INT], &ty, scope, d);
                format!("(few (List.collect {f} {}))", self.expr(&Ty::List(Box::new(INT)), scope, d))
            }
            12 => {
                let from = self.some_type(1);
                let f = self.lambda(&[from.clone()], &Ty::Opt(Box::new(of.clone())), scope, d);
                format!("(List.choose {f} {})", self.expr(&Ty::List(Box::new(from)), scope, d))
            }
            13 => {
                let f = self.lambda(&[INT], of, scope, d);
                format!("(Seq.toList (Seq.map {f} (seq {{ 1 .. {} }})))", self.random.below(5))
            }
            14 => {
                let key = self.random.pick(&[INT, Ty::Str]).clone();
                let f = self.lambda(&[of.clone()], &key, scope, d);
                format!("(List.sortBy {f} {})", self.expr(&ty, scope, d))
            }
            _ => self.value(&ty, scope, depth),
        }
    }

    /// A list or array comprehension with up to two loops, conditions and several yields.
    fn comprehension(&mut self, open: &str, close: &str, of: &Ty, scope: &Scope, d: usize) -> String {
        let name = self.name("i");
        let mut inner = scope.captured();
        inner.add(&name, &INT);
        let range = match self.random.below(4) {
            0 => format!("{} .. -1 .. 0", self.random.below(4)),
            1 => "1 .. 2 .. 6".into(),
            2 => self.expr(&Ty::List(Box::new(INT)), scope, d.min(1)),
            _ => format!("0 .. {}", self.random.below(4)),
        };
        let condition = if self.random.chance(40) {
            format!("if {} then ", self.expr(&Ty::Bool, &inner, d))
        } else {
            String::new()
        };
        format!("{open} for {name} in {range} do {condition}yield {} {close}", self.expr(of, &inner, d))
    }

    fn array_expr(&mut self, of: &Ty, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        let ty = Ty::Array(Box::new(of.clone()));
        match self.random.below(12) {
            0 | 1 => {
                let from = self.some_type(1);
                let f = self.lambda(&[from.clone()], of, scope, d);
                format!("(Array.map {f} {})", self.expr(&Ty::Array(Box::new(from)), scope, d))
            }
            2 => {
                let f = self.lambda(&[of.clone()], &Ty::Bool, scope, d);
                format!("(Array.filter {f} {})", self.expr(&ty, scope, d))
            }
            3 => format!("(small (Array.append {} {}))", self.expr(&ty, scope, d), self.expr(&ty, scope, d)),
            4 => {
                let f = self.lambda(&[INT], of, scope, d);
                format!("(Array.init {} {f})", self.random.below(5))
            }
            5 => format!("(Array.create {} {})", self.random.below(4), self.expr(of, scope, d)),
            6 => format!("(Array.rev {})", self.expr(&ty, scope, d)),
            7 => self.comprehension("[|", "|]", of, scope, d),
            8 => format!("(List.toArray {})", self.expr(&Ty::List(Box::new(of.clone())), scope, d)),
            9 if self.types.plain(of) => format!("(Array.sort {})", self.expr(&ty, scope, d)),
            10 => format!("(Array.copy {})", self.expr(&ty, scope, d)),
            _ => self.value(&ty, scope, depth),
        }
    }

    fn option_expr(&mut self, of: &Ty, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        let list = Ty::List(Box::new(of.clone()));
        match self.random.below(8) {
            0 => {
                let from = self.some_type(1);
                let f = self.lambda(&[from.clone()], of, scope, d);
                format!("(Option.map {f} {})", self.expr(&Ty::Opt(Box::new(from)), scope, d))
            }
            1 => {
                let from = self.some_type(1);
                let f = self.lambda(&[from.clone()], &Ty::Opt(Box::new(of.clone())), scope, d);
                format!("(Option.bind {f} {})", self.expr(&Ty::Opt(Box::new(from)), scope, d))
            }
            2 => {
                let f = self.lambda(&[of.clone()], &Ty::Bool, scope, d);
                format!("(List.tryFind {f} {})", self.expr(&list, scope, d))
            }
            3 => format!("(List.tryItem {} {})", self.expr(&INT, scope, d), self.expr(&list, scope, d)),
            4 if *of == INT => {
                let (a, b) = (self.name("b"), self.name("b"));
                let first = self.expr(&Ty::Opt(Box::new(INT)), scope, d);
                let one = scope.captured().with(&a, &INT);
                let second = self.expr(&Ty::Opt(Box::new(INT)), &one, d);
                let sum = self.expr(&INT, &one.with(&b, &INT), d);
                format!("(maybe {{ let! {a} = {first} in let! {b} = {second} in return {sum} }})")
            }
            5 => {
                let key = self.key_type();
                let map = self.expr(&Ty::Map(Box::new(key.clone()), Box::new(of.clone())), scope, d);
                format!("(Map.tryFind {} {map})", self.expr(&key, scope, d))
            }
            6 => format!("(List.tryLast {})", self.expr(&list, scope, d)),
            _ => self.value(&Ty::Opt(Box::new(of.clone())), scope, depth),
        }
    }

    fn map_expr(&mut self, key: &Ty, of: &Ty, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        let ty = Ty::Map(Box::new(key.clone()), Box::new(of.clone()));
        match self.random.below(6) {
            0 | 1 => {
                let (k, v) = (self.expr(key, scope, d), self.expr(of, scope, d));
                format!("(Map.add {k} {v} {})", self.expr(&ty, scope, d))
            }
            2 => format!("(Map.remove {} {})", self.expr(key, scope, d), self.expr(&ty, scope, d)),
            3 => {
                let f = self.lambda(&[key.clone(), of.clone()], of, scope, d);
                format!("(Map.map {f} {})", self.expr(&ty, scope, d))
            }
            4 => {
                let f = self.lambda(&[key.clone(), of.clone()], &Ty::Bool, scope, d);
                format!("(Map.filter {f} {})", self.expr(&ty, scope, d))
            }
            _ => self.value(&ty, scope, depth),
        }
    }

    fn set_expr(&mut self, of: &Ty, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        let ty = Ty::Set(Box::new(of.clone()));
        match self.random.below(5) {
            0 => format!("(Set.add {} {})", self.expr(of, scope, d), self.expr(&ty, scope, d)),
            1 => format!("(Set.remove {} {})", self.expr(of, scope, d), self.expr(&ty, scope, d)),
            2 => {
                let f = *self.random.pick(&["union", "intersect", "difference"]);
                format!("(Set.{f} {} {})", self.expr(&ty, scope, d), self.expr(&ty, scope, d))
            }
            3 => {
                let f = self.lambda(&[INT], of, scope, d);
                format!("(Set.map {f} (Set.ofList {}))", self.expr(&Ty::List(Box::new(INT)), scope, d))
            }
            _ => self.value(&ty, scope, depth),
        }
    }
}
