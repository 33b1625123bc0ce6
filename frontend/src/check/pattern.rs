//! Patterns: names are bound as they are met; both sides of an or-pattern bind the same names.

use super::decls::NO_EXPR;
use super::expr::int_bits;
use super::types::{Ty, Why};
use super::{Checker, Value};
use crate::ast::{Ident, Lit, Path, Pattern, PatternKind as P};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{ExprKind, LocalId, PatId, PatKind, Type, TypeArg, TypeDefId, TypeDefKind};
use smallvec::SmallVec;
use ustr::Ustr;

impl<'a> Checker<'a> {
    /// Checks a pattern against the type of what it matches.
    pub(crate) fn pattern(&mut self, p: &'a Pattern, ty: Ty) -> PatId {
        let span = p.span;
        let kind = match &p.kind {
            P::Wildcard => PatKind::Wild,
            P::Paren(inner) => return self.pattern(inner, ty),
            P::Name(ident) => match self.pattern_value(*ident) {
                Some(value) => return self.value_pattern(value, *ident, &[], ty, span),
                None => PatKind::Bind(self.bind_local(*ident, ty)),
            },
            P::Apply { path, args } => return self.apply_pattern(path, args, ty, span),
            P::ApplyNamed { path, fields } => self.named_pattern(path, fields, ty, span),
            P::Lit(lit) => self.literal_pattern(lit, ty, span),
            P::Null => PatKind::Error, // the parser has reported it
            P::Tuple(items) => {
                let tys: Vec<Ty> = match self.types.shape(ty) {
                    Some(Type::Tuple(ts)) if ts.len() == items.len() => ts.clone(),
                    _ => items.iter().map(|_| self.types.fresh()).collect(),
                };
                let whole = self.types.make(Type::Tuple(tys.clone()));
                self.unify_at(ty, whole, span, Why::Pattern(span));
                let fields = items.iter().zip(tys).enumerate();
                PatKind::Fields(fields.map(|(i, (p, t))| (i as u32, self.pattern(p, t))).collect())
            }
            P::List(items) => return self.list_pattern(items, ty, span),
            P::Array(items) => {
                let element = self.types.fresh();
                let whole = self.types.make(Type::Array(element));
                self.unify_at(ty, whole, span, Why::Pattern(span));
                PatKind::Array(items.iter().map(|i| self.pattern(i, element)).collect())
            }
            P::Cons(head, tail) => {
                let element = self.types.fresh();
                let list = self.list_of(element);
                self.unify_at(ty, list, span, Why::Pattern(span));
                let head = self.pattern(head, element);
                let tail = self.pattern(tail, list);
                PatKind::Case { case: 1, fields: vec![head, tail] }
            }
            P::Or(a, b) => self.or_pattern(a, b, ty, span),
            P::And(a, b) => {
                let a = self.pattern(a, ty);
                let b = self.pattern(b, ty);
                PatKind::And(a, b)
            }
            P::As(inner, name) => {
                let inner = self.pattern(inner, ty);
                PatKind::As(inner, self.bind_local(*name, ty))
            }
            P::Record(fields) => self.record_pattern(fields, ty, span),
            P::Typed(inner, t) => {
                let written = self.type_expr(t);
                self.unify_at(written, ty, span, Why::Annotation(t.span));
                return self.pattern(inner, ty);
            }
            P::Error => PatKind::Error,
        };
        self.push_pat(kind, ty, span)
    }

    /// A case, literal or active case of that name; lower-case locals and functions are no patterns.
    fn pattern_value(&self, ident: Ident) -> Option<Value> {
        match self.find_value(ident.name)? {
            v @ (Value::Case(..) | Value::EnumCase(..) | Value::Active(..)) => Some(v),
            Value::Def(d) if self.def_info[d.index()].literal.is_some() => Some(Value::Def(d)),
            _ => None,
        }
    }

    pub(crate) fn pattern_name_is_case(&self, ident: Ident) -> bool {
        self.pattern_value(ident).is_some()
    }

    fn bind_local(&mut self, ident: Ident, ty: Ty) -> LocalId {
        if let Some(locals) = &self.cx.or_names
            && let Some(&(_, local)) = locals.iter().find(|l| l.0 == ident.name)
        {
            let left = self.cx.body.locals[local.index()].ty;
            self.unify_at(left, ty, ident.span, Why::Pattern(ident.span));
            self.bind_name(ident.name, Value::Local(local));
            return local;
        }
        let local = self.new_local(ident.name, ty, false, ident.span);
        self.bind_name(ident.name, Value::Local(local));
        local
    }

    fn or_pattern(&mut self, a: &'a Pattern, b: &'a Pattern, ty: Ty, span: Span) -> PatKind {
        let mark = self.mark();
        let left = self.pattern(a, ty);
        let names: Vec<(Ustr, LocalId)> = self.bound_since(mark);
        let outer = self.cx.or_names.clone();
        let mut shared = outer.clone().unwrap_or_default();
        shared.extend(names.iter().copied());
        self.cx.or_names = Some(shared);
        let again = self.mark();
        let right = self.pattern(b, ty);
        let right_names = self.bound_since(again);
        self.cx.or_names = outer;
        let missing_right = names.iter().find(|n| !right_names.iter().any(|r| r.0 == n.0));
        let missing_left = right_names.iter().find(|r| !names.iter().any(|n| n.0 == r.0));
        if let Some((name, _)) = missing_right.or(missing_left) {
            self.diags.push(
                Diagnostic::error(
                    codes::PATTERN_NAMES,
                    span,
                    format!("both sides of `|` must bind the same names; `{name}` is on one side only"),
                )
                .help("bind it on both sides, or write `_`"),
            );
        }
        PatKind::Or(left, right)
    }

    fn bound_since(&self, mark: usize) -> Vec<(Ustr, LocalId)> {
        self.trail[mark..]
            .iter()
            .filter_map(|(name, _)| match self.locals.get(name) {
                Some(Value::Local(l)) => Some((*name, *l)),
                _ => None,
            })
            .collect()
    }

    fn apply_pattern(&mut self, path: &'a Path, args: &'a [Pattern], ty: Ty, span: Span) -> PatId {
        let Some(last) = path.last() else { return self.push_pat(PatKind::Error, ty, span) };
        let value =
            if path.parts.len() == 1 { self.pattern_value(last) } else { self.find_path_value(&path.parts) };
        match value {
            Some(v @ (Value::Case(..) | Value::EnumCase(..) | Value::Active(..) | Value::Def(_))) => {
                self.value_pattern(v, last, args, ty, span)
            }
            _ => {
                self.unknown_case(last, path);
                for a in args {
                    let fresh = self.types.known.error;
                    self.pattern(a, fresh);
                }
                self.push_pat(PatKind::Error, ty, span)
            }
        }
    }

    fn unknown_case(&mut self, last: Ident, path: &Path) {
        let mut names: Vec<Ustr> = Vec::new();
        for &s in &self.scopes {
            let module = self.module(s);
            let cases =
                module.values.iter().filter(|(_, v)| matches!(v, Value::Case(..) | Value::Active(..)));
            names.extend(cases.map(|(n, _)| *n));
        }
        let shown = super::env::show_path(path);
        let mut d = Diagnostic::error(
            codes::UNKNOWN_NAME,
            last.span,
            format!("no case or active pattern is named `{shown}`"),
        );
        if let Some(near) = super::env::nearest(last.name, names.into_iter()) {
            d = d.help(format!("did you mean `{near}`?"));
        }
        self.diags.push(d);
    }

    fn value_pattern(
        &mut self,
        value: Value,
        ident: Ident,
        args: &'a [Pattern],
        ty: Ty,
        span: Span,
    ) -> PatId {
        let kind = match value {
            Value::Case(d, case) => return self.case_pattern(d, case, ident, args, ty, span),
            Value::EnumCase(d, case) => {
                let whole = self.types.intern(Type::Named(d, SmallVec::new()));
                self.unify_at(ty, whole, span, Why::Pattern(span));
                match &self.type_defs[d.index()].kind {
                    TypeDefKind::Enum(cases) => PatKind::Int(i64::from(cases[case as usize].1)),
                    _ => PatKind::Error,
                }
            }
            Value::Def(d) => {
                let found = self.defs[d.index()].ty;
                self.unify_at(ty, found, span, Why::Pattern(span));
                self.def_info[d.index()].literal.clone().unwrap_or(PatKind::Error)
            }
            Value::Active(index, case) => return self.active_pattern(index, case, ident, args, ty, span),
            _ => PatKind::Error,
        };
        if !args.is_empty() {
            self.wrong_arguments(ident, 0, args.len());
        }
        self.push_pat(kind, ty, span)
    }

    fn case_pattern(
        &mut self,
        d: TypeDefId,
        case: u32,
        ident: Ident,
        args: &'a [Pattern],
        ty: Ty,
        span: Span,
    ) -> PatId {
        let (whole, fields) = self.case_type(d, case, None);
        self.unify_at(ty, whole, span, Why::Pattern(span));
        let inner: Vec<&'a Pattern> = match args {
            [one] if fields.len() > 1 => match &super::decls::strip(one).kind {
                P::Tuple(items) => items.iter().collect(),
                P::Wildcard => {
                    let pats = fields.iter().map(|&t| self.push_pat(PatKind::Wild, t, span)).collect();
                    return self.push_pat(PatKind::Case { case, fields: pats }, ty, span);
                }
                _ => vec![one],
            },
            many => many.iter().collect(),
        };
        if inner.len() != fields.len() {
            self.wrong_arguments(ident, fields.len(), inner.len());
            for p in inner {
                let error = self.types.known.error;
                self.pattern(p, error);
            }
            let pats = fields.iter().map(|&t| self.push_pat(PatKind::Wild, t, span)).collect();
            return self.push_pat(PatKind::Case { case, fields: pats }, ty, span);
        }
        let pats = inner.into_iter().zip(&fields).map(|(p, &t)| self.pattern(p, t)).collect();
        self.push_pat(PatKind::Case { case, fields: pats }, ty, span)
    }

    fn wrong_arguments(&mut self, ident: Ident, takes: usize, given: usize) {
        let takes_text = match takes {
            0 => "holds no value".to_owned(),
            1 => "holds one value".to_owned(),
            n => format!("holds {n} values"),
        };
        let mut d = Diagnostic::error(
            codes::PATTERN_ARGUMENTS,
            ident.span,
            format!("the case `{}` {takes_text}, but the pattern has {given}", ident.name),
        );
        if takes > 0 {
            let holes = vec!["_"; takes].join(", ");
            d = d.help(format!("write `{}({holes})`", ident.name));
        }
        self.diags.push(d);
    }

    fn named_pattern(
        &mut self,
        path: &'a Path,
        given: &'a [(Ident, Pattern)],
        ty: Ty,
        span: Span,
    ) -> PatKind {
        let Some(Value::Case(d, case)) = self.find_path_value(&path.parts) else {
            if let Some(last) = path.last() {
                self.unknown_case(last, path);
            }
            return PatKind::Error;
        };
        let (whole, tys) = self.case_type(d, case, None);
        self.unify_at(ty, whole, span, Why::Pattern(span));
        let TypeDefKind::Union(cases) = &self.type_defs[d.index()].kind else { return PatKind::Error };
        let names: Vec<Ustr> = cases[case as usize].fields.iter().map(|f| f.name).collect();
        let mut fields: Vec<PatId> = tys.iter().map(|&t| self.push_pat(PatKind::Wild, t, span)).collect();
        for (name, p) in given {
            match names.iter().position(|n| *n == name.name) {
                Some(i) => fields[i] = self.pattern(p, tys[i]),
                None => {
                    let mut diag = Diagnostic::error(
                        codes::UNKNOWN_FIELD,
                        name.span,
                        format!("the case has no field `{}`", name.name),
                    );
                    if let Some(near) = super::env::nearest(name.name, names.iter().copied()) {
                        diag = diag.help(format!("did you mean `{near}`?"));
                    }
                    self.diags.push(diag);
                }
            }
        }
        PatKind::Case { case, fields }
    }

    fn literal_pattern(&mut self, lit: &'a Lit, ty: Ty, span: Span) -> PatKind {
        let known = self.types.known;
        let (kind, found) = match lit {
            Lit::Unit => (PatKind::Unit, known.unit),
            Lit::Bool(b) => (PatKind::Bool(*b), known.bool),
            Lit::Char(c) => (PatKind::Char(*c), known.char),
            Lit::String(s) => (PatKind::String(*s), known.string),
            Lit::Bytes(bytes) => {
                let byte = self.types.make(Type::Int(crate::ast::IntKind::U8, Default::default()));
                let pats =
                    bytes.iter().map(|&b| self.push_pat(PatKind::Int(i64::from(b)), byte, span)).collect();
                (PatKind::Array(pats), self.types.make(Type::Array(byte)))
            }
            Lit::Int { value, negative, kind, measure } => {
                let m = measure.as_ref().map(|m| self.measure(m)).unwrap_or_default();
                let t = self.types.make(Type::Int(*kind, m));
                (PatKind::Int(int_bits(*value, *negative, *kind)), t)
            }
            Lit::Float { value, kind, measure } => {
                let m = measure.as_ref().map(|m| self.measure(m)).unwrap_or_default();
                let t = self.types.make(Type::Float(*kind, m));
                (PatKind::Float(*value), t)
            }
        };
        self.unify_at(ty, found, span, Why::Pattern(span));
        kind
    }

    fn list_pattern(&mut self, items: &'a [Pattern], ty: Ty, span: Span) -> PatId {
        let element = self.types.fresh();
        let list = self.list_of(element);
        self.unify_at(ty, list, span, Why::Pattern(span));
        let pats: Vec<PatId> = items.iter().map(|i| self.pattern(i, element)).collect();
        let mut out = self.push_pat(PatKind::Case { case: 0, fields: Vec::new() }, list, span);
        for p in pats.into_iter().rev() {
            out = self.push_pat(PatKind::Case { case: 1, fields: vec![p, out] }, list, span);
        }
        out
    }

    fn record_pattern(&mut self, fields: &'a [(Path, Pattern)], ty: Ty, span: Span) -> PatKind {
        if self.types.is_var(ty) {
            let first = fields.first().and_then(|f| f.0.last());
            let found = first.and_then(|name| self.find_field(name.name).first().copied());
            if let Some((d, _)) = found {
                let params = self.type_defs[d.index()].params.clone();
                let args = self.fresh_args(&params);
                let record = self.types.make(Type::Named(d, SmallVec::from_vec(args)));
                let _ = self.types.unify(ty, record);
            }
        }
        let mut out = Vec::with_capacity(fields.len());
        for (path, p) in fields {
            let Some(name) = path.last() else { continue };
            match self.field_index(ty, name.name) {
                Some((index, field)) => out.push((index, self.pattern(p, field))),
                None => {
                    if !matches!(self.types.shape(ty), Some(Type::Error)) {
                        let shown = self.show(ty);
                        self.diags.push(Diagnostic::error(
                            codes::UNKNOWN_FIELD,
                            name.span,
                            format!("`{shown}` has no field `{}`", name.name),
                        ));
                    }
                    let error = self.types.known.error;
                    self.pattern(p, error);
                }
            }
        }
        let _ = span;
        PatKind::Fields(out)
    }

    /// `Even`, `Prefix "x" rest`: the function is applied to the pattern's own arguments, all but the last.
    fn active_pattern(
        &mut self,
        index: u32,
        case: u32,
        ident: Ident,
        args: &'a [Pattern],
        ty: Ty,
        span: Span,
    ) -> PatId {
        let active = self.actives[index as usize].clone();
        let (mut call, mut fun) = self.value_expr(active.function, ident);
        // Parameters before the scrutinee: as many as the function's type has more than one.
        let mut arity = 0;
        let mut rest = fun;
        while let Some(&Type::Fun(_, r)) = self.types.shape(rest) {
            arity += 1;
            rest = r;
        }
        let own = match active.function {
            Value::Def(_) | Value::Lib(_) => self.value_arity(active.function).max(1) - 1,
            _ => arity.max(1) - 1,
        };
        if own > 0 {
            let mut ids = Vec::with_capacity(own);
            for p in args.iter().take(own) {
                let Some((param, r)) = self.types.as_fun(fun) else { break };
                ids.push(self.pattern_as_expr(p, param));
                fun = r;
            }
            call = self.push(ExprKind::App(call, ids), fun, span);
        }
        let Some((from, to)) = self.types.as_fun(fun) else {
            return self.push_pat(PatKind::Error, ty, span);
        };
        self.unify_at(ty, from, span, Why::Pattern(span));
        let payload = self.active_payload(&active, case, to, span);
        let rest = args.get(own..).unwrap_or_default();
        let pat = match rest {
            [] => self.push_pat(PatKind::Wild, payload, span),
            [one] => self.pattern(one, payload),
            many => {
                self.wrong_arguments(ident, own + 1, own + many.len());
                self.push_pat(PatKind::Error, payload, span)
            }
        };
        let is_single = active.cases.len() == 1;
        let case = if active.partial || is_single { None } else { Some(case) };
        if is_single && !active.partial {
            // A total pattern of one case: the function's value is matched as it is.
            return self.push_pat(PatKind::Active { call, case: Some(0), pat }, ty, span);
        }
        self.push_pat(PatKind::Active { call, case, pat }, ty, span)
    }

    /// The type of what an active case holds, from the function's result.
    fn active_payload(&mut self, active: &super::Active, case: u32, to: Ty, span: Span) -> Ty {
        if active.partial {
            let Some(option) = self.core.option else { return self.types.known.error };
            let element = self.types.fresh();
            let args = SmallVec::from_vec(vec![TypeArg::Type(element)]);
            let wanted = self.types.make(Type::Named(option, args));
            if matches!(self.types.shape(to), Some(Type::Bool)) {
                return self.types.known.unit;
            }
            self.unify_at(wanted, to, span, Why::Nothing);
            return element;
        }
        if active.cases.len() == 1 {
            return to;
        }
        match self.types.shape(to) {
            Some(Type::Named(_, args)) => match args.get(case as usize) {
                Some(TypeArg::Type(t)) => *t,
                _ => self.types.known.error,
            },
            _ => self.types.known.error,
        }
    }

    /// An active pattern's argument: a literal or a name.
    fn pattern_as_expr(&mut self, p: &'a Pattern, ty: Ty) -> crate::typed::ExprId {
        use super::types::Want;
        let want = Want::new(ty, Why::Nothing);
        match &p.kind {
            P::Paren(inner) => self.pattern_as_expr(inner, ty),
            P::Lit(lit) => self.literal(lit, p.span, want),
            P::Name(ident) => match self.find_value(ident.name) {
                Some(value) => {
                    let (id, _) = self.value_expr(value, *ident);
                    self.coerce(id, want)
                }
                None => {
                    self.unknown_value(*ident);
                    self.error_expr(p.span)
                }
            },
            P::Tuple(items) => {
                let ids: Vec<_> = items
                    .iter()
                    .map(|i| {
                        let t = self.types.fresh();
                        self.pattern_as_expr(i, t)
                    })
                    .collect();
                debug_assert!(!ids.contains(&NO_EXPR));
                let tys = ids.iter().map(|&i| self.ty(i)).collect();
                let tuple = self.types.make(Type::Tuple(tys));
                let id = self.push(ExprKind::Tuple(ids), tuple, p.span);
                self.coerce(id, want)
            }
            _ => {
                self.diags.push(
                    Diagnostic::error(
                        codes::PATTERN_ARGUMENTS,
                        p.span,
                        "an active pattern's argument must be a literal or a name",
                    )
                    .help("bind the value with `let` before the match"),
                );
                self.error_expr(p.span)
            }
        }
    }
}
