//! Exhaustiveness and redundancy of matches, after Maranget's usefulness.
//!
//! Works on closed types. Partial active patterns count as guards. Work is bounded: a match that needs too many steps is
//! taken as complete.

use super::types::Ty;
use super::{Checker, MatchOrigin};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::typed::{ExprId, ExprKind, PatId, PatKind, Type, TypeDefKind};
use ustr::Ustr;

const BUDGET: u32 = 20_000;

#[derive(Clone, PartialEq, Debug)]
enum Ctor {
    /// Case of a union.
    Case(u32),
    /// Tuple, record, unit: the only one of its type.
    Single,
    Bool(bool),
    Int(i64),
    Char(char),
    Float(u64),
    Text(Ustr),
    Array(usize),
    /// Case of a total active pattern with that many cases.
    Choice(u32, u32, Ty),
}

#[derive(Clone, Debug)]
enum P {
    Wild,
    Is(Ctor, Vec<P>),
    Or(Box<P>, Box<P>),
    /// Matches some values only, nobody knows which.
    Opaque,
}

type Row = Vec<P>;

impl Checker<'_> {
    /// Warns of values that a match does not cover, and of arms that no value reaches.
    pub(crate) fn check_match(&mut self, id: ExprId, origin: MatchOrigin) {
        let e = &self.cx.body[id];
        let span = e.span;
        let ExprKind::Match { scrutinee, arms } = &e.kind else { return };
        let ty = self.ty(*scrutinee);
        let arms = arms.clone();
        let mut budget = BUDGET;
        let mut rows: Vec<Row> = Vec::with_capacity(arms.len());
        for arm in &arms {
            let p = self.simplify(arm.pat);
            if matches!(self.types.table.get(ty), Type::Error) || is_broken(&self.cx.body, arm.pat) {
                return;
            }
            let reached = self.useful(&rows, std::slice::from_ref(&p), &[ty], &mut budget);
            if !reached && budget > 0 {
                let at = self.cx.body[arm.pat].span;
                self.diags.push(
                    Diagnostic::warning(codes::UNREACHABLE_ARM, at, "no value reaches this arm")
                        .note("the arms before it cover everything that it matches")
                        .help("remove it, or move it up"),
                );
            }
            if arm.guard.is_none() && !has_opaque(&p) {
                rows.push(vec![p]);
            }
        }
        let Some(missing) = self.missing(&rows, &[ty], &mut budget) else { return };
        if budget == 0 {
            return;
        }
        let example = missing.first().map_or_else(|| "_".to_owned(), |p| self.example(p, ty, 0));
        let at = if origin == MatchOrigin::Binding {
            arms.first().map_or(span, |a| self.cx.body[a.pat].span)
        } else {
            span
        };
        let what = if origin == MatchOrigin::Binding { "this pattern" } else { "this match" };
        let guards = arms.iter().any(|a| a.guard.is_some());
        let mut d = Diagnostic::warning(
            codes::INCOMPLETE_MATCH,
            at,
            format!("{what} does not cover all values: `{example}` is missing"),
        );
        if guards {
            d = d.note("an arm with a guard counts as not covering, for the guard may be false");
        }
        d = if origin == MatchOrigin::Binding {
            d.help("use `match` with an arm for the rest; a value that does not fit stops the program")
        } else {
            d.help(format!("add an arm `| {example} -> ..`, or `| _ -> ..`"))
        };
        self.diags.push(d);
    }

    fn simplify(&self, pat: PatId) -> P {
        let p = &self.cx.body[pat];
        match &p.kind {
            PatKind::Wild | PatKind::Bind(_) | PatKind::Error => P::Wild,
            PatKind::As(inner, _) => self.simplify(*inner),
            PatKind::Bool(b) => P::Is(Ctor::Bool(*b), Vec::new()),
            PatKind::Char(c) => P::Is(Ctor::Char(*c), Vec::new()),
            PatKind::String(s) => P::Is(Ctor::Text(*s), Vec::new()),
            PatKind::Int(n) => P::Is(Ctor::Int(*n), Vec::new()),
            PatKind::Float(x) => P::Is(Ctor::Float(x.to_bits()), Vec::new()),
            PatKind::Unit => P::Is(Ctor::Single, Vec::new()),
            PatKind::Case { case, fields } => {
                P::Is(Ctor::Case(*case), fields.iter().map(|&f| self.simplify(f)).collect())
            }
            PatKind::Fields(fields) => {
                let n = self.field_count(p.ty);
                let mut out = vec![P::Wild; n];
                for &(i, f) in fields {
                    if let Some(slot) = out.get_mut(i as usize) {
                        *slot = self.simplify(f);
                    }
                }
                P::Is(Ctor::Single, out)
            }
            PatKind::Array(items) => {
                P::Is(Ctor::Array(items.len()), items.iter().map(|&i| self.simplify(i)).collect())
            }
            PatKind::Or(a, b) => P::Or(Box::new(self.simplify(*a)), Box::new(self.simplify(*b))),
            PatKind::And(a, b) => match (self.simplify(*a), self.simplify(*b)) {
                (P::Wild, q) | (q, P::Wild) => q,
                _ => P::Opaque,
            },
            PatKind::Active { case: None, .. } => P::Opaque,
            PatKind::Active { call, case: Some(case), pat } => {
                let to = match self.types.table.get(self.ty(*call)) {
                    Type::Fun(_, to) => *to,
                    _ => return P::Opaque,
                };
                let inner = self.simplify(*pat);
                match self.types.table.get(to) {
                    Type::Named(d, args) if self.type_defs[d.index()].name.starts_with("Choice") => {
                        P::Is(Ctor::Choice(*case, args.len() as u32, self.cx.body[*pat].ty), vec![inner])
                    }
                    _ if matches!(inner, P::Wild) => P::Wild,
                    _ => P::Opaque,
                }
            }
        }
    }

    fn field_count(&self, ty: Ty) -> usize {
        match self.types.table.get(ty) {
            Type::Tuple(items) => items.len(),
            Type::AnonRecord(fields) => fields.len(),
            Type::Named(d, _) => match &self.type_defs[d.index()].kind {
                TypeDefKind::Record(fields) => fields.len(),
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Types of a constructor's parts.
    fn parts(&mut self, ctor: &Ctor, ty: Ty) -> Vec<Ty> {
        let shape = self.types.table.get(ty).clone();
        match (ctor, shape) {
            (Ctor::Choice(_, _, payload), _) => vec![*payload],
            (Ctor::Array(n), Type::Array(e)) => vec![e; *n],
            (Ctor::Single, Type::Tuple(items)) => items,
            (Ctor::Single, Type::AnonRecord(fields)) => fields.iter().map(|f| f.1).collect(),
            (Ctor::Single | Ctor::Case(_), Type::Named(d, args)) => {
                let raw: Vec<Ty> = match (&self.type_defs[d.index()].kind, ctor) {
                    (TypeDefKind::Record(fields), _) => fields.iter().map(|f| f.ty).collect(),
                    (TypeDefKind::Union(cases), Ctor::Case(c)) => cases
                        .get(*c as usize)
                        .map_or_else(Vec::new, |c| c.fields.iter().map(|f| f.ty).collect()),
                    _ => Vec::new(),
                };
                raw.into_iter().map(|t| self.types.instantiate(t, &args)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// All constructors of a type, if they are few; `used` tells what an active pattern's column has.
    fn all_ctors(&self, ty: Ty, used: &[Ctor]) -> Option<Vec<Ctor>> {
        if let Some(Ctor::Choice(..)) = used.first() {
            let n = used.iter().find_map(|c| if let Ctor::Choice(_, n, _) = c { Some(*n) } else { None })?;
            return (0..n)
                .map(|i| used.iter().find(|c| matches!(c, Ctor::Choice(k, ..) if *k == i)).cloned())
                .collect();
        }
        match self.types.table.get(ty) {
            Type::Bool => Some(vec![Ctor::Bool(true), Ctor::Bool(false)]),
            Type::Unit | Type::Tuple(_) | Type::AnonRecord(_) => Some(vec![Ctor::Single]),
            Type::Named(d, _) => match &self.type_defs[d.index()].kind {
                TypeDefKind::Record(_) => Some(vec![Ctor::Single]),
                TypeDefKind::Union(cases) => Some((0..cases.len() as u32).map(Ctor::Case).collect()),
                TypeDefKind::Enum(cases) => Some(cases.iter().map(|c| Ctor::Int(i64::from(c.1))).collect()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Values that no row matches: one of them, column by column.
    fn missing(&mut self, rows: &[Row], tys: &[Ty], budget: &mut u32) -> Option<Vec<P>> {
        *budget = budget.saturating_sub(1);
        if *budget == 0 {
            return None;
        }
        let Some((&ty, rest)) = tys.split_first() else { return rows.is_empty().then(Vec::new) };
        let used = used_ctors(rows);
        let all = self.all_ctors(ty, &used);
        if let Some(all) = &all
            && !used.is_empty()
            && all.iter().all(|c| used.contains(c))
        {
            for c in all {
                let parts = self.parts(c, ty);
                let inner: Vec<Row> = rows.iter().flat_map(|r| specialise(r, c, parts.len())).collect();
                let mut tys = parts.clone();
                tys.extend_from_slice(rest);
                if let Some(mut found) = self.missing(&inner, &tys, budget) {
                    let tail = found.split_off(parts.len());
                    let mut out = vec![P::Is(c.clone(), found)];
                    out.extend(tail);
                    return Some(out);
                }
            }
            return None;
        }
        let inner: Vec<Row> = rows.iter().flat_map(default_rows).collect();
        let tail = self.missing(&inner, rest, budget)?;
        let head = match &all {
            Some(all) if !used.is_empty() => match all.iter().find(|c| !used.contains(c)) {
                Some(c) => P::Is(c.clone(), vec![P::Wild; self.parts(c, ty).len()]),
                None => P::Wild,
            },
            _ if used.is_empty() => P::Wild,
            _ => other_than(&used),
        };
        let mut out = vec![head];
        out.extend(tail);
        Some(out)
    }

    /// Does the last row match anything that the others do not?
    fn useful(&mut self, rows: &[Row], q: &[P], tys: &[Ty], budget: &mut u32) -> bool {
        *budget = budget.saturating_sub(1);
        let Some((first, q_rest)) = q.split_first() else { return rows.is_empty() };
        if *budget == 0 {
            return true;
        }
        let Some((&ty, rest)) = tys.split_first() else { return true };
        match first {
            P::Is(c, args) => {
                let parts = self.parts(c, ty);
                let n = args.len();
                let inner: Vec<Row> = rows.iter().flat_map(|r| specialise(r, c, n)).collect();
                let mut q: Row = args.clone();
                q.extend_from_slice(q_rest);
                let mut tys = parts;
                tys.resize(n, self.types.known.error);
                tys.extend_from_slice(rest);
                self.useful(&inner, &q, &tys, budget)
            }
            P::Or(a, b) => [a, b].into_iter().any(|p| {
                let mut q: Row = vec![(**p).clone()];
                q.extend_from_slice(q_rest);
                self.useful(rows, &q, tys, budget)
            }),
            P::Wild | P::Opaque => {
                let used = used_ctors(rows);
                let all = self.all_ctors(ty, &used);
                if let Some(all) = all
                    && !used.is_empty()
                    && all.iter().all(|c| used.contains(c))
                {
                    return all.iter().any(|c| {
                        let parts = self.parts(c, ty);
                        let n = parts.len();
                        let inner: Vec<Row> = rows.iter().flat_map(|r| specialise(r, c, n)).collect();
                        let mut q: Row = vec![P::Wild; n];
                        q.extend_from_slice(q_rest);
                        let mut tys = parts;
                        tys.extend_from_slice(rest);
                        self.useful(&inner, &q, &tys, budget)
                    });
                }
                let inner: Vec<Row> = rows.iter().flat_map(default_rows).collect();
                self.useful(&inner, q_rest, rest, budget)
            }
        }
    }

    /// A missing value as a pattern.
    fn example(&mut self, p: &P, ty: Ty, prec: u8) -> String {
        let P::Is(ctor, args) = p else { return "_".to_owned() };
        let parts = self.parts(ctor, ty);
        let shape = self.types.table.get(ty).clone();
        match (ctor, shape) {
            (Ctor::Bool(b), _) => b.to_string(),
            (Ctor::Int(n), Type::Named(d, _)) => match &self.type_defs[d.index()].kind {
                TypeDefKind::Enum(cases) => {
                    let case = cases.iter().find(|c| i64::from(c.1) == *n).map_or("_", |c| c.0.as_str());
                    format!("{}.{case}", self.type_defs[d.index()].name)
                }
                _ => n.to_string(),
            },
            (Ctor::Int(n), _) => n.to_string(),
            (Ctor::Char(c), _) => format!("{c:?}"),
            (Ctor::Text(s), _) => format!("{:?}", s.as_str()),
            (Ctor::Float(bits), _) => format!("{:?}", f64::from_bits(*bits)),
            (Ctor::Single, Type::Unit) => "()".to_owned(),
            (Ctor::Single, Type::Tuple(_)) => {
                let items: Vec<String> =
                    args.iter().zip(&parts).map(|(a, &t)| self.example(a, t, 1)).collect();
                if prec > 0 { format!("({})", items.join(", ")) } else { items.join(", ") }
            }
            (Ctor::Single, Type::Named(d, _)) => {
                let names: Vec<Ustr> = match &self.type_defs[d.index()].kind {
                    TypeDefKind::Record(fields) => fields.iter().map(|f| f.name).collect(),
                    _ => Vec::new(),
                };
                let mut shown = Vec::new();
                for ((a, &t), name) in args.iter().zip(&parts).zip(names) {
                    if !matches!(a, P::Wild) {
                        shown.push(format!("{name} = {}", self.example(a, t, 0)));
                    }
                }
                if shown.is_empty() { "_".to_owned() } else { format!("{{ {} }}", shown.join("; ")) }
            }
            (Ctor::Array(_), _) => {
                let items: Vec<String> =
                    args.iter().zip(&parts).map(|(a, &t)| self.example(a, t, 0)).collect();
                format!("[|{}|]", items.join("; "))
            }
            (Ctor::Case(c), Type::Named(d, _)) => {
                if Some(d) == self.core.list {
                    return match (c, args.as_slice()) {
                        (1, [head, tail]) => {
                            let head = self.example(head, parts[0], 2);
                            let tail = self.example(tail, parts[1], 1);
                            let text = format!("{head} :: {tail}");
                            if prec > 1 { format!("({text})") } else { text }
                        }
                        _ => "[]".to_owned(),
                    };
                }
                let name = match &self.type_defs[d.index()].kind {
                    TypeDefKind::Union(cases) => cases[*c as usize].name,
                    _ => return "_".to_owned(),
                };
                let items: Vec<String> = args
                    .iter()
                    .zip(&parts)
                    .map(|(a, &t)| self.example(a, t, u8::from(args.len() == 1) * 2))
                    .collect();
                match items.as_slice() {
                    [] => name.to_string(),
                    [one] => {
                        let text = format!("{name} {one}");
                        if prec > 1 { format!("({text})") } else { text }
                    }
                    many => format!("{name} ({})", many.join(", ")),
                }
            }
            _ => "_".to_owned(),
        }
    }
}

fn is_broken(body: &crate::typed::Body, pat: PatId) -> bool {
    match &body[pat].kind {
        PatKind::Error => true,
        PatKind::As(p, _) | PatKind::Active { pat: p, .. } => is_broken(body, *p),
        PatKind::Case { fields, .. } | PatKind::Array(fields) => fields.iter().any(|&f| is_broken(body, f)),
        PatKind::Fields(fields) => fields.iter().any(|f| is_broken(body, f.1)),
        PatKind::Or(a, b) | PatKind::And(a, b) => is_broken(body, *a) || is_broken(body, *b),
        _ => false,
    }
}

fn has_opaque(p: &P) -> bool {
    match p {
        P::Opaque => true,
        P::Wild => false,
        P::Is(_, args) => args.iter().any(has_opaque),
        P::Or(a, b) => has_opaque(a) || has_opaque(b),
    }
}

fn used_ctors(rows: &[Row]) -> Vec<Ctor> {
    fn add(p: &P, out: &mut Vec<Ctor>) {
        match p {
            P::Is(c, _) if !out.contains(c) => out.push(c.clone()),
            P::Or(a, b) => {
                add(a, out);
                add(b, out);
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    for row in rows {
        if let Some(first) = row.first() {
            add(first, &mut out);
        }
    }
    out
}

/// A row under the assumption that the first column is of a constructor.
fn specialise(row: &Row, ctor: &Ctor, arity: usize) -> Vec<Row> {
    let Some((first, rest)) = row.split_first() else { return Vec::new() };
    match first {
        P::Is(c, args) if c == ctor => {
            let mut out = args.clone();
            out.resize(arity, P::Wild);
            out.extend_from_slice(rest);
            vec![out]
        }
        P::Is(..) | P::Opaque => Vec::new(),
        P::Wild => {
            let mut out = vec![P::Wild; arity];
            out.extend_from_slice(rest);
            vec![out]
        }
        P::Or(a, b) => [a, b]
            .into_iter()
            .flat_map(|p| {
                let mut row = vec![(**p).clone()];
                row.extend_from_slice(rest);
                specialise(&row, ctor, arity)
            })
            .collect(),
    }
}

/// A row under the assumption that the first column is of no constructor that is named.
fn default_rows(row: &Row) -> Vec<Row> {
    let Some((first, rest)) = row.split_first() else { return Vec::new() };
    match first {
        P::Wild => vec![rest.to_vec()],
        P::Is(..) | P::Opaque => Vec::new(),
        P::Or(a, b) => [a, b]
            .into_iter()
            .flat_map(|p| {
                let mut row = vec![(**p).clone()];
                row.extend_from_slice(rest);
                default_rows(&row)
            })
            .collect(),
    }
}

/// A literal that is not among those used.
fn other_than(used: &[Ctor]) -> P {
    let fits = |c: &Ctor| !used.contains(c);
    let found = match used.first() {
        Some(Ctor::Int(_)) => (0..).map(Ctor::Int).find(fits),
        Some(Ctor::Char(_)) => ('a'..='z').map(Ctor::Char).find(fits),
        Some(Ctor::Text(_)) => ["", "a", "b", "other"].iter().map(|s| Ctor::Text(Ustr::from(s))).find(fits),
        Some(Ctor::Array(_)) => (0..).map(Ctor::Array).find(fits),
        _ => None,
    };
    match found {
        Some(Ctor::Array(n)) => P::Is(Ctor::Array(n), vec![P::Wild; n]),
        Some(c) => P::Is(c, Vec::new()),
        None => P::Wild,
    }
}
