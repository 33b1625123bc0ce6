//! Patterns and `match`.

use super::program::{Gen, Scope};
use super::types::{INT, Ty, literal};

impl Gen<'_> {
    /// A `match` on one line, in brackets.
    pub fn match_expr(&mut self, ty: &Ty, scope: &Scope, d: usize) -> String {
        let on = self.matched_type(scope);
        let subject = self.subject(&on, scope, d);
        let mut text = format!("(match {subject} with");
        for (pattern, inner) in self.arms(&on, scope) {
            let guard = self.guard(&pattern, &inner, d);
            text += &format!(" | {pattern}{guard} -> {}", self.expr(ty, &inner, d));
        }
        text + ")"
    }

    /// What is looked at: a tuple is sometimes written without brackets.
    pub fn subject(&mut self, on: &Ty, scope: &Scope, d: usize) -> String {
        match on {
            Ty::Tuple(parts) if self.random.chance(60) => {
                let parts: Vec<String> = parts.iter().map(|p| self.expr(p, scope, d)).collect();
                parts.join(", ")
            }
            _ => self.expr(on, scope, d),
        }
    }

    pub fn matched_type(&mut self, scope: &Scope) -> Ty {
        if !scope.vars.is_empty() && self.random.chance(45) {
            return self.random.pick(&scope.vars).ty.clone();
        }
        match self.random.below(8) {
            0 => INT,
            1 | 2 if !self.types.unions.is_empty() => {
                let n = self.random.below(self.types.unions.len());
                let params = self.types.unions[n].params;
                Ty::Union(n, (0..params).map(|_| self.plain_type(1)).collect())
            }
            _ => self.some_type(2),
        }
    }

    pub fn guard(&mut self, pattern: &str, scope: &Scope, d: usize) -> String {
        // The last arm takes everything.
        if pattern != "_" && self.random.chance(20) {
            format!(" when {}", self.expr(&Ty::Bool, scope, d.min(1)))
        } else {
            String::new()
        }
    }

    /// Patterns that together take every value, with what each binds. The last one takes every value by itself, or
    /// there is one for each case of a union.
    pub fn arms(&mut self, on: &Ty, scope: &Scope) -> Vec<(String, Scope)> {
        let mut arms = Vec::new();
        for _ in 0..self.random.between(1, 3) {
            let mut inner = scope.clone();
            let pattern = self.pattern(on, 2, &mut inner);
            if pattern == "_" {
                break;
            }
            arms.push((pattern, inner));
        }
        if self.random.chance(20) {
            let name = self.name("w");
            arms.push((name.clone(), scope.with(&name, on)));
            // A guard on this one would leave values over.
            arms.push(("_".into(), scope.clone()));
        } else {
            arms.push(("_".into(), scope.clone()));
        }
        arms
    }

    fn bound(&mut self, ty: &Ty, scope: &mut Scope) -> String {
        if self.random.chance(25) {
            return "_".into();
        }
        let name = self.name("v");
        scope.add(&name, ty);
        name
    }

    pub fn pattern(&mut self, ty: &Ty, depth: usize, scope: &mut Scope) -> String {
        if depth == 0 || self.random.chance(20) {
            return self.bound(ty, scope);
        }
        let d = depth - 1;
        if self.random.chance(8) {
            let name = self.name("s");
            let inner = self.pattern(ty, d, scope);
            scope.add(&name, ty);
            return format!("({inner} as {name})");
        }
        match ty {
            Ty::Int(0) => self.int_pattern(scope),
            Ty::Int(_) | Ty::Str | Ty::Char | Ty::Bool | Ty::Colour => self.constants(ty),
            Ty::Tuple(parts) => format!("({})", self.patterns(parts, d, scope).join(", ")),
            Ty::List(of) => match self.random.below(4) {
                0 => "[]".into(),
                1 => format!("({} :: {})", self.pattern(of, d, scope), self.pattern(ty, d, scope)),
                n => format!("[ {} ]", self.patterns(&vec![(**of).clone(); n - 1], d, scope).join("; ")),
            },
            Ty::Array(of) => match self.random.below(3) {
                0 => "[||]".into(),
                n => format!("[| {} |]", self.patterns(&vec![(**of).clone(); n], d, scope).join("; ")),
            },
            Ty::Opt(_) if self.random.chance(30) => "None".into(),
            Ty::Opt(of) => format!("(Some {})", self.pattern(of, d, scope)),
            Ty::Res(of, _) if self.random.chance(60) => format!("(Ok {})", self.pattern(of, d, scope)),
            Ty::Res(_, of) => format!("(Error {})", self.pattern(of, d, scope)),
            Ty::Record(n, args) => {
                let fields = self.types.fields(*n, args);
                let (name, of, _) = self.random.pick(&fields).clone();
                format!("{{ {name} = {} }}", self.pattern(&of, d, scope))
            }
            Ty::Union(n, args) => {
                let case = self.random.below(self.types.unions[*n].cases.len());
                let (name, fields) = self.types.case(*n, case, args);
                match fields.len() {
                    0 => name,
                    _ if self.random.chance(15) => format!("({name} _)"),
                    _ => format!("({name} ({}))", self.patterns(&fields, d, scope).join(", ")),
                }
            }
            _ => self.bound(ty, scope),
        }
    }

    fn patterns(&mut self, types: &[Ty], d: usize, scope: &mut Scope) -> Vec<String> {
        types.iter().map(|t| self.pattern(t, d, scope)).collect()
    }

    fn constants(&mut self, ty: &Ty) -> String {
        let mut texts: Vec<String> = Vec::new();
        for _ in 0..self.random.between(1, 2) {
            // Patterns are single literals: no signs, no sums.
            let text = literal(self.random, ty).filter(|t| !t.starts_with('('));
            texts.extend(text);
        }
        match texts.len() {
            0 => "_".into(),
            1 => texts.remove(0),
            _ => format!("({})", texts.join(" | ")),
        }
    }

    fn int_pattern(&mut self, scope: &mut Scope) -> String {
        match self.random.below(6) {
            0 => (*self.random.pick(&["Even", "Odd"])).into(),
            1 => {
                let name = self.name("v");
                scope.add(&name, &INT);
                format!("(Above {} {name})", self.random.below(50))
            }
            2 => {
                let (a, b) = (self.name("v"), self.name("v"));
                scope.add(&a, &INT);
                scope.add(&b, &INT);
                format!("(Halves ({a}, {b}))")
            }
            _ => self.constants(&INT),
        }
    }
}
