//! Members of the user's types, and the constructors of classes.
//!
//! All members of a group of types can use each other: they are declared first, then inferred in the order of the text.
//! A property is a function of its receiver only; a static one, of unit.

use super::decls::OpenDef;
use super::types::Ty;
use super::{Checker, Cx, DefInfo, Value};
use crate::ast::{self, Member, Pattern};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{
    Body, Def, DefId, DefKind, ExprId, ExprKind, Field, LocalId, Type, TypeDefId, TypeDefKind, TypeParamDef,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use ustr::Ustr;

/// A declared member: its definition, its type, and whether all its types are written.
type Declared<'a> = (DefId, TypeDefId, &'a Member, bool);

impl<'a> Checker<'a> {
    pub(crate) fn check_members(&mut self, group: &'a [ast::TypeDef], ids: &[Option<TypeDefId>]) {
        for (def, id) in group.iter().zip(ids) {
            if let (Some(id), ast::TypeDefKind::Class { params, lets }) = (*id, &def.kind) {
                self.class_constructor(id, def, params, lets);
            }
        }
        let mut declared: Vec<Declared<'a>> = Vec::new();
        for (def, id) in group.iter().zip(ids) {
            let Some(id) = *id else { continue };
            for m in &def.members {
                let full = m.ret.is_some() && m.params.iter().all(super::decls::is_annotated);
                let def = if full { self.member_signature(id, m) } else { self.member_open(id, m) };
                self.add_member(id, m, Value::Def(def));
                declared.push((def, id, m, full));
            }
        }
        self.join_accessors(&declared);
        self.infer_members(&declared);
    }

    /// Members are inferred in the order of the text. Each becomes generic as soon as all that it mentions is inferred,
    /// so that members behind it can use it at several types; one whose types are all written is generic at once, and
    /// its body is looked at when what it mentions is known.
    fn infer_members(&mut self, declared: &[Declared<'a>]) {
        let mut names: FxHashMap<Ustr, Vec<usize>> = FxHashMap::default();
        for (n, (_, _, m, full)) in declared.iter().enumerate() {
            if !full {
                let name = m.name.name;
                names.entry(name.strip_prefix("set_").map_or(name, Ustr::from)).or_default().push(n);
            }
        }
        let uses: Vec<Vec<usize>> = declared
            .iter()
            .map(|(_, _, m, _)| {
                let mut found: Vec<usize> = super::mentions::names(&m.body)
                    .into_iter()
                    .filter_map(|name| names.get(&name))
                    .flatten()
                    .copied()
                    .collect();
                found.sort_unstable();
                found.dedup();
                found
            })
            .collect();
        let mut closed: Vec<bool> = declared.iter().map(|d| d.3).collect();
        let mut waiting: Vec<(usize, OpenDef)> = Vec::new();
        let mut bodies: Vec<usize> = Vec::new();
        for (n, &(def, id, m, full)) in declared.iter().enumerate() {
            if full {
                bodies.push(n);
            } else {
                self.begin_member(id, m);
                waiting.push((n, self.infer_member(def, id, m)));
                self.close_ready(&mut waiting, &uses, &mut closed);
            }
            for n in std::mem::take(&mut bodies) {
                if uses[n].iter().all(|&u| closed[u]) {
                    let (def, id, m, _) = declared[n];
                    self.begin_member(id, m);
                    self.check_member_body(def, id, m);
                } else {
                    bodies.push(n);
                }
            }
        }
    }

    /// Closes the members that mention, directly or through each other, nothing that is still to be inferred.
    fn close_ready(&mut self, waiting: &mut Vec<(usize, OpenDef)>, uses: &[Vec<usize>], closed: &mut [bool]) {
        let mut ready: Vec<usize> = waiting.iter().map(|w| w.0).collect();
        loop {
            let before = ready.len();
            let known = ready.clone();
            ready.retain(|&n| uses[n].iter().all(|u| closed[*u] || known.contains(u)));
            if ready.len() == before {
                break;
            }
        }
        if ready.is_empty() {
            return;
        }
        let (group, rest): (Vec<_>, Vec<_>) =
            std::mem::take(waiting).into_iter().partition(|w| ready.contains(&w.0));
        *waiting = rest;
        ready.iter().for_each(|&n| closed[n] = true);
        self.close_group(group.into_iter().map(|w| w.1).collect());
    }

    /// Tells each property that reads which member writes it.
    fn join_accessors(&mut self, declared: &[Declared<'a>]) {
        let mut readers: FxHashMap<(TypeDefId, Ustr), DefId> = FxHashMap::default();
        for (def, id, m, _) in declared {
            if m.form == ast::MemberForm::Plain {
                readers.insert((*id, m.name.name), *def);
            }
        }
        for (def, id, m, _) in declared {
            if let (ast::MemberForm::Setter, Some(name)) = (m.form, m.name.name.strip_prefix("set_"))
                && let Some(reader) = readers.get(&(*id, Ustr::from(name)))
            {
                self.def_info[reader.index()].setter = Some(*def);
            }
        }
    }

    fn class_type(&mut self, id: TypeDefId) -> Ty {
        let params = self.type_defs[id.index()].params.clone();
        let args = self.own_args(&params);
        self.types.make(Type::Named(id, SmallVec::from_vec(args)))
    }

    /// Starts a member's context: the type's parameters, then its own.
    fn begin_member(&mut self, id: TypeDefId, m: &Member) {
        self.cx = Cx::default();
        self.types.level = 1;
        self.declare_type_params(id);
        self.declare_params(&m.type_params);
    }

    fn declare_type_params(&mut self, id: TypeDefId) {
        for p in self.type_defs[id.index()].params.clone() {
            if p.kind.is_hidden() {
                continue;
            }
            let var = self.new_param(p.name, p.kind == crate::typed::ParamKind::Measure);
            self.cx.type_vars.insert(p.name, var);
        }
    }

    fn member_def(&mut self, id: TypeDefId, m: &Member, ty: Ty, params: Vec<TypeParamDef>) -> DefId {
        let path = Ustr::from(&format!("{}.{}", self.type_defs[id.index()].path, m.name.name));
        let def = Def {
            path,
            params,
            kind: DefKind::Value { body: Body::default(), is_mutable: false },
            ty,
            span: m.name.span,
            is_inline: false,
            is_public: true,
            doc: m.doc.clone(),
            kernel: None,
        };
        let own = m.params.len() as u32;
        let arity = if m.is_static { own.max(1) } else { own + 1 };
        self.new_def(def, DefInfo { arity, ..DefInfo::default() })
    }

    /// Declares a member whose types are all written.
    pub(crate) fn member_signature(&mut self, id: TypeDefId, m: &'a Member) -> DefId {
        self.begin_member(id, m);
        self.cx.rigid = true;
        let mut tys = self.receiver_types(id, m);
        for p in &m.params {
            let ty = self.param_type(p);
            tys.push(ty);
        }
        let ret = match &m.ret {
            Some(t) => self.type_expr(t),
            None => self.types.known.error,
        };
        let ty = self.types.funs(&tys, ret);
        let ty = self.types.zonk(ty);
        let params = std::mem::take(&mut self.cx.params);
        self.member_def(id, m, ty, params)
    }

    fn member_open(&mut self, id: TypeDefId, m: &'a Member) -> DefId {
        self.begin_member(id, m);
        let ty = self.types.fresh();
        let error = self.types.known.error;
        let def = self.member_def(id, m, error, Vec::new());
        let mut tys = self.receiver_types(id, m);
        for p in &m.params {
            let ty = self.param_type(p);
            tys.push(ty);
        }
        let ret = match &m.ret {
            Some(t) => self.type_expr(t),
            None => self.types.fresh(),
        };
        let known = self.types.funs(&tys, ret);
        let _ = self.types.unify(ty, known);
        self.def_info[def.index()].mono = Some(ty);
        def
    }

    fn receiver_types(&mut self, id: TypeDefId, m: &Member) -> Vec<Ty> {
        if !m.is_static {
            vec![self.class_type(id)]
        } else if m.params.is_empty() {
            vec![self.types.known.unit]
        } else {
            Vec::new()
        }
    }

    /// Checks the body of a member whose signature is known.
    pub(crate) fn check_member_body(&mut self, def: DefId, id: TypeDefId, m: &'a Member) {
        self.types.level = 1;
        self.cx.params = self.defs[def.index()].params.clone();
        for (n, p) in self.cx.params.clone().iter().enumerate() {
            let args = self.own_args(&self.cx.params.clone());
            let var = match &args[n] {
                crate::typed::TypeArg::Measure(u) => super::tyexpr::NamedVar::Measure(u.clone()),
                crate::typed::TypeArg::Type(t) => super::tyexpr::NamedVar::Type(*t),
                _ => continue,
            };
            self.cx.type_vars.insert(p.name, var);
        }
        let open = self.infer_member(def, id, m);
        self.close_group(vec![open]);
    }

    fn infer_member(&mut self, def: DefId, id: TypeDefId, m: &'a Member) -> OpenDef {
        let mark = self.mark();
        let expected = self.def_info[def.index()].mono.unwrap_or(self.defs[def.index()].ty);
        let mut locals = Vec::new();
        let mut rest = expected;
        if !m.is_static {
            let this_ty = self.class_type(id);
            let (name, span) = m.this.map_or((Ustr::from("this"), m.name.span), |i| (i.name, i.span));
            let local = self.new_local(name, this_ty, false, span);
            if name != "_" {
                self.bind_name(name, Value::Local(local));
            }
            if matches!(self.type_defs[id.index()].kind, TypeDefKind::Class(_)) {
                self.cx.this = Some((local, id));
            }
            locals.push(local);
            rest = self.types.as_fun(rest).map_or(rest, |f| f.1);
        } else if m.params.is_empty() {
            let unit = self.types.known.unit;
            locals.push(self.temp("unit", unit, m.name.span));
            rest = self.types.as_fun(rest).map_or(rest, |f| f.1);
        }
        let (more, root, ty) = self.function(&m.params, m.ret.as_ref(), &m.body, Some(rest));
        locals.extend(more);
        self.unify_at(rest, ty, m.span, super::types::Why::Nothing);
        self.leave(mark);
        self.cx.body.root = Some(root);
        let cx = std::mem::take(&mut self.cx);
        OpenDef { def, cx, ty: expected, params: locals, general: true, span: m.span, late: false }
    }

    /// `type C(x: int) = let ..`: a function that evaluates the `let`s and makes the record of hidden fields.
    fn class_constructor(
        &mut self,
        id: TypeDefId,
        source: &'a ast::TypeDef,
        params: &'a [Pattern],
        lets: &'a [ast::LetGroup],
    ) {
        self.cx = Cx::default();
        self.types.level = 1;
        self.declare_type_params(id);
        let own = self.cx.params.clone();
        let mark = self.mark();
        let params = match params {
            [one] => match &super::decls::strip(one).kind {
                ast::PatternKind::Tuple(items) => items.as_slice(),
                ast::PatternKind::Lit(ast::Lit::Unit) => &[],
                _ => params,
            },
            _ => params,
        };
        let span = source.name.span;
        let (arg, mut stack) = self.constructor_params(params, span);
        let mut fields: Vec<(LocalId, Ustr, bool)> =
            stack.iter().map(|s| s.0).map(|l| (l, self.cx.body.locals[l.index()].name, false)).collect();
        for group in lets {
            for b in &group.bindings {
                let ast::BindingHead::Name { name, params, .. } = &b.head else {
                    self.outside("pattern in a class", b.span);
                    continue;
                };
                let value = if params.is_empty() {
                    let want = match &b.ret {
                        Some(t) => {
                            super::types::Want::new(self.type_expr(t), super::types::Why::Annotation(t.span))
                        }
                        None => super::types::Want::ANY,
                    };
                    self.branch(&b.body, want)
                } else {
                    self.cx.depth += 1;
                    let (locals, body, ty) = self.function(params, b.ret.as_ref(), &b.body, None);
                    self.cx.depth -= 1;
                    self.push(ExprKind::Lambda { params: locals, body }, ty, b.span)
                };
                let ty = self.ty(value);
                let local = self.new_local(name.name, ty, b.is_mutable, name.span);
                self.bind_name(name.name, Value::Local(local));
                fields.push((local, name.name, b.is_mutable));
                stack.push(Step(local, value));
            }
        }
        self.leave(mark);
        self.finish_constructor(id, source, own, arg, stack, &fields);
    }

    /// The constructor's parameter (one value or a tuple) and the bindings of its names.
    fn constructor_params(&mut self, params: &'a [Pattern], span: Span) -> (LocalId, Vec<Step>) {
        let tys: Vec<Ty> = params.iter().map(|p| self.param_type(p)).collect();
        let whole = match tys.as_slice() {
            [] => self.types.known.unit,
            [one] => *one,
            _ => self.types.make(Type::Tuple(tys.clone())),
        };
        let arg = self.temp("arg", whole, span);
        let mut steps = Vec::new();
        for (n, (p, &ty)) in params.iter().zip(&tys).enumerate() {
            let whole = self.local_expr(arg, p.span);
            let value = if params.len() == 1 {
                whole
            } else {
                self.push(ExprKind::Field(whole, n as u32), ty, p.span)
            };
            let name = super::decls::pattern_label(p);
            let local = self.new_local(name, ty, false, p.span);
            self.bind_name(name, Value::Local(local));
            steps.push(Step(local, value));
        }
        (arg, steps)
    }

    fn finish_constructor(
        &mut self,
        id: TypeDefId,
        source: &ast::TypeDef,
        own: Vec<TypeParamDef>,
        arg: LocalId,
        steps: Vec<Step>,
        fields: &[(LocalId, Ustr, bool)],
    ) {
        let span = source.name.span;
        self.solve_pending(true);
        let class = self.class_type(id);
        let values: Vec<ExprId> = fields.iter().map(|f| self.local_expr(f.0, span)).collect();
        let mut hidden = Vec::with_capacity(fields.len());
        for (n, &(local, name, is_mutable)) in fields.iter().enumerate() {
            let ty = self.cx.body.locals[local.index()].ty;
            let ty = self.types.zonk(ty);
            hidden.push(Field { name, ty, is_mutable, fixed: None });
            self.cx.body.exprs[values[n].index()].ty = ty;
        }
        let order = (0..values.len() as u32).collect();
        let mut root = self.push(ExprKind::Record { fields: values, order }, class, span);
        for step in steps.into_iter().rev() {
            let Step(local, value) = step;
            root = self.push(ExprKind::Let { local, value, body: root }, class, span);
        }
        self.cx.body.root = Some(root);
        self.type_defs[id.index()].kind = TypeDefKind::Class(hidden);
        let from = self.cx.body.locals[arg.index()].ty;
        let ty = self.types.fun(from, class);
        let def = Def {
            path: self.type_defs[id.index()].path,
            params: own,
            kind: DefKind::Value { body: Body::default(), is_mutable: false },
            ty: self.types.known.error,
            span,
            is_inline: false,
            is_public: true,
            doc: source.doc.clone(),
            kernel: None,
        };
        let def = self.new_def(def, DefInfo { arity: 1, ..DefInfo::default() });
        let cx = std::mem::take(&mut self.cx);
        self.close_group(vec![OpenDef { def, cx, ty, params: vec![arg], general: true, span, late: false }]);
        self.type_info[id.index()].constructor = Some(Value::Def(def));
        if source.members.is_empty() && fields.is_empty() {
            self.diags.push(
                Diagnostic::warning(
                    codes::MISPLACED,
                    span,
                    format!("the type `{}` has neither fields nor members", source.name.name),
                )
                .help("give it members, or use `unit`"),
            );
        }
    }
}

/// A step of a constructor.
#[derive(Clone, Copy)]
struct Step(LocalId, ExprId);
