//! Expressions: each is checked against what its place wants, so that a mismatch is told at the innermost place.

use super::apply::Arg;
use super::decls::{NO_EXPR, bare, strip};
use super::types::{Ty, Want, Why};
use super::{Checker, MatchOrigin, Value};
use crate::ast::{self, ExprKind as E, Lit, Pattern, PatternKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{self, ExprId, ExprKind, LocalId, Prim, Type, TypeArg};
use smallvec::SmallVec;
use ustr::Ustr;

impl<'a> Checker<'a> {
    /// Checks an expression; the result's type is unified with what is wanted, or an error was told.
    pub(crate) fn expr(&mut self, e: &'a ast::Expr, want: Want) -> ExprId {
        match want.why {
            Why::Collect if !is_flow(e) => return self.collect(e),
            Why::InSeq => return self.in_seq(e, want),
            Why::InBuilder => return self.in_builder(e, want),
            _ => {}
        }
        self.expr_by_kind(e, want)
    }

    /// Like [`Self::expr`], for forms that hand on how their parts are to be read.
    pub(crate) fn expr_by_kind(&mut self, e: &'a ast::Expr, want: Want) -> ExprId {
        let known = self.types.known;
        match &e.kind {
            E::Paren(inner) => self.expr(inner, want),
            E::Lit(lit) => self.literal(lit, e.span, want),
            E::Name(_) | E::OpName(_) | E::Dot(..) | E::TypeApp(..) => self.access(e, want),
            E::App(f, args) => self.application(e, f, args, want),
            E::Prefix(op, x) => self.prefix(op, x, e.span, want),
            E::Infix(op, a, b) => self.infix(*op, a, b, e.span, want),
            E::Index(base, args) => self.index(base, args, e.span, want),
            E::Tuple(items) => self.tuple(items, e.span, want),
            E::List(items) => self.list(items, e.span, want),
            E::Array(items) => self.array(items, e.span, want),
            E::Range { .. } => self.bare_range(e, want),
            E::Comprehension { kind, body } => self.comprehension(*kind, body, e.span, want),
            E::Record(fields) => self.record(fields, e.span, want),
            E::With(base, fields) => self.with(base, fields, e.span, want),
            E::AnonRecord(fields) => self.anon_record(fields, e.span, want),
            E::Lambda { params, body } => self.lambda(params, body, e.span, want),
            E::Function(arms) => self.function_arms(arms, e.span, want),
            E::Match { scrutinee, arms } => self.match_(scrutinee, arms, e.span, want),
            E::If { cond, then, otherwise } => self.if_(cond, then, otherwise.as_deref(), e.span, want),
            E::Let { group, body } => {
                let mark = self.mark();
                let result = self.local_let(group, body, e.span, want);
                self.leave(mark);
                result
            }
            E::Seq(items) => self.seq(items, e.span, want),
            E::ForTo { var, from, down, to, body } => {
                let id = self.for_to(*var, from, *down, to, body, e.span);
                self.coerce(id, want)
            }
            E::ForIn { pattern, source, body } => {
                let id = self.for_in(pattern, source, body, e.span);
                self.coerce(id, want)
            }
            E::While { cond, body } => {
                let cond = self.plain(cond, Want::new(known.bool, Why::Condition));
                let body = self.loop_body(body);
                self.done(ExprKind::While { cond, body }, known.unit, e.span, want)
            }
            E::Assign(target, value) => {
                let id = self.assign(target, value, e.span);
                self.coerce(id, want)
            }
            E::Typed(inner, t) => {
                let ty = self.type_expr(t);
                let id = self.expr(inner, Want::new(ty, Why::Annotation(t.span)));
                self.coerce(id, want)
            }
            E::Cast(inner, t) => self.cast(inner, t, e.span, want),
            E::Computation { builder, body } => self.computation(builder, body, e.span, want),
            E::LetBang { .. } | E::DoBang(_) | E::Return { .. } | E::Yield { .. } | E::MatchBang { .. } => {
                self.collect_or_misplaced(e, want)
            }
            E::Lazy(inner) => self.lazy(inner, e.span, want),
            E::Interpolated(parts) => self.interpolated(parts, e.span, want),
            E::Assert(inner) => self.assert(inner, e.span, want),
            // The parser has said that the form is outside the subset; what it holds may have errors of its own.
            E::Unsupported { inner, .. } => {
                if let Some(inner) = inner {
                    let mark = self.mark();
                    self.expr(inner, Want::ANY);
                    self.leave(mark);
                }
                self.error_expr(e.span)
            }
            E::Error => self.error_expr(e.span),
        }
    }

    /// Makes a node and fits it to its place.
    pub(crate) fn done(&mut self, kind: ExprKind, ty: Ty, span: Span, want: Want) -> ExprId {
        let id = self.push(kind, ty, span);
        self.coerce(id, want)
    }

    /// Unifies a node's type with what is wanted; lists, arrays and the like become sequences where one is wanted.
    pub(crate) fn coerce(&mut self, id: ExprId, want: Want) -> ExprId {
        let Some(expected) = want.ty else { return id };
        let found = self.ty(id);
        if expected == found {
            return id;
        }
        if let Some(as_seq) = self.as_sequence(id, expected) {
            return as_seq;
        }
        if let Some(adapted) = self.as_function_of_list(id, expected) {
            return adapted;
        }
        let span = self.span(id);
        self.unify_at(expected, found, span, want.why);
        id
    }

    /// Unifies, and tells a mismatch at the place. True if the types fit.
    pub(crate) fn unify_at(&mut self, expected: Ty, found: Ty, span: Span, why: Why) -> bool {
        match self.types.unify(expected, found) {
            Ok(()) => true,
            Err(clash) => {
                self.mismatch(expected, found, span, why, clash);
                false
            }
        }
    }

    pub(crate) fn is_sequence(&mut self, ty: Ty) -> bool {
        matches!(self.types.shape(ty), Some(Type::Named(d, _)) if Some(*d) == self.core.seq)
    }

    fn as_sequence(&mut self, id: ExprId, expected: Ty) -> Option<ExprId> {
        let seq = self.core.seq?;
        let Some(Type::Named(d, args)) = self.types.shape(expected) else { return None };
        if *d != seq {
            return None;
        }
        let args = args.clone();
        let from = match self.types.shape(self.ty(id))? {
            Type::Named(d, _) if Some(*d) == self.core.list => "seqOfList",
            Type::Named(d, _) => match self.type_defs[d.index()].path.as_str() {
                "Core.Map" => "seqOfMap",
                "Core.Set" => "seqOfSet",
                _ => return None,
            },
            Type::Array(_) => "seqOfArray",
            Type::String => "seqOfString",
            _ => return None,
        };
        let span = self.span(id);
        let call = self.call_library(&["Core", "Syntax"], from, &[id], span)?;
        let made = self.ty(call);
        let wanted = self.types.make(Type::Named(seq, args));
        self.unify_at(wanted, made, span, Why::Nothing);
        Some(call)
    }

    /// A function of a sequence where one of a list or array is wanted: `fun xs -> f (xs as a sequence)`.
    fn as_function_of_list(&mut self, id: ExprId, expected: Ty) -> Option<ExprId> {
        let Some(&Type::Fun(wanted, _)) = self.types.shape(expected) else { return None };
        let &Type::Fun(taken, to) = self.types.shape(self.ty(id))? else { return None };
        if !self.is_sequence(taken) || self.is_sequence(wanted) || self.types.is_var(wanted) {
            return None;
        }
        let span = self.span(id);
        let found = self.ty(id);
        let f = self.temp("function", found, span);
        self.cx.depth += 1;
        let x = self.temp("value", wanted, span);
        self.cx.depth -= 1;
        let value = self.local_expr(x, span);
        let value = self.as_sequence(value, taken)?;
        let callee = self.local_expr(f, span);
        let body = self.push(ExprKind::App(callee, vec![value]), to, span);
        let ty = self.types.fun(wanted, to);
        let lambda = self.push(ExprKind::Lambda { params: vec![x], body }, ty, span);
        let adapted = self.push(ExprKind::Let { local: f, value: id, body: lambda }, ty, span);
        self.unify_at(expected, ty, span, Why::Nothing);
        Some(adapted)
    }

    /// A call of a library function that syntax stands for.
    pub(crate) fn call_library(
        &mut self,
        path: &[&str],
        name: &str,
        args: &[ExprId],
        span: Span,
    ) -> Option<ExprId> {
        let def = self.library_value(path, name)?;
        let (callee, mut ty) = self.use_def(def, span);
        for &arg in args {
            let (p, r) = self.types.as_fun(ty)?;
            let found = self.ty(arg);
            let at = self.span(arg);
            self.unify_at(p, found, at, Why::Nothing);
            ty = r;
        }
        Some(self.push(ExprKind::App(callee, args.to_vec()), ty, span))
    }

    /// Like [`Self::call_library`], with an error where the library lacks the function.
    pub(crate) fn call_syntax(&mut self, name: &str, args: &[ExprId], span: Span) -> ExprId {
        match self.call_library(&["Core", "Syntax"], name, args, span) {
            Some(id) => id,
            None => {
                self.diags.push(Diagnostic::error(
                    codes::UNKNOWN_NAME,
                    span,
                    format!("the library does not define `Core.Syntax.{name}`, which this form needs"),
                ));
                self.error_expr(span)
            }
        }
    }

    // --- literals and aggregates

    pub(crate) fn literal(&mut self, lit: &Lit, span: Span, want: Want) -> ExprId {
        let known = self.types.known;
        let (kind, ty) = match lit {
            Lit::Unit => (ExprKind::Unit, known.unit),
            Lit::Bool(b) => (ExprKind::Bool(*b), known.bool),
            Lit::Char(c) => (ExprKind::Char(*c), known.char),
            Lit::String(s) => (ExprKind::String(*s), known.string),
            Lit::Bytes(bytes) => {
                let byte = self.types.make(Type::Int(ast::IntKind::U8, Default::default()));
                let items =
                    bytes.iter().map(|&b| self.push(ExprKind::Int(i64::from(b)), byte, span)).collect();
                let ty = self.types.make(Type::Array(byte));
                (ExprKind::Array(items), ty)
            }
            Lit::Int { value, negative, kind, measure } => {
                let m = measure.as_ref().map(|m| self.measure(m)).unwrap_or_default();
                let ty = self.types.make(Type::Int(*kind, m));
                (ExprKind::Int(int_bits(*value, *negative, *kind)), ty)
            }
            Lit::Float { value, kind, measure } => {
                let m = measure.as_ref().map(|m| self.measure(m)).unwrap_or_default();
                let ty = self.types.make(Type::Float(*kind, m));
                (ExprKind::Float(*value), ty)
            }
        };
        self.done(kind, ty, span, want)
    }

    fn tuple(&mut self, items: &'a [ast::Expr], span: Span, want: Want) -> ExprId {
        let wanted: Option<Vec<Ty>> = want.ty.and_then(|t| match self.types.shape(t) {
            Some(Type::Tuple(ts)) if ts.len() == items.len() => Some(ts.clone()),
            _ => None,
        });
        let ids: Vec<ExprId> = items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                let want = wanted.as_ref().map_or(Want::ANY, |w| Want::new(w[i], want.why));
                self.expr(item, want)
            })
            .collect();
        let tys = ids.iter().map(|&i| self.ty(i)).collect();
        let ty = self.types.make(Type::Tuple(tys));
        self.done(ExprKind::Tuple(ids), ty, span, want)
    }

    pub(crate) fn list_of(&mut self, element: Ty) -> Ty {
        match self.core.list {
            Some(list) => {
                self.types.make(Type::Named(list, SmallVec::from_vec(vec![TypeArg::Type(element)])))
            }
            None => self.types.known.error,
        }
    }

    pub(crate) fn is_list(&self, ty: Ty) -> Option<Ty> {
        match self.types.shape(ty) {
            Some(Type::Named(d, args)) if Some(*d) == self.core.list => match args.first() {
                Some(TypeArg::Type(t)) => Some(*t),
                _ => None,
            },
            _ => None,
        }
    }

    fn element_want(&mut self, want: Want, is_list: bool) -> Option<Ty> {
        let ty = want.ty?;
        match self.types.shape(ty) {
            Some(Type::Array(t)) if !is_list => Some(*t),
            Some(Type::Named(d, args))
                if (is_list && Some(*d) == self.core.list) || Some(*d) == self.core.seq =>
            {
                match args.first() {
                    Some(TypeArg::Type(t)) => Some(*t),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn elements(&mut self, items: &'a [ast::Expr], element: Option<Ty>) -> (Vec<ExprId>, Ty) {
        let given = element.is_some();
        let element = element.unwrap_or_else(|| self.types.fresh());
        let first = items.first().map_or(Span::default(), |i| i.span);
        let ids = items
            .iter()
            .enumerate()
            .map(|(n, i)| {
                let why = if n == 0 || given { Why::Nothing } else { Why::Elements(first) };
                self.expr(i, Want::new(element, why))
            })
            .collect();
        (ids, element)
    }

    fn list(&mut self, items: &'a [ast::Expr], span: Span, want: Want) -> ExprId {
        if let [only] = items
            && let E::Range { .. } = &only.kind
        {
            return self.range_collection(only, ast::Collection::List, span, want);
        }
        let element = self.element_want(want, true);
        let (ids, element) = self.elements(items, element);
        let ty = self.list_of(element);
        let mut list = self.push(ExprKind::Union { case: 0, fields: Vec::new() }, ty, span);
        // The elements were evaluated left to right only if they stand so in the tree: cells nest to the right.
        for id in ids.into_iter().rev() {
            let at = self.span(id);
            list = self.push(ExprKind::Union { case: 1, fields: vec![id, list] }, ty, at);
        }
        self.coerce(list, want)
    }

    fn array(&mut self, items: &'a [ast::Expr], span: Span, want: Want) -> ExprId {
        if let [only] = items
            && let E::Range { .. } = &only.kind
        {
            return self.range_collection(only, ast::Collection::Array, span, want);
        }
        let element = self.element_want(want, false);
        let (ids, element) = self.elements(items, element);
        let ty = self.types.make(Type::Array(element));
        self.done(ExprKind::Array(ids), ty, span, want)
    }

    fn anon_record(&mut self, fields: &'a [(ast::Ident, ast::Expr)], span: Span, want: Want) -> ExprId {
        let wanted = want.ty.and_then(|t| match self.types.shape(t) {
            Some(Type::AnonRecord(fs)) => Some(fs.clone()),
            _ => None,
        });
        let mut made: Vec<(Ustr, ExprId, u32)> = Vec::with_capacity(fields.len());
        for (n, (name, value)) in fields.iter().enumerate() {
            let w = wanted.as_ref().and_then(|w| w.iter().find(|f| f.0 == name.name)).map(|f| f.1);
            let id = self.expr(value, w.map_or(Want::ANY, |t| Want::new(t, Why::Field(name.name))));
            if made.iter().any(|m| m.0 == name.name) {
                self.duplicate_field(*name);
                continue;
            }
            made.push((name.name, id, n as u32));
        }
        made.sort_by_key(|m| m.0.as_str());
        let ty = made.iter().map(|m| (m.0, self.ty(m.1))).collect();
        let ty = self.types.make(Type::AnonRecord(ty));
        let mut order: Vec<u32> = (0..made.len() as u32).collect();
        order.sort_by_key(|&i| made[i as usize].2);
        let fields = made.into_iter().map(|m| m.1).collect();
        self.done(ExprKind::Record { fields, order }, ty, span, want)
    }

    fn duplicate_field(&mut self, name: ast::Ident) {
        self.diags.push(Diagnostic::error(
            codes::DUPLICATE,
            name.span,
            format!("the field `{}` is given twice", name.name),
        ));
    }

    // --- control

    fn if_(
        &mut self,
        cond: &'a ast::Expr,
        then: &'a ast::Expr,
        otherwise: Option<&'a ast::Expr>,
        span: Span,
        want: Want,
    ) -> ExprId {
        let known = self.types.known;
        let cond = self.plain(cond, Want::new(known.bool, Why::Condition));
        let Some(otherwise) = otherwise else {
            let why = if matches!(want.why, Why::Collect) { want.why } else { Why::NoElse };
            let then = self.branch(then, Want::new(known.unit, why));
            let otherwise = self.unit(span);
            return self.done(ExprKind::If { cond, then, otherwise }, known.unit, span, want);
        };
        let ty = want.ty.unwrap_or_else(|| self.types.fresh());
        let keeps = want.ty.is_some() || matches!(want.why, Why::InBuilder | Why::InSeq);
        let why = if keeps { want.why } else { Why::Nothing };
        let then_id = self.branch(then, Want::new(ty, why));
        let why = if keeps { want.why } else { Why::Branches(then.span) };
        let otherwise = self.branch(otherwise, Want::new(ty, why));
        self.push(ExprKind::If { cond, then: then_id, otherwise }, ty, span)
    }

    /// An expression with a scope of its own.
    pub(crate) fn branch(&mut self, e: &'a ast::Expr, want: Want) -> ExprId {
        let mark = self.mark();
        let id = self.expr(e, want);
        self.leave(mark);
        id
    }

    /// An expression for its effect: its value should be unit.
    pub(crate) fn statement(&mut self, e: &'a ast::Expr) -> ExprId {
        let unit = self.types.known.unit;
        let mark = self.mark();
        let errors = self.diags.len();
        // What a branch or a loop gives is told apart by its own parts.
        let want = match &bare(e).kind {
            E::If { otherwise: Some(_), .. } | E::Match { .. } | E::Let { .. } | E::Seq(_) => {
                let fresh = self.types.fresh();
                Want::new(fresh, Why::Statement)
            }
            _ => Want::ANY,
        };
        let id = self.expr(e, want);
        self.leave(mark);
        let ty = self.ty(id);
        match self.types.shape(ty) {
            None => {
                let _ = self.types.unify(ty, unit);
            }
            Some(Type::Unit | Type::Error) => {}
            Some(shape) if self.diags.len() == errors => {
                let is_function = matches!(shape, Type::Fun(..));
                let shown = self.show(ty);
                let mut d = Diagnostic::warning(
                    codes::VALUE_DROPPED,
                    last_span(e),
                    format!("the value of this expression, of type `{shown}`, is dropped"),
                );
                d = if is_function {
                    d.help("an argument is missing, or pass it to `ignore`")
                } else if matches!(&bare(e).kind, E::Infix(op, ..) if op.name == "=") {
                    d.help("`=` compares; to assign a mutable variable write `<-`")
                } else {
                    d.help("pass it to `ignore` if that is meant: `expr |> ignore`")
                };
                self.diags.push(d);
            }
            Some(_) => {}
        }
        id
    }

    fn seq(&mut self, items: &'a [ast::Expr], span: Span, want: Want) -> ExprId {
        let Some((last, front)) = items.split_last() else { return self.unit(span) };
        let collects = matches!(want.why, Why::Collect);
        let part = |c: &mut Self, e: &'a ast::Expr| if collects { c.branch(e, want) } else { c.statement(e) };
        let mut ids: Vec<ExprId> = front.iter().map(|e| part(self, e)).collect();
        let id = self.expr(last, want);
        ids.push(id);
        let ty = self.ty(id);
        self.push(ExprKind::Seq(ids), ty, span)
    }

    fn match_(&mut self, scrutinee: &'a ast::Expr, arms: &'a [ast::Arm], span: Span, want: Want) -> ExprId {
        let scrutinee = self.expr(scrutinee, Want::ANY);
        self.match_on(scrutinee, arms, span, want)
    }

    pub(crate) fn match_on(
        &mut self,
        scrutinee: ExprId,
        arms: &'a [ast::Arm],
        span: Span,
        want: Want,
    ) -> ExprId {
        let subject = self.ty(scrutinee);
        let ty = want.ty.unwrap_or_else(|| self.types.fresh());
        let first = arms.first().map_or(span, |a| a.body.span);
        let mut out = Vec::with_capacity(arms.len());
        for (n, arm) in arms.iter().enumerate() {
            let mark = self.mark();
            let pat = self.pattern(&arm.pattern, subject);
            let bool_ = self.types.known.bool;
            let guard = arm.guard.as_ref().map(|g| self.expr(g, Want::new(bool_, Why::Condition)));
            let keeps = want.ty.is_some() || n == 0 || matches!(want.why, Why::InBuilder | Why::InSeq);
            let why = if keeps { want.why } else { Why::Branches(first) };
            let body = self.expr(&arm.body, Want::new(ty, why));
            self.leave(mark);
            out.push(typed::Arm { pat, guard, body });
        }
        let id = self.push(ExprKind::Match { scrutinee, arms: out }, ty, span);
        self.cx.matches.push((id, MatchOrigin::Match));
        id
    }

    fn function_arms(&mut self, arms: &'a [ast::Arm], span: Span, want: Want) -> ExprId {
        let (from, to) = match want.ty.map(|t| self.types.as_fun(t)) {
            Some(Some(parts)) => parts,
            _ => (self.types.fresh(), self.types.fresh()),
        };
        self.cx.depth += 1;
        let local = self.temp("arg", from, span);
        let scrutinee = self.local_expr(local, span);
        let body = self.match_on(scrutinee, arms, span, Want::new(to, Why::Nothing));
        self.cx.depth -= 1;
        let ty = self.types.fun(from, to);
        self.done(ExprKind::Lambda { params: vec![local], body }, ty, span, want)
    }

    fn assert(&mut self, inner: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        let known = self.types.known;
        let cond = self.expr(inner, Want::new(known.bool, Why::Condition));
        let text = self.push(ExprKind::String(Ustr::from("assertion failed")), known.string, span);
        let otherwise = self.push(ExprKind::Fail(text), known.unit, span);
        let then = self.unit(span);
        self.done(ExprKind::If { cond, then, otherwise }, known.unit, span, want)
    }

    fn cast(&mut self, inner: &'a ast::Expr, t: &'a ast::TypeExpr, span: Span, want: Want) -> ExprId {
        let ty = self.type_expr(t);
        let errors = self.diags.len();
        let id = self.expr(inner, Want::ANY);
        // An upcast to the same type does nothing; there is no other.
        let found = self.ty(id);
        let to_seq = self.as_sequence(id, ty);
        if let Some(id) = to_seq {
            return self.coerce(id, want);
        }
        if self.types.unify(ty, found).is_err() && self.diags.len() == errors {
            return self.error_expr(span); // the parser has reported the cast
        }
        self.coerce(id, want)
    }

    fn lazy(&mut self, inner: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        let unit = self.types.known.unit;
        self.cx.depth += 1;
        let local = self.temp("unit", unit, span);
        let body = self.branch(inner, Want::ANY);
        self.cx.depth -= 1;
        let to = self.ty(body);
        let ty = self.types.fun(unit, to);
        let thunk = self.push(ExprKind::Lambda { params: vec![local], body }, ty, span);
        match self.call_library(&["Core", "Lazy"], "create", &[thunk], span) {
            Some(id) => self.coerce(id, want),
            None => self.error_expr(span),
        }
    }

    // --- functions

    fn lambda(&mut self, params: &'a [Pattern], body: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        self.cx.depth += 1;
        let wanted = want.ty.filter(|&t| !self.types.is_var(t));
        let (locals, body, ty) = self.function(params, None, body, wanted);
        self.cx.depth -= 1;
        self.done(ExprKind::Lambda { params: locals, body }, ty, span, want)
    }

    /// Parameters and body of a function; names are in scope only within. Returns its type too.
    pub(crate) fn function(
        &mut self,
        params: &'a [Pattern],
        ret: Option<&'a ast::TypeExpr>,
        body: &'a ast::Expr,
        expected: Option<Ty>,
    ) -> (Vec<LocalId>, ExprId, Ty) {
        let mark = self.mark();
        let mut rest = expected;
        let mut locals = Vec::with_capacity(params.len());
        let mut tys = Vec::with_capacity(params.len());
        let mut opened = Vec::new();
        for p in params {
            let wanted = rest.and_then(|t| self.types.as_fun(t));
            rest = wanted.map(|w| w.1);
            let ty = self.param_type(p);
            if let Some((from, _)) = wanted {
                self.unify_at(from, ty, p.span, Why::Pattern(p.span));
            }
            tys.push(ty);
            locals.push(self.bind_param(p, ty, &mut opened));
        }
        self.check_distinct(params);
        let want = match (ret, rest) {
            (Some(t), rest) => {
                let ty = self.type_expr(t);
                if let Some(rest) = rest {
                    self.unify_at(rest, ty, t.span, Why::Nothing);
                }
                Want::new(ty, Why::Annotation(t.span))
            }
            (None, Some(rest)) => Want::new(rest, Why::Nothing),
            (None, None) => Want::ANY,
        };
        let mut root = self.expr(body, want);
        let ret = want.ty.unwrap_or_else(|| self.ty(root));
        for (local, pat, span) in opened.into_iter().rev() {
            root = self.open_pattern(local, pat, root, span);
        }
        self.leave(mark);
        let ty = self.types.funs(&tys, ret);
        (locals, root, ty)
    }

    fn open_pattern(&mut self, local: LocalId, pat: typed::PatId, body: ExprId, span: Span) -> ExprId {
        let scrutinee = self.local_expr(local, span);
        let ty = self.ty(body);
        let arms = vec![typed::Arm { pat, guard: None, body }];
        let id = self.push(ExprKind::Match { scrutinee, arms }, ty, span);
        self.cx.matches.push((id, MatchOrigin::Binding));
        id
    }

    fn check_distinct(&mut self, params: &[Pattern]) {
        if params.len() < 2 {
            return;
        }
        let mut names = Vec::new();
        params.iter().for_each(|p| super::decls::pattern_names(p, &mut names));
        let mut seen = rustc_hash::FxHashSet::default();
        for name in names {
            if !seen.insert(name.name) && !self.pattern_name_is_case(name) {
                self.diags.push(Diagnostic::error(
                    codes::DUPLICATE,
                    name.span,
                    format!("two parameters are named `{}`", name.name),
                ));
            }
        }
    }

    /// A parameter's type, as far as it is written.
    pub(crate) fn param_type(&mut self, p: &Pattern) -> Ty {
        match &strip(p).kind {
            PatternKind::Typed(_, t) => self.type_expr(t),
            PatternKind::Lit(Lit::Unit) => self.types.known.unit,
            PatternKind::Tuple(items) => {
                let items = items.iter().map(|i| self.param_type(i)).collect();
                self.types.make(Type::Tuple(items))
            }
            _ => self.types.fresh(),
        }
    }

    /// Binds a parameter; a pattern that is more than a name is put into `opened`.
    fn bind_param(
        &mut self,
        p: &'a Pattern,
        ty: Ty,
        opened: &mut Vec<(LocalId, typed::PatId, Span)>,
    ) -> LocalId {
        let inner = strip(p);
        let inner = match &inner.kind {
            PatternKind::Typed(inner, _) => strip(inner),
            _ => inner,
        };
        match &inner.kind {
            PatternKind::Name(i) if !self.pattern_name_is_case(*i) => {
                let local = self.new_local(i.name, ty, false, i.span);
                self.bind_name(i.name, Value::Local(local));
                local
            }
            PatternKind::Wildcard | PatternKind::Lit(Lit::Unit) => self.temp("_", ty, p.span),
            _ => {
                let local = self.temp("arg", ty, p.span);
                let pat = self.pattern(inner, ty);
                opened.push((local, pat, p.span));
                local
            }
        }
    }

    // --- assignment

    fn assign(&mut self, target: &'a ast::Expr, value: &'a ast::Expr, span: Span) -> ExprId {
        let unit = self.types.known.unit;
        if let E::Index(base, args) = &bare(target).kind {
            return self.assign_index(base, args, value, span);
        }
        let place = self.access_for_assign(target);
        if let Some((setter, mut args)) = self.setter_of(place) {
            let (callee, ty) = self.use_def(setter, target.span);
            args.push(Arg::Source(value));
            return self.call(callee, ty, args, span, Want::ANY);
        }
        let ty = self.ty(place);
        let value_id = self.expr(value, Want::new(ty, Why::Assigned(target.span)));
        let kind = match self.cx.body[place].kind.clone() {
            ExprKind::Local(local) => {
                let l = &self.cx.body.locals[local.index()];
                if !l.is_mutable {
                    let (name, at) = (l.name, l.span);
                    self.not_mutable(name.as_str(), target.span, Some(at));
                }
                ExprKind::Assign(local, value_id)
            }
            ExprKind::Def(def, _) => {
                let d = &self.defs[def.index()];
                if !matches!(d.kind, typed::DefKind::Value { is_mutable: true, .. }) {
                    let (name, at) = (d.path, d.span);
                    let short = name.rsplit('.').next().unwrap_or_default().to_owned();
                    self.not_mutable(&short, target.span, Some(at));
                }
                ExprKind::AssignDef(def, value_id)
            }
            ExprKind::Field(base, index) => {
                if let Some((name, false)) = self.field_mutability(base, index) {
                    self.diags.push(
                        Diagnostic::error(
                            codes::NOT_MUTABLE,
                            target.span,
                            format!("the field `{name}` is not mutable"),
                        )
                        .help(format!(
                            "declare it `mutable {name}`, or copy the record: `{{ r with {name} = .. }}`"
                        )),
                    );
                }
                ExprKind::AssignField(base, index, value_id)
            }
            ExprKind::Error => ExprKind::Error,
            _ => {
                self.diags.push(
                    Diagnostic::error(codes::NOT_MUTABLE, target.span, "this cannot be assigned")
                        .help("assign a `mutable` variable or field, or an element of an array or buffer"),
                );
                ExprKind::Error
            }
        };
        self.push(kind, unit, span)
    }

    /// For a property that is read: the member that writes it, and that member's receiver.
    pub(crate) fn setter_of(&self, place: ExprId) -> Option<(typed::DefId, Vec<Arg<'a>>)> {
        let ExprKind::App(callee, args) = &self.cx.body[place].kind else { return None };
        let ExprKind::Def(def, _) = self.cx.body[*callee].kind else { return None };
        let setter = self.def_info[def.index()].setter?;
        // What stands for the receiver of a static property is unit.
        let own = args.iter().filter(|a| !matches!(self.cx.body[**a].kind, ExprKind::Unit));
        Some((setter, own.map(|a| Arg::Done(*a)).collect()))
    }

    fn not_mutable(&mut self, name: &str, span: Span, declared: Option<Span>) {
        let mut d = Diagnostic::error(codes::NOT_MUTABLE, span, format!("`{name}` is not mutable"))
            .help(format!("declare it `let mutable {name} = ..`"));
        if let Some(at) = declared {
            d = d.label(at, "declared here");
        }
        self.diags.push(d);
    }

    fn field_mutability(&self, base: ExprId, index: u32) -> Option<(Ustr, bool)> {
        match self.types.shape(self.ty(base))? {
            Type::Named(d, _) => match &self.type_defs[d.index()].kind {
                typed::TypeDefKind::Record(fs) | typed::TypeDefKind::Class(fs) => {
                    fs.get(index as usize).map(|f| (f.name, f.is_mutable))
                }
                _ => None,
            },
            Type::AnonRecord(fs) => fs.get(index as usize).map(|f| (f.0, false)),
            _ => None,
        }
    }

    /// A primitive operation with a type of its own.
    pub(crate) fn prim(&mut self, prim: Prim, args: Vec<ExprId>, ty: Ty, span: Span) -> ExprId {
        debug_assert!(!args.contains(&NO_EXPR));
        self.push(ExprKind::Prim(prim, args), ty, span)
    }
}

/// Two's complement bits, sign-extended from the literal's width.
pub(crate) fn int_bits(value: u64, negative: bool, kind: ast::IntKind) -> i64 {
    use ast::IntKind as K;
    let v = if negative { value.wrapping_neg() } else { value };
    match kind {
        K::I8 => i64::from(v as i8),
        K::U8 => i64::from(v as u8),
        K::I16 => i64::from(v as i16),
        K::U16 => i64::from(v as u16),
        K::I32 => i64::from(v as i32),
        K::U32 => i64::from(v as u32),
        K::I64 | K::U64 | K::ISize | K::USize => v as i64,
    }
}

/// The place that gives a block's value.
fn last_span(e: &ast::Expr) -> Span {
    match &e.kind {
        E::Seq(items) => items.last().map_or(e.span, last_span),
        E::Let { body, .. } => last_span(body),
        E::Paren(e) => last_span(e),
        _ => e.span,
    }
}

/// Forms that only lead to parts of a comprehension.
fn is_flow(e: &ast::Expr) -> bool {
    match &e.kind {
        E::Paren(inner) => is_flow(inner),
        E::Seq(_)
        | E::Let { .. }
        | E::If { .. }
        | E::Match { .. }
        | E::ForIn { .. }
        | E::ForTo { .. }
        | E::While { .. } => true,
        _ => false,
    }
}
