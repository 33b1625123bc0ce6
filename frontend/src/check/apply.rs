//! Application: of functions, cases, members, operators' function forms; pipes and composition.

use super::builtin::Builtin;
use super::decls::bare;
use super::types::{Ty, Want, Why};
use super::{Checker, Value};
use crate::ast::{self, ExprKind as E, Ident, Lit, TypeArg as SrcArg};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{ExprId, ExprKind, Hint, Type, TypeArg, TypeDefId};

/// What stands in front of arguments.
pub(crate) enum Head<'a> {
    Value {
        value: Value,
        args: Option<&'a [SrcArg]>,
        ident: Ident,
    },
    Expr(ExprId),
    /// A method: the first candidate that fits is taken.
    Members {
        receiver: Option<ExprId>,
        candidates: Vec<Value>,
        ident: Ident,
    },
}

/// An argument: still to be checked, or already.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    Source(&'a ast::Expr),
    Done(ExprId),
}

impl<'a> Checker<'a> {
    pub(crate) fn application(
        &mut self,
        e: &'a ast::Expr,
        f: &'a ast::Expr,
        args: &'a [ast::Expr],
        want: Want,
    ) -> ExprId {
        if let Some(id) = self.dispatch_form(f, args, e.span, want) {
            return id;
        }
        let head = self.head(f);
        let args = args.iter().map(Arg::Source).collect();
        self.apply(head, args, e.span, want)
    }

    /// A head without arguments.
    pub(crate) fn head_value(&mut self, head: Head<'a>, span: Span, want: Want) -> ExprId {
        let id = match head {
            Head::Expr(id) => id,
            Head::Value { value: Value::Builtin(b), args, ident } => {
                let id = self.builtin_value_at(b, args, ident.span, want);
                return self.coerce(id, want);
            }
            Head::Value { value: Value::Case(d, case), ident, .. }
                if self.choice_named(ident.name).is_some() =>
            {
                let unit = self.unit(span);
                let (ty, fields) = self.case_type(d, case, None);
                let held = self.types.known.unit;
                self.unify_at(fields.first().copied().unwrap_or(held), held, span, Why::Nothing);
                self.push(ExprKind::Union { case, fields: vec![unit] }, ty, span)
            }
            Head::Value { value: Value::Case(d, case), args, .. } => self.case_value(d, case, args, span).0,
            Head::Value { value, args: Some(args), ident } => self.typed_value(value, args, ident),
            Head::Value { value, args: None, ident } => self.value_expr(value, ident).0,
            Head::Members { receiver: None, candidates, ident } => self.value_expr(candidates[0], ident).0,
            Head::Members { receiver: Some(r), candidates, ident } => {
                let property = candidates.iter().copied().find(|&c| self.value_arity(c) <= 1);
                let value = property.unwrap_or(candidates[0]);
                let (callee, ty) = self.value_expr(value, ident);
                self.call(callee, ty, vec![Arg::Done(r)], span, Want::ANY)
            }
        };
        self.coerce(id, want)
    }

    fn typed_value(&mut self, value: Value, args: &'a [SrcArg], ident: Ident) -> ExprId {
        let def = match value {
            Value::Def(def) => Some(def),
            Value::Lib(lib) => self.force_lib(lib),
            _ => None,
        };
        match def {
            Some(def) => self.use_def_with(def, args, ident).0,
            None => self.value_expr(value, ident).0,
        }
    }

    /// Curried parameters that a function was written with.
    pub(crate) fn value_arity(&self, value: Value) -> usize {
        match value {
            Value::Def(d) => self.def_info[d.index()].arity as usize,
            Value::Lib(lib) => match self.libs[lib as usize].source {
                super::library::LibSource::Binding(b) => match &b.head {
                    ast::BindingHead::Name { params, .. }
                    | ast::BindingHead::ActivePattern { params, .. } => params.len(),
                    ast::BindingHead::Pattern(_) => 1,
                },
                super::library::LibSource::Member(m, _) => m.params.len() + usize::from(!m.is_static),
                super::library::LibSource::Extern(e) => e.params.len(),
            },
            _ => 1,
        }
    }

    pub(crate) fn apply(&mut self, head: Head<'a>, args: Vec<Arg<'a>>, span: Span, want: Want) -> ExprId {
        match head {
            Head::Value { value: Value::Builtin(b), args: targs, ident } => {
                self.builtin_app(b, targs, args, ident.span, span, want)
            }
            Head::Value { value: Value::Case(d, case), args: targs, ident } => {
                self.construct(d, case, targs, args, ident, span, want)
            }
            Head::Members { receiver, candidates, ident } => {
                self.member_app(receiver, candidates, args, ident, span, want)
            }
            head => {
                let at = match &head {
                    Head::Value { ident, .. } => ident.span,
                    _ => span,
                };
                let callee = self.head_value(head, at, Want::ANY);
                let ty = self.ty(callee);
                self.call(callee, ty, args, span, want)
            }
        }
    }

    /// Calls a function value with arguments.
    pub(crate) fn call(
        &mut self,
        callee: ExprId,
        ty: Ty,
        args: Vec<Arg<'a>>,
        span: Span,
        want: Want,
    ) -> ExprId {
        let args = self.spread(ty, args, self.is_method(callee));
        let mut params = Vec::with_capacity(args.len());
        let mut rest = ty;
        for n in 0..args.len() {
            let Some((p, r)) = self.types.as_fun(rest) else {
                return self.too_many(callee, ty, n, args, span);
            };
            params.push(p);
            rest = r;
        }
        // Where a sequence is wanted, a generic function may give a list, which becomes one afterwards.
        if let Some(expected) = want.ty
            && !(self.types.shape(rest).is_none() && self.is_sequence(expected))
            && self.types.compatible(expected, rest)
        {
            let _ = self.types.unify(expected, rest);
        }
        let at = self.span(callee);
        let ids = self.arguments(&args, &params, at);
        if let Some(id) = self.marker(callee, &ids, span) {
            return self.coerce(id, want);
        }
        let rest = self.allocated(callee, &ids, rest);
        self.done(ExprKind::App(callee, ids), rest, span, want)
    }

    /// Checks arguments; function literals come last, when the others have told their parameters' types.
    fn arguments(&mut self, args: &[Arg<'a>], params: &[Ty], callee: Span) -> Vec<ExprId> {
        let mut ids = vec![super::decls::NO_EXPR; args.len()];
        // What is piped in tells the types of the others.
        for (n, (arg, &param)) in args.iter().zip(params).enumerate() {
            if let Arg::Done(id) = arg {
                ids[n] = self.coerce(*id, Want::new(param, Why::Argument(n, callee)));
            }
        }
        for literals in [false, true] {
            for (n, (arg, &param)) in args.iter().zip(params).enumerate() {
                let want = Want::new(param, Why::Argument(n, callee));
                match arg {
                    Arg::Source(e) if is_function_literal(e) == literals => ids[n] = self.branch(e, want),
                    _ => {}
                }
            }
        }
        ids
    }

    /// Whether the callee has the name of one of .NET's static methods, as `Math.Max` has: it takes no tuples.
    fn is_method(&self, callee: ExprId) -> bool {
        let ExprKind::Def(def, _) = self.cx.body[callee].kind else { return false };
        let path = self.defs[def.index()].path.as_str();
        path.strip_prefix("Math.").is_some_and(|name| name.starts_with(char::is_uppercase))
    }

    /// `f(a, b)` for a curried `f`: the tuple's elements are the arguments. Where `f` might take the tuple itself, they
    /// are only if it is a method.
    fn spread(&mut self, ty: Ty, args: Vec<Arg<'a>>, is_method: bool) -> Vec<Arg<'a>> {
        let [Arg::Source(only)] = args.as_slice() else { return args };
        let E::Tuple(items) = &bare(only).kind else { return args };
        let Some(&Type::Fun(first, rest)) = self.types.shape(ty) else { return args };
        match self.types.shape(first) {
            _ if is_method => {}
            None | Some(Type::Tuple(_) | Type::Param(_) | Type::Error) => return args,
            Some(_) => {}
        }
        let mut rest = rest;
        for _ in 1..items.len() {
            let Some(&Type::Fun(_, r)) = self.types.shape(rest) else { return args };
            rest = r;
        }
        items.iter().map(Arg::Source).collect()
    }

    fn too_many(&mut self, callee: ExprId, ty: Ty, fits: usize, args: Vec<Arg<'a>>, span: Span) -> ExprId {
        for arg in &args {
            if let Arg::Source(e) = arg {
                self.branch(e, Want::ANY);
            }
        }
        let shown = self.show(ty);
        let name = self.name_of(callee);
        let d = if fits == 0 {
            let what = name.map_or_else(|| "this".to_owned(), |n| format!("`{n}`"));
            Diagnostic::error(
                codes::NOT_A_FUNCTION,
                self.span(callee),
                format!("{what} is not a function, but is given an argument"),
            )
            .here(format!("has type `{shown}`"))
            .help("is an operator, a comma or a line break missing before the argument?")
        } else {
            let what = name.map_or_else(|| "the function".to_owned(), |n| format!("`{n}`"));
            let plural = if fits == 1 { "" } else { "s" };
            Diagnostic::error(
                codes::ARGUMENT_COUNT,
                span,
                format!("{what} takes {fits} argument{plural}, but is given {}", args.len()),
            )
            .note(format!("its type is `{shown}`"))
        };
        self.diags.push(d);
        self.error_expr(span)
    }

    /// The name of a callee, for messages.
    pub(crate) fn name_of(&self, e: ExprId) -> Option<String> {
        match &self.cx.body[e].kind {
            ExprKind::Local(l) => Some(self.cx.body.locals[l.index()].name.to_string()),
            ExprKind::Def(d, _) => {
                let path = self.defs[d.index()].path;
                Some(path.rsplit('.').next().unwrap_or_default().to_owned())
            }
            _ => None,
        }
    }

    /// The type of an allocation knows the hint and the agents that are written there.
    fn allocated(&mut self, callee: ExprId, args: &[ExprId], ty: Ty) -> Ty {
        let (ExprKind::Def(def, _), [_, agents, hint]) = (&self.cx.body[callee].kind, args) else {
            return ty;
        };
        let path = self.defs[def.index()].path;
        if path != "BAREWire.HSA.allocateUnified" && path != "BAREWire.HSA.allocateUnified64" {
            return ty;
        }
        let hint = match self.cx.body[*hint].kind {
            ExprKind::Union { case, .. } => {
                super::hints::NAMES.get(case as usize).map(|n| ustr::Ustr::from(n))
            }
            _ => None,
        };
        let agents = self.written_agents(*agents);
        let Some(Type::Named(buffer, parts)) = self.types.shape(ty).cloned() else { return ty };
        let mut parts = parts;
        let hidden = parts.iter_mut().filter_map(|part| match part {
            TypeArg::Hint(label) => Some(label),
            _ => None,
        });
        for (label, known) in hidden.zip([hint, agents]) {
            if let Some(name) = known {
                *label = Hint::Known(name);
            }
        }
        self.types.make(Type::Named(buffer, parts))
    }

    /// A list of agents that is written out, as types show it: each once, the GPUs by their numbers.
    fn written_agents(&self, list: ExprId) -> Option<ustr::Ustr> {
        let mut agents = std::collections::BTreeSet::new();
        let mut at = list;
        // A list is a union: empty, or an element and the rest.
        while let ExprKind::Union { fields, .. } = &self.cx.body[at].kind {
            let &[agent, rest] = fields.as_slice() else {
                let names: Vec<String> = agents.into_iter().map(super::hints::agent_name).collect();
                return Some(ustr::Ustr::from(&format!("[{}]", names.join("; "))));
            };
            let ExprKind::Union { case, fields } = &self.cx.body[agent].kind else { return None };
            let device = match fields.first().map(|f| &self.cx.body[*f].kind) {
                None => 0,
                Some(ExprKind::Int(device)) => *device,
                Some(_) => return None,
            };
            agents.insert((*case, device));
            at = rest;
        }
        None
    }

    fn marker(&mut self, callee: ExprId, args: &[ExprId], span: Span) -> Option<ExprId> {
        let ExprKind::Def(def, _) = &self.cx.body[callee].kind else { return None };
        let [buffer] = args else { return None };
        if self.defs[def.index()].path != "BAREWire.HSA.signalCompletion" {
            return None;
        }
        let unit = self.types.known.unit;
        Some(self.push(ExprKind::Marker(*buffer), unit, span))
    }

    // --- cases

    #[expect(clippy::too_many_arguments, reason = "one call site; the parts of a constructor's use")]
    fn construct(
        &mut self,
        d: TypeDefId,
        case: u32,
        targs: Option<&'a [SrcArg]>,
        args: Vec<Arg<'a>>,
        ident: Ident,
        span: Span,
        want: Want,
    ) -> ExprId {
        let (ty, fields) = self.case_type(d, case, targs);
        if let Some(expected) = want.ty
            && self.types.compatible(expected, ty)
        {
            let _ = self.types.unify(expected, ty);
        }
        let at = ident.span;
        let given: Vec<Arg<'a>> = match args.as_slice() {
            [Arg::Source(only)] if fields.len() > 1 => match &bare(only).kind {
                E::Tuple(items) => items.iter().map(Arg::Source).collect(),
                _ => return self.construct_from_tuple(case, args[0], ty, &fields, span, want),
            },
            [Arg::Done(_)] if fields.len() > 1 => {
                return self.construct_from_tuple(case, args[0], ty, &fields, span, want);
            }
            _ => args,
        };
        if let Some((given, order)) = self.named_fields(d, case, &given) {
            let params: Vec<Ty> = order.iter().map(|&i| fields[i]).collect();
            let ids = self.arguments(&given, &params, at);
            let mut slots = vec![super::decls::NO_EXPR; fields.len()];
            for (id, &i) in ids.iter().zip(&order) {
                slots[i] = *id;
            }
            if given.len() == fields.len() && !slots.contains(&super::decls::NO_EXPR) {
                return self.done(ExprKind::Union { case, fields: slots }, ty, span, want);
            }
            return self.wrong_fields(ident, fields.len(), given.len(), span);
        }
        if given.len() != fields.len() {
            for arg in &given {
                if let Arg::Source(e) = arg {
                    self.branch(e, Want::ANY);
                }
            }
            return self.wrong_fields(ident, fields.len(), given.len(), span);
        }
        let ids = self.arguments(&given, &fields, at);
        self.done(ExprKind::Union { case, fields: ids }, ty, span, want)
    }

    fn wrong_fields(&mut self, ident: Ident, takes: usize, given: usize, span: Span) -> ExprId {
        let takes = match takes {
            0 => "takes no value".to_owned(),
            1 => "takes one value".to_owned(),
            n => format!("takes {n} values"),
        };
        self.diags.push(Diagnostic::error(
            codes::ARGUMENT_COUNT,
            ident.span,
            format!("the case `{}` {takes}, but is given {given}", ident.name),
        ));
        self.error_expr(span)
    }

    /// `Circle(radius = 1.0)`: field values by name.
    fn named_fields(&self, d: TypeDefId, case: u32, args: &[Arg<'a>]) -> Option<(Vec<Arg<'a>>, Vec<usize>)> {
        let crate::typed::TypeDefKind::Union(cases) = &self.type_defs[d.index()].kind else { return None };
        let fields = &cases[case as usize].fields;
        let mut out = Vec::new();
        let mut order = Vec::new();
        for arg in args {
            let Arg::Source(e) = arg else { return None };
            let E::Infix(op, left, right) = &bare(e).kind else { return None };
            let E::Name(name) = &left.kind else { return None };
            if op.name != "=" || self.locals.contains_key(&name.name) {
                return None;
            }
            order.push(fields.iter().position(|f| f.name == name.name)?);
            out.push(Arg::Source(right));
        }
        (!out.is_empty()).then_some((out, order))
    }

    fn construct_from_tuple(
        &mut self,
        case: u32,
        arg: Arg<'a>,
        ty: Ty,
        fields: &[Ty],
        span: Span,
        want: Want,
    ) -> ExprId {
        let tuple = self.types.make(Type::Tuple(fields.to_vec()));
        let value = self.arguments(&[arg], &[tuple], span)[0];
        let local = self.temp("value", tuple, span);
        let parts = fields
            .iter()
            .enumerate()
            .map(|(i, &t)| {
                let whole = self.local_expr(local, span);
                self.push(ExprKind::Field(whole, i as u32), t, span)
            })
            .collect();
        let body = self.push(ExprKind::Union { case, fields: parts }, ty, span);
        self.done(ExprKind::Let { local, value, body }, ty, span, want)
    }

    // --- members

    fn member_app(
        &mut self,
        receiver: Option<ExprId>,
        candidates: Vec<Value>,
        args: Vec<Arg<'a>>,
        ident: Ident,
        span: Span,
        want: Want,
    ) -> ExprId {
        let own = usize::from(receiver.is_some());
        let is_unit =
            matches!(args.first(), Some(Arg::Source(e)) if matches!(bare(e).kind, E::Lit(Lit::Unit)));
        // A property that holds a function, applied; or a library method without arguments.
        if receiver.is_some() && candidates.iter().all(|&c| self.value_arity(c) <= own) {
            let head = Head::Members { receiver, candidates, ident };
            let id = self.head_value(head, span, Want::ANY);
            let ty = self.ty(id);
            if is_unit && args.len() == 1 && !matches!(self.types.shape(ty), Some(Type::Fun(..))) {
                return self.coerce(id, want);
            }
            return self.call(id, ty, args, span, want);
        }
        let (value, args) = self.choose(receiver, &candidates, args, is_unit);
        let (callee, ty) = self.value_expr(value, ident);
        let mut all: Vec<Arg<'a>> = receiver.map(Arg::Done).into_iter().collect();
        if !(is_unit && args.len() == 1 && self.value_arity(value) == own) {
            if let (Some(receiver), Some((this, _))) = (receiver, self.types.as_fun(ty)) {
                // The receiver tells the types of the parameters; a mismatch is told by the call.
                let found = self.ty(receiver);
                let _ = self.types.compatible(this, found) && self.types.unify(this, found).is_ok();
            }
            let params = self.after_receiver(ty, own);
            // The library's methods stand for .NET's, which take tuples.
            let is_method = matches!(value, Value::Lib(_));
            all.extend(self.spread(params, args, is_method));
        }
        self.call(callee, ty, all, span, want)
    }

    fn after_receiver(&self, ty: Ty, own: usize) -> Ty {
        match self.types.shape(ty) {
            Some(&Type::Fun(_, r)) if own == 1 => r,
            _ => ty,
        }
    }

    /// The first candidate whose parameters fit the arguments; the arguments are checked for that if there is a
    /// choice.
    fn choose(
        &mut self,
        receiver: Option<ExprId>,
        candidates: &[Value],
        args: Vec<Arg<'a>>,
        is_unit: bool,
    ) -> (Value, Vec<Arg<'a>>) {
        let own = usize::from(receiver.is_some());
        if let [only] = candidates {
            return (*only, args);
        }
        if is_unit && let Some(&c) = candidates.iter().find(|&&c| self.value_arity(c) == own) {
            return (c, args);
        }
        // One tuple stands for several arguments.
        let parts: Vec<Arg<'a>> = match args.as_slice() {
            [Arg::Source(only)] => match &bare(only).kind {
                E::Tuple(items) => items.iter().map(Arg::Source).collect(),
                _ => args.clone(),
            },
            _ => args.clone(),
        };
        let done: Vec<Arg<'a>> = parts
            .iter()
            .map(|a| match a {
                Arg::Source(e) if !is_function_literal(e) => Arg::Done(self.branch(e, Want::ANY)),
                other => *other,
            })
            .collect();
        for &candidate in candidates {
            if self.fits(candidate, receiver, &done) {
                return (candidate, self.regroup(candidate, own, done));
            }
        }
        let near = candidates.iter().copied().find(|&c| self.value_arity(c) == own + done.len());
        let value = near.unwrap_or(candidates[0]);
        (value, self.regroup(value, own, done))
    }

    /// Arguments as the candidate takes them: one tuple, or curried.
    fn regroup(&mut self, candidate: Value, own: usize, done: Vec<Arg<'a>>) -> Vec<Arg<'a>> {
        if done.len() > 1 && self.value_arity(candidate) == own + 1 {
            let ids: Vec<ExprId> =
                done.iter().filter_map(|a| if let Arg::Done(id) = a { Some(*id) } else { None }).collect();
            if ids.len() == done.len() {
                let tys = ids.iter().map(|&i| self.ty(i)).collect();
                let ty = self.types.make(Type::Tuple(tys));
                let span = self.span(ids[0]).to(self.span(ids[ids.len() - 1]));
                return vec![Arg::Done(self.push(ExprKind::Tuple(ids), ty, span))];
            }
        }
        done
    }

    fn fits(&mut self, candidate: Value, receiver: Option<ExprId>, args: &[Arg<'a>]) -> bool {
        let def = match candidate {
            Value::Def(d) => d,
            Value::Lib(lib) => match self.force_lib(lib) {
                Some(d) => d,
                None => return false,
            },
            _ => return false,
        };
        let mut ty = self.def_info[def.index()].mono.unwrap_or(self.defs[def.index()].ty);
        let mut given: Vec<Option<Ty>> = receiver.map(|r| Some(self.ty(r))).into_iter().collect();
        let tail: Vec<Option<Ty>> =
            args.iter().map(|a| if let Arg::Done(id) = a { Some(self.ty(*id)) } else { None }).collect();
        let arity = self.value_arity(candidate);
        if arity == given.len() + 1
            && tail.len() > 1
            && let Some(tys) = tail.iter().copied().collect::<Option<Vec<Ty>>>()
        {
            given.push(Some(self.types.make(Type::Tuple(tys))));
        } else {
            given.extend(tail);
        }
        if arity != given.len() {
            return false;
        }
        for g in given {
            let Some(&Type::Fun(p, r)) = self.types.shape(ty) else { return false };
            if let Some(g) = g
                && !self.types.compatible(p, g)
                && !self.becomes_sequence(p, g)
            {
                return false;
            }
            ty = r;
        }
        true
    }

    fn becomes_sequence(&self, expected: Ty, found: Ty) -> bool {
        let is_seq =
            matches!(self.types.shape(expected), Some(Type::Named(d, _)) if Some(*d) == self.core.seq);
        is_seq
            && match self.types.shape(found) {
                Some(Type::Array(_)) => true,
                Some(Type::Named(d, _)) => Some(*d) == self.core.list,
                _ => false,
            }
    }

    // --- pipes

    /// `x |> f`.
    pub(crate) fn pipe(&mut self, x: &'a ast::Expr, f: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        let value = self.branch(x, Want::ANY);
        self.pipe_into(value, f, span, want)
    }

    fn pipe_into(&mut self, value: ExprId, f: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        let f = bare(f);
        match &f.kind {
            E::App(g, args) => {
                if args.iter().all(is_trivial) {
                    let head = self.head(g);
                    let mut all: Vec<Arg<'a>> = args.iter().map(Arg::Source).collect();
                    all.push(Arg::Done(value));
                    return self.apply(head, all, span, want);
                }
                // The left side is evaluated first.
                let ty = self.ty(value);
                let at = self.span(value);
                let local = self.temp("piped", ty, at);
                let again = self.local_expr(local, at);
                let head = self.head(g);
                let mut all: Vec<Arg<'a>> = args.iter().map(Arg::Source).collect();
                all.push(Arg::Done(again));
                let body = self.apply(head, all, span, want);
                let ty = self.ty(body);
                self.push(ExprKind::Let { local, value, body }, ty, span)
            }
            E::Name(_) | E::OpName(_) | E::Dot(..) | E::TypeApp(..) => {
                let head = self.head(f);
                self.apply(head, vec![Arg::Done(value)], span, want)
            }
            _ => {
                let from = self.ty(value);
                let to = want.ty.unwrap_or_else(|| self.types.fresh());
                let ty = self.types.fun(from, to);
                let callee = self.branch(f, Want::new(ty, Why::Nothing));
                self.push(ExprKind::App(callee, vec![value]), to, span)
            }
        }
    }

    /// `(x, y) ||> f`.
    pub(crate) fn pipe_pair(&mut self, x: &'a ast::Expr, f: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        if let E::Tuple(items) = &bare(x).kind {
            let ids: Vec<Arg<'a>> = items.iter().map(|i| Arg::Done(self.branch(i, Want::ANY))).collect();
            let (head, mut all) = match &bare(f).kind {
                E::App(g, args) => (self.head(g), args.iter().map(Arg::Source).collect()),
                _ => (self.head(bare(f)), Vec::new()),
            };
            all.extend(ids);
            return self.apply(head, all, span, want);
        }
        self.diags.push(
            Diagnostic::error(codes::NEEDS_ANNOTATION, span, "`||>` needs a tuple written on its left")
                .help("write `(a, b) ||> f`"),
        );
        self.error_expr(span)
    }

    /// `f <| x`.
    pub(crate) fn pipe_back(&mut self, f: &'a ast::Expr, x: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        let (head, mut args): (_, Vec<Arg<'a>>) = match &bare(f).kind {
            E::App(g, args) => {
                if let Some(id) = self.dispatch_pipe(g, args, x, span, want) {
                    return id;
                }
                (self.head(g), args.iter().map(Arg::Source).collect())
            }
            _ => (self.head(bare(f)), Vec::new()),
        };
        args.push(Arg::Source(x));
        self.apply(head, args, span, want)
    }

    /// `f >> g` (`first` is applied first).
    pub(crate) fn compose(
        &mut self,
        first: &'a ast::Expr,
        second: &'a ast::Expr,
        forward: bool,
        span: Span,
        want: Want,
    ) -> ExprId {
        let (a, c) = match want.ty.map(|t| self.types.as_fun(t)) {
            Some(Some(parts)) => parts,
            _ => (self.types.fresh(), self.types.fresh()),
        };
        let b = self.types.fresh();
        let first_ty = self.types.fun(a, b);
        let second_ty = self.types.fun(b, c);
        let f = self.branch(first, Want::new(first_ty, Why::Operand(second.span)));
        let g = self.branch(second, Want::new(second_ty, Why::Operand(first.span)));
        let f_local = self.temp("first", first_ty, first.span);
        let g_local = self.temp("second", second_ty, second.span);
        self.cx.depth += 1;
        let x = self.temp("value", a, span);
        self.cx.depth -= 1;
        let x_ref = self.local_expr(x, span);
        let f_ref = self.local_expr(f_local, span);
        let inner = self.push(ExprKind::App(f_ref, vec![x_ref]), b, span);
        let g_ref = self.local_expr(g_local, span);
        let outer = self.push(ExprKind::App(g_ref, vec![inner]), c, span);
        let ty = self.types.fun(a, c);
        let lambda = self.push(ExprKind::Lambda { params: vec![x], body: outer }, ty, span);
        // Operands are evaluated in the order written.
        let order = if forward { [(g_local, g), (f_local, f)] } else { [(f_local, f), (g_local, g)] };
        let mut body = lambda;
        for (local, value) in order {
            body = self.push(ExprKind::Let { local, value, body }, ty, span);
        }
        self.coerce(body, want)
    }

    /// The rest of the arguments of a builtin that has taken its own.
    pub(crate) fn call_rest(&mut self, callee: ExprId, rest: Vec<Arg<'a>>, span: Span, want: Want) -> ExprId {
        if rest.is_empty() {
            return self.coerce(callee, want);
        }
        let ty = self.ty(callee);
        self.call(callee, ty, rest, span, want)
    }

    /// An argument of a builtin.
    pub(crate) fn argument(&mut self, arg: Arg<'a>, want: Want) -> ExprId {
        match arg {
            Arg::Source(e) => self.branch(e, want),
            Arg::Done(id) => self.coerce(id, want),
        }
    }

    pub(crate) fn operator_value(&self, name: ustr::Ustr) -> Option<Value> {
        match self.find_value(name) {
            Some(Value::Builtin(_)) | None => None,
            found => found,
        }
    }

    pub(crate) fn builtin_value_at(
        &mut self,
        b: Builtin,
        args: Option<&'a [SrcArg]>,
        span: Span,
        want: Want,
    ) -> ExprId {
        if args.is_some() {
            return self.builtin_app(b, args, Vec::new(), span, span, want);
        }
        self.builtin_value(b, span, want)
    }
}

pub(crate) fn is_function_literal(e: &ast::Expr) -> bool {
    matches!(bare(e).kind, E::Lambda { .. } | E::Function(_))
}

/// Evaluating it has no effect and cannot fail, so that its order does not matter.
fn is_trivial(e: &ast::Expr) -> bool {
    match &e.kind {
        E::Lit(_) | E::Name(_) | E::OpName(_) | E::Lambda { .. } | E::Function(_) => true,
        E::Paren(e) | E::TypeApp(e, _) => is_trivial(e),
        E::Dot(base, _) => is_trivial(base),
        E::Tuple(items) | E::List(items) => items.iter().all(is_trivial),
        _ => false,
    }
}
