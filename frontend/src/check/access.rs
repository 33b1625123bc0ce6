//! Names, dotted names, members and fields.

use super::apply::Head;
use super::decls::bare;
use super::env::{TypeEntry, nearest};
use super::types::{Ty, Want, Why};
use super::{Checker, Value};
use crate::ast::{self, ExprKind as E, Ident, TypeArg as SrcArg};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{self, DefId, ExprId, ExprKind, LocalId, Prim, Type, TypeArg, TypeDefId, TypeDefKind};
use smallvec::SmallVec;
use ustr::Ustr;

impl<'a> Checker<'a> {
    /// A name, dotted name or member as a value.
    pub(crate) fn access(&mut self, e: &'a ast::Expr, want: Want) -> ExprId {
        let head = self.head(e);
        self.head_value(head, e.span, want)
    }

    /// What stands in front of arguments.
    pub(crate) fn head(&mut self, e: &'a ast::Expr) -> Head<'a> {
        match &e.kind {
            E::Name(i) => self.name_head(*i, None),
            E::OpName(i) => match self.find_value(i.name) {
                Some(value) => Head::Value { value, args: None, ident: *i },
                None => {
                    self.unknown_value(*i);
                    Head::Expr(self.error_expr(i.span))
                }
            },
            E::TypeApp(f, args) => match self.head(f) {
                Head::Value { value, ident, .. } => Head::Value { value, args: Some(args), ident },
                other => other,
            },
            E::Dot(base, last) => self.dot_head(e, base, *last),
            E::Paren(inner)
                if matches!(inner.kind, E::Name(_) | E::OpName(_) | E::Dot(..) | E::TypeApp(..)) =>
            {
                self.head(inner)
            }
            _ => Head::Expr(self.expr(e, Want::ANY)),
        }
    }

    fn name_head(&mut self, ident: Ident, args: Option<&'a [SrcArg]>) -> Head<'a> {
        if let Some(field) = self.this_field(ident) {
            return Head::Expr(field);
        }
        if let Some(value) = self.choice_named(ident.name) {
            return Head::Value { value, args, ident };
        }
        if let Some(value) = self.find_value(ident.name) {
            return Head::Value { value, args, ident };
        }
        if let Some(TypeEntry::Def(d)) = self.find_type(ident.name)
            && let Some(value) = self.type_info[d.index()].constructor
        {
            return Head::Value { value, args, ident };
        }
        // `Set [1; 2]`, `Map [..]`: the library's constructors.
        if matches!(ident.name.as_str(), "Set" | "Map") {
            let made = Ident { name: Ustr::from("ofSeq"), span: ident.span };
            if let Some(value) = self.find_path_value(&[ident, made]) {
                return Head::Value { value, args, ident: made };
            }
        }
        self.unknown_value(ident);
        Head::Expr(self.error_expr(ident.span))
    }

    /// A class's constructor parameter or `let`, inside its members.
    fn this_field(&mut self, ident: Ident) -> Option<ExprId> {
        let (this, class) = self.cx.this?;
        if self.locals.contains_key(&ident.name) {
            return None;
        }
        let TypeDefKind::Class(fields) = &self.type_defs[class.index()].kind else { return None };
        let index = fields.iter().rposition(|f| f.name == ident.name)?;
        let ty = fields[index].ty;
        let base = self.local_expr(this, ident.span);
        Some(self.push(ExprKind::Field(base, index as u32), ty, ident.span))
    }

    fn dot_head(&mut self, e: &'a ast::Expr, base: &'a ast::Expr, last: Ident) -> Head<'a> {
        let mut path = Vec::new();
        if !chain(e, &mut path) {
            if let Some(head) = self.static_of_type_app(base, last) {
                return head;
            }
            let receiver = self.expr(base, Want::ANY);
            return self.member_head(receiver, last);
        }
        let first = path[0];
        let value = self.find_value(first.name);
        let is_variable = matches!(value, Some(Value::Local(_) | Value::Def(_) | Value::Broken));
        if !is_variable || first.name.starts_with(|c: char| c.is_uppercase()) {
            for n in (1..path.len()).rev() {
                if matches!(value, Some(Value::Local(_))) {
                    break;
                }
                if let Some(found) = self.find_path_value(&path[..=n]) {
                    let head = Head::Value { value: found, args: None, ident: path[n] };
                    return self.members_of(head, &path[n + 1..]);
                }
                if let Some(entry) = self.find_path_type(&path[..n])
                    && let Some(head) = self.static_head(entry, path[n])
                {
                    return self.members_of(head, &path[n + 1..]);
                }
            }
        }
        if value.is_none() && self.this_field(first).is_none() {
            return self.unknown_path(&path);
        }
        let head = self.name_head(first, None);
        self.members_of(head, &path[1..])
    }

    fn unknown_path(&mut self, path: &[Ident]) -> Head<'a> {
        let span = path.last().map_or(path[0].span, |l| l.span);
        let known = (1..path.len()).rev().find(|&n| !self.find_modules(&path[..n]).is_empty());
        match known {
            Some(n) => self.unknown_in_module(&path[..n], path[n]),
            None => match self.find_type(path[0].name) {
                Some(entry) => self.unknown_static(entry, path[1]),
                None => {
                    let first = path[0];
                    if first.name.starts_with(|c: char| c.is_uppercase()) {
                        let parts = path[..path.len() - 1].to_vec();
                        self.unknown_module(&ast::Path { parts });
                    } else {
                        self.unknown_value(first);
                    }
                }
            },
        }
        Head::Expr(self.error_expr(span))
    }

    fn unknown_static(&mut self, entry: TypeEntry, name: Ident) {
        let TypeEntry::Def(d) = entry else { return self.unknown_value(name) };
        let type_name = self.type_defs[d.index()].name;
        let mut names: Vec<Ustr> = self.type_info[d.index()].members.iter().map(|m| m.name).collect();
        match &self.type_defs[d.index()].kind {
            TypeDefKind::Union(cases) => names.extend(cases.iter().map(|c| c.name)),
            TypeDefKind::Enum(cases) => names.extend(cases.iter().map(|c| c.0)),
            _ => {}
        }
        let mut diag = Diagnostic::error(
            codes::UNKNOWN_MEMBER,
            name.span,
            format!("`{type_name}` has no static member or case `{}`", name.name),
        );
        if let Some(near) = nearest(name.name, names.into_iter()) {
            diag = diag.help(format!("did you mean `{type_name}.{near}`?"));
        }
        self.diags.push(diag);
    }

    fn static_head(&mut self, entry: TypeEntry, name: Ident) -> Option<Head<'a>> {
        let TypeEntry::Def(d) = entry else { return None };
        let found: Vec<Value> = self.type_info[d.index()]
            .members
            .iter()
            .filter(|m| m.is_static && m.name == name.name)
            .map(|m| m.value)
            .collect();
        if found.is_empty() {
            return None;
        }
        let is_property = self.type_info[d.index()]
            .members
            .iter()
            .any(|m| m.is_static && m.name == name.name && m.is_property);
        if is_property {
            let (callee, ty) = self.value_expr(found[0], name);
            let unit = self.unit(name.span);
            let to = self.types.as_fun(ty).map_or(self.types.known.error, |f| f.1);
            return Some(Head::Expr(self.push(ExprKind::App(callee, vec![unit]), to, name.span)));
        }
        Some(Head::Members { receiver: None, candidates: found, ident: name })
    }

    fn static_of_type_app(&mut self, base: &'a ast::Expr, last: Ident) -> Option<Head<'a>> {
        let E::TypeApp(f, _) = &bare(base).kind else { return None };
        let mut path = Vec::new();
        if !chain(f, &mut path) || self.find_value(path[0].name).is_some() {
            return None;
        }
        let entry = self.find_path_type(&path)?;
        self.static_head(entry, last)
    }

    fn members_of(&mut self, head: Head<'a>, names: &[Ident]) -> Head<'a> {
        let mut head = head;
        for &name in names {
            let span = name.span;
            let receiver = self.head_value(head, span, Want::ANY);
            head = self.member_head(receiver, name);
        }
        head
    }

    // --- values

    /// A value as an expression, instantiated.
    pub(crate) fn value_expr(&mut self, value: Value, ident: Ident) -> (ExprId, Ty) {
        let span = ident.span;
        match value {
            Value::Local(local) => self.use_local(local, span),
            Value::Def(def) => self.use_def(def, span),
            Value::Lib(lib) => match self.force_lib(lib) {
                Some(def) => self.use_def(def, span),
                None => (self.error_expr(span), self.types.known.error),
            },
            Value::Case(d, case) => self.case_value(d, case, None, span),
            Value::EnumCase(d, case) => {
                let TypeDefKind::Enum(cases) = &self.type_defs[d.index()].kind else {
                    return (self.error_expr(span), self.types.known.error);
                };
                let n = i64::from(cases[case as usize].1);
                let ty = self.types.intern(Type::Named(d, SmallVec::new()));
                (self.push(ExprKind::Int(n), ty, span), ty)
            }
            Value::Builtin(b) => {
                let id = self.builtin_value(b, span, Want::ANY);
                (id, self.ty(id))
            }
            Value::Active(..) => {
                self.diags.push(
                    Diagnostic::error(
                        codes::MISPLACED,
                        span,
                        format!("`{}` is a case of an active pattern, not a value", ident.name),
                    )
                    .help("use it in a pattern"),
                );
                (self.error_expr(span), self.types.known.error)
            }
            Value::Broken => (self.error_expr(span), self.types.known.error),
        }
    }

    pub(crate) fn use_local(&mut self, local: LocalId, span: Span) -> (ExprId, Ty) {
        let info = &self.cx.body.locals[local.index()];
        let ty = info.ty;
        if info.is_mutable && self.cx.depths[local.index()] < self.cx.depth {
            let (name, at) = (info.name, info.span);
            self.captured(name, span, at);
        }
        let Some(scheme) = self.cx.schemes.get(&local).cloned() else {
            return (self.push(ExprKind::Local(local), ty, span), ty);
        };
        let args: Vec<TypeArg> = scheme
            .kinds
            .iter()
            .map(|&m| {
                if m {
                    TypeArg::Measure(self.types.fresh_measure(false))
                } else {
                    TypeArg::Type(self.types.fresh())
                }
            })
            .collect();
        let ty = self.types.instantiate_local(scheme.ty, scheme.first, &args);
        let id = self.push(ExprKind::Local(local), ty, span);
        self.cx.generic_uses.push((id, args));
        (id, ty)
    }

    /// A definition, with fresh type arguments.
    pub(crate) fn use_def(&mut self, def: DefId, span: Span) -> (ExprId, Ty) {
        if let Some(mono) = self.def_info[def.index()].mono {
            let id = self.push(ExprKind::Def(def, Vec::new()), mono, span);
            self.cx.own_uses.push(id);
            return (id, mono);
        }
        let ty = self.defs[def.index()].ty;
        if self.defs[def.index()].params.is_empty() {
            return (self.push(ExprKind::Def(def, Vec::new()), ty, span), ty);
        }
        let params = self.defs[def.index()].params.clone();
        let args = self.fresh_args(&params);
        self.use_def_at(def, args, span)
    }

    pub(crate) fn use_def_at(&mut self, def: DefId, args: Vec<TypeArg>, span: Span) -> (ExprId, Ty) {
        let ty = self.defs[def.index()].ty;
        let ty = self.types.instantiate(ty, &args);
        self.add_constraints(def, &args, span);
        let id = self.push(ExprKind::Def(def, args), ty, span);
        (id, ty)
    }

    /// A definition with written type arguments.
    pub(crate) fn use_def_with(&mut self, def: DefId, args: &'a [SrcArg], ident: Ident) -> (ExprId, Ty) {
        let params = self.defs[def.index()].params.clone();
        if self.def_info[def.index()].mono.is_some() {
            return self.use_def(def, ident.span);
        }
        if args.len() > params.len() {
            self.diags.push(Diagnostic::error(
                codes::TYPE_ARGUMENTS,
                ident.span,
                format!(
                    "`{}` takes {} type argument{}, but {} are given",
                    ident.name,
                    params.len(),
                    if params.len() == 1 { "" } else { "s" },
                    args.len()
                ),
            ));
            return self.use_def(def, ident.span);
        }
        let mut given = Vec::with_capacity(params.len());
        for (p, a) in params.iter().zip(args) {
            given.push(self.type_arg(p.kind, a));
        }
        let rest = self.fresh_args(&params[given.len()..]);
        given.extend(rest);
        self.use_def_at(def, given, ident.span)
    }

    /// A union's case: its value, or its constructor as a function of one argument.
    pub(crate) fn case_value(
        &mut self,
        d: TypeDefId,
        case: u32,
        args: Option<&'a [SrcArg]>,
        span: Span,
    ) -> (ExprId, Ty) {
        let (ty, fields) = self.case_type(d, case, args);
        if fields.is_empty() {
            return (self.push(ExprKind::Union { case, fields: Vec::new() }, ty, span), ty);
        }
        self.cx.depth += 1;
        let from =
            if let [one] = fields.as_slice() { *one } else { self.types.make(Type::Tuple(fields.clone())) };
        let local = self.temp("value", from, span);
        let parts = if fields.len() == 1 {
            vec![self.local_expr(local, span)]
        } else {
            (0..fields.len())
                .map(|i| {
                    let whole = self.local_expr(local, span);
                    self.push(ExprKind::Field(whole, i as u32), fields[i], span)
                })
                .collect()
        };
        let body = self.push(ExprKind::Union { case, fields: parts }, ty, span);
        self.cx.depth -= 1;
        let fun = self.types.fun(from, ty);
        (self.push(ExprKind::Lambda { params: vec![local], body }, fun, span), fun)
    }

    /// A union's type with fresh arguments, and a case's field types.
    pub(crate) fn case_type(&mut self, d: TypeDefId, case: u32, args: Option<&'a [SrcArg]>) -> (Ty, Vec<Ty>) {
        let params = self.type_defs[d.index()].params.clone();
        let args = match args {
            Some(given) if given.len() == params.len() => {
                params.iter().zip(given).map(|(p, a)| self.type_arg(p.kind, a)).collect()
            }
            _ => self.fresh_args(&params),
        };
        let TypeDefKind::Union(cases) = &self.type_defs[d.index()].kind else {
            return (self.types.known.error, Vec::new());
        };
        let raw: SmallVec<[Ty; 4]> = cases[case as usize].fields.iter().map(|f| f.ty).collect();
        let fields = raw.iter().map(|&t| self.types.instantiate(t, &args)).collect();
        let ty = self.types.make(Type::Named(d, SmallVec::from_vec(args)));
        (ty, fields)
    }

    // --- members

    /// `receiver.name`: a field, a property, or a method to be called.
    pub(crate) fn member_head(&mut self, receiver: ExprId, name: Ident) -> Head<'a> {
        let ty = self.ty(receiver);
        if self.types.is_var(ty) {
            self.solve_pending(false);
        }
        if self.types.is_var(ty) && !self.guess_record(ty, name) {
            self.unknown_receiver(receiver, name);
            return Head::Expr(self.error_expr(name.span));
        }
        let span = self.span(receiver).to(name.span);
        if let Some(field) = self.field(receiver, name.name, span) {
            return Head::Expr(field);
        }
        match self.types.shape(ty) {
            Some(Type::Array(_) | Type::String) if name.name == "Length" => {
                let int = self.types.known.int;
                return Head::Expr(self.prim(Prim::Length, vec![receiver], int, span));
            }
            Some(Type::Error) | None => return Head::Expr(self.error_expr(span)),
            _ => {}
        }
        let (candidates, is_property) = self.find_members(ty, name.name);
        if candidates.is_empty() {
            self.unknown_member(ty, name);
            return Head::Expr(self.error_expr(span));
        }
        if is_property {
            return Head::Expr(self.call_property(candidates[0], receiver, name, span));
        }
        Head::Members { receiver: Some(receiver), candidates, ident: name }
    }

    fn call_property(&mut self, value: Value, receiver: ExprId, name: Ident, span: Span) -> ExprId {
        let (callee, ty) = self.value_expr(value, name);
        let Some((this, to)) = self.types.as_fun(ty) else { return self.error_expr(span) };
        let found = self.ty(receiver);
        self.unify_at(this, found, span, Why::Nothing);
        self.push(ExprKind::App(callee, vec![receiver]), to, span)
    }

    /// A method as a function value without arguments; `None` if there is none (an error was told).
    pub(crate) fn member(&mut self, receiver: ExprId, name: Ident, span: Span) -> Option<ExprId> {
        let errors = self.diags.len();
        let head = self.member_head(receiver, name);
        let id = self.head_value(head, span, Want::ANY);
        (self.diags.len() == errors).then_some(id)
    }

    /// Reads a field by name, if the type has it.
    pub(crate) fn field(&mut self, base: ExprId, name: Ustr, span: Span) -> Option<ExprId> {
        let base_ty = self.ty(base);
        let (index, ty) = match self.types.shape(base_ty)? {
            Type::Named(d, args) => {
                let d = *d;
                let index = *self.type_info[d.index()].by_name.get(&name)?;
                let TypeDefKind::Record(fields) = &self.type_defs[d.index()].kind else { return None };
                let ty = fields[index as usize].ty;
                let args = args.clone();
                (index, self.types.instantiate(ty, &args))
            }
            Type::AnonRecord(fields) => {
                let index = fields.iter().position(|f| f.0 == name)?;
                (index as u32, fields[index].1)
            }
            _ => return None,
        };
        Some(self.push(ExprKind::Field(base, index), ty, span))
    }

    /// The newest record type with such a field, where the receiver's type is not known yet.
    fn guess_record(&mut self, ty: Ty, name: Ident) -> bool {
        let Some(&(d, _)) = self.find_field(name.name).first() else { return false };
        let params = self.type_defs[d.index()].params.clone();
        let args = self.fresh_args(&params);
        let record = self.types.make(Type::Named(d, SmallVec::from_vec(args)));
        self.types.unify(ty, record).is_ok()
    }

    /// Functions that a member name stands for, and whether the first is a property.
    fn find_members(&self, ty: Ty, name: Ustr) -> (Vec<Value>, bool) {
        let Some(shape) = self.types.shape(ty) else { return (Vec::new(), false) };
        if let Type::Named(d, _) = shape {
            let own: Vec<_> =
                self.type_info[d.index()].members.iter().filter(|m| !m.is_static && m.name == name).collect();
            if let Some(first) = own.first() {
                return (own.iter().map(|m| m.value).collect(), first.is_property);
            }
        }
        let Some(module) = self.members_module(shape) else { return (Vec::new(), false) };
        let Some(id) = self.module_at(&["Members", &module]) else { return (Vec::new(), false) };
        let found = self.module(id).overloads.get(&name).cloned().unwrap_or_default();
        // Whether it is a property or a method without arguments, the call tells.
        (found, false)
    }

    /// The module of the library that holds a built-in type's members.
    fn members_module(&self, shape: &Type) -> Option<String> {
        Some(match shape {
            Type::String => "String".to_owned(),
            Type::Char => "Char".to_owned(),
            Type::Array(_) => "Array".to_owned(),
            Type::Int(..) => "Int".to_owned(),
            Type::Float(..) => "Float".to_owned(),
            Type::Bool => "Bool".to_owned(),
            Type::NativePtr(_) => "NativePtr".to_owned(),
            Type::Named(d, _) => {
                let name = self.type_defs[d.index()].name;
                let mut chars = name.chars();
                let first = chars.next()?;
                first.to_uppercase().chain(chars).collect()
            }
            _ => return None,
        })
    }

    fn unknown_receiver(&mut self, receiver: ExprId, name: Ident) {
        let span = self.span(receiver);
        self.diags.push(
            Diagnostic::error(
                codes::NEEDS_ANNOTATION,
                span,
                format!("the type of this value must be known before `.{}` is looked up", name.name),
            )
            .note("types are inferred from left to right")
            .help("annotate it: `(x: SomeType)`, or pipe the value in from the left with `|>`"),
        );
    }

    fn unknown_member(&mut self, ty: Ty, name: Ident) {
        let shown = self.show(ty);
        let mut names: Vec<Ustr> = Vec::new();
        let mut is_record = false;
        if let Some(shape) = self.types.shape(ty) {
            match shape {
                Type::Named(d, _) => {
                    names.extend(self.type_info[d.index()].members.iter().map(|m| m.name));
                    names.extend(self.type_info[d.index()].by_name.keys().copied());
                    is_record = matches!(self.type_defs[d.index()].kind, TypeDefKind::Record(_));
                }
                Type::AnonRecord(fields) => {
                    is_record = true;
                    names.extend(fields.iter().map(|f| f.0));
                }
                _ => {}
            }
            if let Some(id) = self.members_module(shape).and_then(|m| self.module_at(&["Members", &m])) {
                names.extend(self.module(id).overloads.keys().copied());
            }
        }
        let (code, what) = if is_record {
            (codes::UNKNOWN_FIELD, "field or member")
        } else {
            (codes::UNKNOWN_MEMBER, "member")
        };
        let mut d = Diagnostic::error(code, name.span, format!("`{shown}` has no {what} `{}`", name.name));
        if let Some(near) = nearest(name.name, names.into_iter()) {
            d = d.help(format!("did you mean `{near}`?"));
        }
        self.diags.push(d);
    }

    // --- assignment targets

    /// The target of `<-`: like a value, but a mutable local captured by a closure is told as such once.
    pub(crate) fn access_for_assign(&mut self, target: &'a ast::Expr) -> ExprId {
        self.access_or_expr(target)
    }

    fn access_or_expr(&mut self, e: &'a ast::Expr) -> ExprId {
        self.expr(e, Want::ANY)
    }

    fn captured(&mut self, name: Ustr, span: Span, declared: Span) {
        self.diags.push(
            Diagnostic::error(
                codes::MUTABLE_CAPTURED,
                span,
                format!("the mutable variable `{name}` cannot be captured by a function value"),
            )
            .label(declared, "declared here")
            .help(format!(
                "use a cell: `let {name} = ref ..`, read with `{name}.Value` and written with `{name}.Value <- ..`"
            )),
        );
    }

    // --- records

    pub(crate) fn record(&mut self, fields: &'a [(ast::Path, ast::Expr)], span: Span, want: Want) -> ExprId {
        let Some(d) = self.record_type(fields, want.ty, span) else {
            for (_, value) in fields {
                self.expr(value, Want::ANY);
            }
            return self.error_expr(span);
        };
        let params = self.type_defs[d.index()].params.clone();
        let args = self.fresh_args(&params);
        let ty = self.types.make(Type::Named(d, SmallVec::from_vec(args.clone())));
        if let Some(expected) = want.ty {
            // The expected type tells the arguments before the fields are looked at; a mismatch is told at the end.
            let _ = self.types.compatible(expected, ty) && self.types.unify(expected, ty).is_ok();
        }
        let defs = self.record_fields(d);
        let mut slots: Vec<Option<ExprId>> = vec![None; defs.len()];
        let mut order = Vec::with_capacity(fields.len());
        for (path, value) in fields {
            let Some(name) = path.last() else { continue };
            let Some(index) = defs.iter().position(|f| f.0 == name.name) else {
                self.unknown_record_field(d, name, &defs);
                self.expr(value, Want::ANY);
                continue;
            };
            let field_ty = self.types.instantiate(defs[index].1, &args);
            let id = self.expr(value, Want::new(field_ty, Why::Field(name.name)));
            if slots[index].is_some() {
                self.duplicate_record_field(name);
            } else {
                order.push(index as u32);
            }
            slots[index] = Some(id);
        }
        if order.len() == fields.len() {
            self.missing_fields(d, &defs, &slots, span);
        }
        let error = |c: &mut Self| c.error_expr(span);
        let filled = slots.into_iter().map(|s| s.unwrap_or_else(|| error(self))).collect();
        self.done(ExprKind::Record { fields: filled, order }, ty, span, want)
    }

    fn missing_fields(&mut self, d: TypeDefId, defs: &[(Ustr, Ty)], slots: &[Option<ExprId>], span: Span) {
        let missing: Vec<String> =
            defs.iter().zip(slots).filter(|(_, s)| s.is_none()).map(|(f, _)| format!("`{}`", f.0)).collect();
        if missing.is_empty() {
            return;
        }
        let name = self.type_defs[d.index()].name;
        let noun = if missing.len() == 1 { "field" } else { "fields" };
        self.diags.push(
            Diagnostic::error(
                codes::MISSING_FIELD,
                span,
                format!("the {noun} {} of `{name}` must be given", missing.join(", ")),
            )
            .help("give all fields, or copy a record: `{ r with .. }`"),
        );
    }

    fn unknown_record_field(&mut self, d: TypeDefId, name: Ident, defs: &[(Ustr, Ty)]) {
        let type_name = self.type_defs[d.index()].name;
        let mut diag = Diagnostic::error(
            codes::UNKNOWN_FIELD,
            name.span,
            format!("the record `{type_name}` has no field `{}`", name.name),
        );
        if let Some(near) = nearest(name.name, defs.iter().map(|f| f.0)) {
            diag = diag.help(format!("did you mean `{near}`?"));
        }
        self.diags.push(diag);
    }

    fn duplicate_record_field(&mut self, name: Ident) {
        self.diags.push(Diagnostic::error(
            codes::DUPLICATE,
            name.span,
            format!("the field `{}` is given twice", name.name),
        ));
    }

    fn record_fields(&self, d: TypeDefId) -> Vec<(Ustr, Ty)> {
        match &self.type_defs[d.index()].kind {
            TypeDefKind::Record(fields) => fields.iter().map(|f| (f.name, f.ty)).collect(),
            _ => Vec::new(),
        }
    }

    /// The record type that field names mean: the wanted one, else the newest that has all of them, else the newest
    /// that has the first.
    fn record_type(
        &mut self,
        fields: &'a [(ast::Path, ast::Expr)],
        want: Option<Ty>,
        span: Span,
    ) -> Option<TypeDefId> {
        if let Some(ty) = want
            && let Some(Type::Named(d, _)) = self.types.shape(ty)
            && matches!(self.type_defs[d.index()].kind, TypeDefKind::Record(_))
        {
            return Some(*d);
        }
        let first = fields.first()?;
        if let [front @ .., _] = first.0.parts.as_slice()
            && !front.is_empty()
            && let Some(TypeEntry::Def(d)) = self.find_path_type(front)
        {
            return Some(d);
        }
        let names: Vec<Ident> = fields.iter().filter_map(|f| f.0.last()).collect();
        let mut best: Option<(u8, TypeDefId)> = None;
        for name in &names {
            for (d, _) in self.find_field(name.name) {
                let info = &self.type_info[d.index()].by_name;
                let all = names.iter().all(|n| info.contains_key(&n.name));
                // Exactly these fields, all of them among others, one of them: in this order.
                let rank = if all { u8::from(info.len() != names.len()) } else { 2 };
                if best.is_none_or(|(r, _)| rank < r) {
                    best = Some((rank, d));
                }
            }
        }
        let best = best.map(|b| b.1);
        if best.is_none() {
            let name = names.first().copied()?;
            let mut d = Diagnostic::error(
                codes::UNKNOWN_FIELD,
                name.span,
                format!("no record type in scope has a field `{}`", name.name),
            );
            let known: Vec<Ustr> =
                self.scopes.iter().flat_map(|&s| self.module(s).fields.keys().copied()).collect();
            if let Some(near) = nearest(name.name, known.into_iter()) {
                d = d.help(format!("did you mean `{near}`?"));
            } else {
                d = d.help("declare the record type, or write an anonymous record: `{| .. |}`");
            }
            let _ = span;
            self.diags.push(d);
        }
        best
    }

    pub(crate) fn with(
        &mut self,
        base: &'a ast::Expr,
        fields: &'a [(ast::Path, ast::Expr)],
        span: Span,
        want: Want,
    ) -> ExprId {
        let base_id = self.expr(base, want);
        let ty = self.ty(base_id);
        if self.types.is_var(ty)
            && let Some(d) = self.record_type(fields, None, span)
        {
            let params = self.type_defs[d.index()].params.clone();
            let args = self.fresh_args(&params);
            let record = self.types.make(Type::Named(d, SmallVec::from_vec(args)));
            let _ = self.types.unify(ty, record);
        }
        let mut out = Vec::with_capacity(fields.len());
        for (path, value) in fields {
            let Some(name) = path.last() else { continue };
            let Some(index) = self.field_index(ty, name.name) else {
                if !matches!(self.types.shape(ty), Some(Type::Error)) {
                    self.unknown_member(ty, name);
                }
                self.expr(value, Want::ANY);
                continue;
            };
            let id = self.expr(value, Want::new(index.1, Why::Field(name.name)));
            out.push((index.0, id));
        }
        self.push(ExprKind::With { base: base_id, fields: out }, ty, span)
    }

    pub(crate) fn field_index(&mut self, ty: Ty, name: Ustr) -> Option<(u32, Ty)> {
        match self.types.shape(ty)? {
            Type::Named(d, args) => {
                let index = *self.type_info[d.index()].by_name.get(&name)?;
                let typed::TypeDefKind::Record(fields) = &self.type_defs[d.index()].kind else { return None };
                let field = fields[index as usize].ty;
                let args = args.clone();
                Some((index, self.types.instantiate(field, &args)))
            }
            Type::AnonRecord(fields) => {
                let index = fields.iter().position(|f| f.0 == name)?;
                Some((index as u32, fields[index].1))
            }
            _ => None,
        }
    }
}

/// The identifiers of `a.b.c`; false if it is anything else.
pub(crate) fn chain(e: &ast::Expr, out: &mut Vec<Ident>) -> bool {
    match &e.kind {
        E::Name(i) => {
            out.push(*i);
            true
        }
        E::Dot(base, i) => {
            let plain = chain(base, out);
            out.push(*i);
            plain
        }
        _ => false,
    }
}
