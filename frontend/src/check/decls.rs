//! Declarations of the user's files, in order: functions, values, externs, modules, `open`, effects.

use super::types::{Quantified, Ty, Want, Why};
use super::{Checker, Cx, DefInfo, MatchOrigin, ModuleId, Value};
use crate::ast::{
    self, Attribute, Binding, BindingHead, DeclKind, ExprKind as E, File, Lit, Pattern, PatternKind,
};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{
    Body, Def, DefId, DefKind, ExprId, ExprKind, FunParam, Function, KernelAttr, LocalId, ParamKind, PatKind,
    Type, TypeParamDef,
};
use ustr::Ustr;

/// A definition whose body is inferred but not yet closed.
pub(crate) struct OpenDef {
    pub def: DefId,
    pub cx: Cx,
    pub ty: Ty,
    /// The curried parameters, for functions.
    pub params: Vec<LocalId>,
    /// Its open variables may become type parameters.
    pub general: bool,
    pub span: Span,
    /// It waited for a later definition to know its type.
    pub late: bool,
}

impl<'a> Checker<'a> {
    pub(crate) fn check_file(&mut self, file: &'a File) {
        self.truncate_scopes(1);
        if let Some(core) = self.module_at(&["Core"]) {
            self.open_module(core);
        }
        self.enter_header(file);
        self.check_decls(&file.decls);
        self.close_deferred(true);
        self.types.clear();
        self.module = ModuleId(0);
    }

    fn check_decls(&mut self, decls: &'a [ast::Decl]) {
        for decl in decls {
            self.check_decl(decl);
        }
    }

    fn check_decl(&mut self, decl: &'a ast::Decl) {
        match &decl.kind {
            DeclKind::Open(path) => self.open_path(path),
            DeclKind::Module { name, decls } => {
                let outer = self.module;
                let depth = self.scopes.len();
                self.module = self.submodule(outer, name.name);
                self.open_module(self.module);
                self.check_decls(decls);
                self.module = outer;
                self.truncate_scopes(depth);
            }
            DeclKind::ModuleAlias { name, target } => self.module_alias(*name, target),
            DeclKind::Let(group) => self.top_let(decl, group),
            DeclKind::Types(group) => {
                let ids = self.declare_types(group);
                self.check_members(group, &ids);
            }
            DeclKind::Extern(e) => {
                let def = self.declare_extern(e, &decl.attributes, decl.doc.as_ref());
                let value = def.map_or(Value::Broken, Value::Def);
                self.module_mut().values.insert(e.name.name, value);
            }
            DeclKind::Do(e) => {
                self.has_effects = true;
                self.top_effect(e);
            }
            DeclKind::Error => {}
        }
        // The types of values that wait for a later use stay open.
        if self.deferred.is_empty() {
            self.types.clear();
        }
    }

    pub(crate) fn open_path(&mut self, path: &ast::Path) {
        let mut found = self.find_modules(&path.parts);
        found.reverse();
        if found.is_empty() && !self.in_library {
            self.unknown_module(path);
        }
        for module in found {
            self.open_module(module);
        }
    }

    pub(crate) fn module_alias(&mut self, name: ast::Ident, target: &ast::Path) {
        match self.find_modules(&target.parts).first() {
            Some(&id) => {
                self.module_mut().subs.insert(name.name, id);
            }
            None => self.unknown_module(target),
        }
    }

    // --- attributes

    pub(crate) fn attribute<'b>(&self, attributes: &'b [Attribute], name: &str) -> Option<&'b Attribute> {
        attributes.iter().find(|a| {
            a.path.last().is_some_and(|l| l.name == name || l.name.strip_suffix("Attribute") == Some(name))
        })
    }

    pub(crate) fn has_attribute(&self, attributes: &[Attribute], name: &str) -> bool {
        self.attribute(attributes, name).is_some()
    }

    /// The n-th unnamed argument of an attribute, a text.
    pub(crate) fn attribute_text(&self, attributes: &[Attribute], name: &str, n: usize) -> Option<Ustr> {
        let a = self.attribute(attributes, name)?;
        text_of(&a.args.iter().filter(|x| x.name.is_none()).nth(n)?.value)
    }

    pub(crate) fn attribute_named(&self, attributes: &[Attribute], name: &str, key: &str) -> Option<Ustr> {
        let a = self.attribute(attributes, name)?;
        text_of(&a.args.iter().find(|x| x.name.is_some_and(|k| k.name == key))?.value)
    }

    pub(crate) fn kernel_attribute(&mut self, attributes: &[Attribute]) -> Option<KernelAttr> {
        let a = self.attribute(attributes, "Kernel")?;
        let Some(name) = self.attribute_text(attributes, "Kernel", 0) else {
            self.diags.push(
                Diagnostic::error(
                    codes::BAD_KERNEL,
                    a.span,
                    "`Kernel` needs the kernel's name, a text literal",
                )
                .help("write `[<Kernel(\"name\")>]`"),
            );
            return None;
        };
        let span = a.args.first().map_or(a.span, |x| x.value.span);
        let object = self.attribute_named(attributes, "Kernel", "Object");
        Some(KernelAttr { name, span, object, workgroup: self.workgroup_attribute(attributes) })
    }

    /// `[<WorkgroupSize(x, y, z)>]`, y and z optional.
    fn workgroup_attribute(&mut self, attributes: &[Attribute]) -> Option<[u32; 3]> {
        let a = self.attribute(attributes, "WorkgroupSize")?;
        let mut size = [1_u32; 3];
        let fits = (1..=3).contains(&a.args.len())
            && a.args.iter().zip(&mut size).all(|(arg, place)| match count_of(&arg.value) {
                Some(n @ 1..=1024) if arg.name.is_none() => {
                    *place = n;
                    true
                }
                _ => false,
            })
            && size.iter().product::<u32>() <= 1024;
        if fits {
            return Some(size);
        }
        let text = "`WorkgroupSize` needs one to three whole numbers whose product is at most 1024";
        self.diags.push(
            Diagnostic::error(codes::BAD_KERNEL, a.span, text)
                .help("write `[<WorkgroupSize(256)>]`; the first number is for the innermost loop"),
        );
        None
    }

    pub(crate) fn add_kernel(&mut self, def: DefId, kernel: KernelAttr) {
        if let Some(&old) = self.kernels.get(&kernel.name) {
            let mut d = Diagnostic::error(
                codes::DUPLICATE_KERNEL,
                kernel.span,
                format!("two kernels are named `{}`", kernel.name),
            )
            .help("kernel names are unique in a program: rename one");
            if let Some(k) = &self.defs[old.index()].kernel {
                d = d.label(k.span, "first declared here");
            }
            self.diags.push(d);
        }
        self.kernels.insert(kernel.name, def);
        self.defs[def.index()].kernel = Some(kernel);
    }

    // --- top-level functions and values

    fn top_let(&mut self, decl: &'a ast::Decl, group: &'a ast::LetGroup) {
        if !group.is_rec && group.bindings.len() == 1 {
            if let Some(b) = group.bindings.first() {
                self.top_binding(decl, b);
            }
            return;
        }
        let mut declared = Vec::new();
        for b in &group.bindings {
            let def = self.predeclare(decl, b);
            declared.push(def);
        }
        let mut open = Vec::new();
        for (b, slot) in group.bindings.iter().zip(declared) {
            let Some((def, cx, ty)) = slot else {
                self.top_binding(decl, b);
                continue;
            };
            self.cx = cx;
            self.types.level = 1;
            if let Some(ty) = ty {
                open.push(self.infer_binding(def, b, Some(ty)));
            } else {
                self.check_binding_body(def, b);
            }
        }
        self.close_group(open);
    }

    /// Gives a function of a recursive group its name and a type to be found out, or its full signature where it has
    /// type parameters and annotations. `None` for what cannot be recursive.
    fn predeclare(&mut self, decl: &'a ast::Decl, b: &'a Binding) -> Option<(DefId, Cx, Option<Ty>)> {
        let BindingHead::Name { name, type_params, params } = &b.head else { return None };
        let attributes = attributes_of(decl, b);
        if self.is_foreign(attributes) {
            return None;
        }
        self.types.level = 1;
        self.cx = Cx { is_inline: b.is_inline, ..Cx::default() };
        self.declare_params(type_params);
        let full = !type_params.is_empty() && b.ret.is_some() && params.iter().all(is_annotated);
        let ty = if full {
            let tys: Vec<Ty> = params.iter().map(|p| self.param_type(p)).collect();
            let ret = b.ret.as_ref().map_or(self.types.known.error, |t| self.type_expr(t));
            let ty = self.types.funs(&tys, ret);
            self.types.zonk(ty)
        } else {
            self.types.fresh()
        };
        let def = self.define(decl, b, name.name, name.span);
        self.def_info[def.index()].mono = (!full).then_some(ty);
        if full {
            self.defs[def.index()].ty = ty;
            self.defs[def.index()].params = self.cx.params.clone();
        }
        self.module_mut().values.insert(name.name, Value::Def(def));
        let cx = std::mem::take(&mut self.cx);
        Some((def, cx, (!full).then_some(ty)))
    }

    fn define(&mut self, decl: &ast::Decl, b: &Binding, name: Ustr, span: Span) -> DefId {
        let attributes = attributes_of(decl, b);
        let arity = match &b.head {
            BindingHead::Name { params, .. } | BindingHead::ActivePattern { params, .. } => {
                params.len() as u32
            }
            BindingHead::Pattern(_) => 0,
        };
        let def = Def {
            path: self.qualified(name),
            params: Vec::new(),
            kind: DefKind::Value { body: Body::default(), is_mutable: b.is_mutable },
            ty: self.types.known.error,
            span,
            is_inline: b.is_inline,
            is_public: !b.is_private,
            doc: decl.doc.clone(),
            kernel: None,
        };
        let def = self.new_def(def, DefInfo { arity, ..DefInfo::default() });
        if let Some(kernel) = self.kernel_attribute(attributes) {
            self.add_kernel(def, kernel);
        }
        if let Some(a) = self.attribute(attributes, "EntryPoint") {
            if let Some(old) = self.entry {
                let old = self.defs[old.index()].span;
                self.diags.push(
                    Diagnostic::error(codes::BAD_ENTRY_POINT, a.span, "a program has one entry point")
                        .label(old, "already declared here"),
                );
            }
            self.entry = Some(def);
        }
        def
    }

    fn top_binding(&mut self, decl: &'a ast::Decl, b: &'a Binding) {
        let attributes = attributes_of(decl, b);
        if let Some(def) = self.declare_foreign(b, attributes, decl.doc.as_ref()) {
            if let BindingHead::Name { name, .. } = &b.head {
                self.module_mut().values.insert(name.name, Value::Def(def));
            }
            return;
        }
        self.types.level = 1;
        self.cx = Cx { is_inline: b.is_inline, ..Cx::default() };
        match &b.head {
            BindingHead::Name { name, type_params, .. } => {
                self.declare_params(type_params);
                let def = self.define(decl, b, name.name, name.span);
                let open = self.infer_binding(def, b, None);
                self.close_group(vec![open]);
                if self.has_attribute(attributes, "Literal") {
                    self.def_info[def.index()].literal = self.literal_value(def);
                }
                self.module_mut().values.insert(name.name, Value::Def(def));
            }
            BindingHead::ActivePattern { cases, partial, span, .. } => {
                let Some(first) = cases.first() else { return };
                let def = self.define(decl, b, first.name, *span);
                self.cx.choices = self.choices(cases, *partial, *span);
                let open = self.infer_binding(def, b, None);
                self.close_group(vec![open]);
                self.add_active(Value::Def(def), cases, *partial);
            }
            BindingHead::Pattern(p) => self.top_pattern(decl, b, p),
        }
    }

    /// What the cases of a total active pattern make in its body: cases of the library's choice types.
    pub(crate) fn choices(
        &mut self,
        cases: &[ast::Ident],
        partial: bool,
        span: Span,
    ) -> Vec<(Ustr, crate::typed::TypeDefId, u32)> {
        if partial || cases.len() < 2 {
            return Vec::new();
        }
        let names = ["Choice".to_owned(), format!("Choice{}", cases.len())];
        let found = names.iter().find_map(|n| match self.core_type(n) {
            Some(super::env::TypeEntry::Def(d)) if self.type_defs[d.index()].params.len() == cases.len() => {
                Some(d)
            }
            _ => None,
        });
        let Some(def) = found else {
            self.diags.push(
                Diagnostic::error(
                    codes::OUTSIDE_SUBSET,
                    span,
                    format!("an active pattern of {} cases is outside the subset", cases.len()),
                )
                .help("use a union and a function that makes it"),
            );
            return Vec::new();
        };
        cases.iter().enumerate().map(|(n, c)| (c.name, def, n as u32)).collect()
    }

    /// `let (a, b) = e`: a hidden value, and one value for each name, taken out of it.
    fn top_pattern(&mut self, decl: &'a ast::Decl, b: &'a Binding, pattern: &'a Pattern) {
        let hidden = self.define(decl, b, Ustr::from("(pattern)"), pattern.span);
        let open = self.infer_binding(hidden, b, None);
        self.close_group(vec![open]);
        let ty = self.defs[hidden.index()].ty;
        let mut names = Vec::new();
        pattern_names(pattern, &mut names);
        for name in names {
            if self.pattern_name_is_case(name) {
                continue;
            }
            self.types.level = 1;
            self.cx = Cx::default();
            let mark = self.mark();
            let whole = self.push(ExprKind::Def(hidden, Vec::new()), ty, pattern.span);
            let pat = self.pattern(pattern, ty);
            let Some(Value::Local(local)) = self.locals.get(&name.name).copied() else {
                self.leave(mark);
                continue;
            };
            self.leave(mark);
            let body = self.local_expr(local, name.span);
            let local_ty = self.ty(body);
            let arms = vec![crate::typed::Arm { pat, guard: None, body }];
            let root = self.push(ExprKind::Match { scrutinee: whole, arms }, local_ty, pattern.span);
            self.cx.body.root = Some(root);
            let def = self.define(decl, b, name.name, name.span);
            let cx = std::mem::take(&mut self.cx);
            let open = OpenDef {
                def,
                cx,
                ty: local_ty,
                params: Vec::new(),
                general: false,
                span: name.span,
                late: false,
            };
            self.close_group(vec![open]);
            self.module_mut().values.insert(name.name, Value::Def(def));
        }
        self.locals.clear();
        self.trail.clear();
    }

    fn top_effect(&mut self, e: &'a ast::Expr) {
        self.types.level = 1;
        self.cx = Cx::default();
        let name = Ustr::from(&format!("do@{}", self.inits.len()));
        let def = Def {
            path: self.qualified(name),
            params: Vec::new(),
            kind: DefKind::Value { body: Body::default(), is_mutable: false },
            ty: self.types.known.unit,
            span: e.span,
            is_inline: false,
            is_public: false,
            doc: None,
            kernel: None,
        };
        let def = self.new_def(def, DefInfo::default());
        let root = self.statement(e);
        self.cx.body.root = Some(root);
        let ty = self.ty(root);
        let cx = std::mem::take(&mut self.cx);
        self.close_group(vec![OpenDef {
            def,
            cx,
            ty,
            params: Vec::new(),
            general: false,
            span: e.span,
            late: false,
        }]);
    }

    /// Infers a binding's parameters and body in the current context.
    fn infer_binding(&mut self, def: DefId, b: &'a Binding, expected: Option<Ty>) -> OpenDef {
        let params: &'a [Pattern] = match &b.head {
            BindingHead::Name { params, .. } | BindingHead::ActivePattern { params, .. } => params,
            BindingHead::Pattern(_) => &[],
        };
        self.cx.is_kernel = self.defs[def.index()].kernel.is_some();
        let mut expected = expected;
        if self.entry == Some(def) && self.defs[def.index()].kind_is_value() && !params.is_empty() {
            let main = self.entry_type(params);
            if let Some(e) = expected {
                let _ = self.types.unify(e, main);
            }
            expected = Some(main);
        }
        let general;
        let (locals, ty);
        if params.is_empty() {
            let want = match (&b.ret, expected) {
                (Some(t), _) => Want::new(self.type_expr(t), Why::Annotation(t.span)),
                (None, Some(e)) => Want::new(e, Why::Nothing),
                (None, None) => Want::ANY,
            };
            let root = self.expr(&b.body, want);
            general = !b.is_mutable && is_syntactic_value(&b.body);
            ty = self.ty(root);
            if let (Some(e), Some(_)) = (expected, &b.ret) {
                self.unify_at(e, ty, b.span, Why::Bound);
            }
            // A value that is a function is a function.
            if let (ExprKind::Lambda { params, body }, false) = (&self.cx.body[root].kind, b.is_mutable) {
                locals = params.clone();
                self.cx.body.root = Some(*body);
            } else {
                locals = Vec::new();
                self.cx.body.root = Some(root);
            }
        } else {
            let (ps, root, fun) = self.function(params, b.ret.as_ref(), &b.body, expected);
            general = true;
            ty = fun;
            locals = ps;
            self.cx.body.root = Some(root);
        }
        let cx = std::mem::take(&mut self.cx);
        OpenDef { def, cx, ty, params: locals, general, span: b.span, late: false }
    }

    fn entry_type(&mut self, params: &[Pattern]) -> Ty {
        let known = self.types.known;
        let args = match params {
            [p] if matches!(strip(p).kind, PatternKind::Lit(Lit::Unit)) => known.unit,
            _ => self.types.make(Type::Array(known.string)),
        };
        self.types.fun(args, known.int)
    }

    /// Checks the body of a definition whose signature is known.
    pub(crate) fn check_binding_body(&mut self, def: DefId, b: &'a Binding) {
        self.types.level = 1;
        self.cx.is_inline = b.is_inline;
        let ty = self.defs[def.index()].ty;
        if self.cx.params.is_empty() && !self.defs[def.index()].params.is_empty() {
            self.cx.params = self.defs[def.index()].params.clone();
        }
        let open = self.infer_binding(def, b, Some(ty));
        self.close_group(vec![open]);
    }

    // --- closing

    /// Solves what is left, generalises, closes all types, and stores the definitions.
    pub(crate) fn close_group(&mut self, mut group: Vec<OpenDef>) {
        for open in &mut group {
            self.cx = std::mem::take(&mut open.cx);
            self.solve_pending(true);
            open.cx = std::mem::take(&mut self.cx);
        }
        self.types.level = 0;
        if !self.deferred.is_empty() {
            let waits = group.iter().any(|open| self.mentions_deferred(&open.cx));
            self.close_deferred(waits);
        }
        let mut found = Quantified::default();
        let mut general = true;
        for open in &group {
            general &= open.general;
            self.types.collect(open.ty, &mut found);
            for p in &open.cx.pending {
                for &ty in &p.types() {
                    self.types.collect(ty, &mut found);
                }
            }
        }
        if !general && !found.types.is_empty() && !self.in_library {
            self.defer(group);
            self.types.level = 1;
            return;
        }
        if !general {
            self.restrict(&group, &found);
            self.types.give_up(&found);
            found = Quantified::default();
        }
        let declared = group.iter().map(|o| o.cx.params.len()).max().unwrap_or(0);
        self.types.close_over(&found, declared as u32);
        for open in group {
            self.store(open, &found, declared);
        }
        self.types.level = 1;
    }

    /// A value that may not be generic gets the rest of its type from the first use that knows it.
    fn defer(&mut self, mut group: Vec<OpenDef>) {
        for open in &mut group {
            open.late = true;
            self.types.lower(open.ty, 0, None);
            for e in &open.cx.body.exprs {
                self.types.lower(e.ty, 0, None);
            }
            for p in &open.cx.pending {
                for &ty in &p.types() {
                    self.types.lower(ty, 0, None);
                }
            }
            let info = open.def.index();
            self.def_info[info].mono = None;
            self.defs[info].ty = open.ty;
            // Values are computed in the order of the text.
            self.inits.push(open.def);
        }
        self.deferred.push(group);
    }

    /// Stores the deferred values whose types are known by now; `all`: gives up on the others.
    fn close_deferred(&mut self, all: bool) {
        let level = std::mem::replace(&mut self.types.level, 0);
        for mut group in std::mem::take(&mut self.deferred) {
            for open in &mut group {
                self.cx = std::mem::take(&mut open.cx);
                self.solve_pending(true);
                open.cx = std::mem::take(&mut self.cx);
            }
            let mut found = Quantified::default();
            for open in &group {
                open.cx.body.exprs.iter().for_each(|e| self.types.waiting(e.ty, &mut found));
            }
            if !found.types.is_empty() && !all {
                self.deferred.push(group);
                continue;
            }
            if !found.types.is_empty() {
                self.restrict(&group, &found);
                self.types.give_up(&found);
            }
            for open in group {
                self.store(open, &Quantified::default(), 0);
            }
        }
        self.types.level = level;
    }

    /// Does a body use a deferred value whose type is not known yet?
    fn mentions_deferred(&mut self, cx: &Cx) -> bool {
        let mut found = Quantified::default();
        cx.body.exprs.iter().for_each(|e| self.types.waiting(e.ty, &mut found));
        !found.types.is_empty()
    }

    /// A value that may not be generic must have a type without open variables.
    fn restrict(&mut self, group: &[OpenDef], found: &Quantified) {
        if found.types.is_empty() {
            return;
        }
        for open in group {
            let shown = self.show(open.ty);
            let name = self.defs[open.def.index()].path;
            let name = name.rsplit('.').next().unwrap_or_default().to_owned();
            self.diags.push(
                Diagnostic::error(
                    codes::VALUE_RESTRICTION,
                    open.span,
                    format!("the type of `{name}` is not fully known: `{shown}`"),
                )
                .note("a value that is computed cannot be generic")
                .help(format!(
                    "write its type: `let {name} : .. = ..`, or make it a function with a parameter `()`"
                )),
            );
        }
    }

    fn store(&mut self, open: OpenDef, found: &Quantified, declared: usize) {
        let OpenDef { def, cx, ty, params, late, .. } = open;
        self.cx = cx;
        let mut type_params = self.cx.params.clone();
        let mut taken: Vec<Ustr> = type_params.iter().map(|p| p.name).collect();
        let quantified = found.types.len() + found.measures.len();
        // Groups share their parameters, so that uses inside the group pass on their own.
        if quantified > 0 {
            while type_params.len() < declared {
                type_params.push(TypeParamDef { name: fresh_name(&mut taken, 't'), kind: ParamKind::Type });
            }
        }
        for _ in &found.types {
            type_params.push(TypeParamDef { name: fresh_name(&mut taken, 'a'), kind: ParamKind::Type });
        }
        for _ in &found.measures {
            type_params.push(TypeParamDef { name: fresh_name(&mut taken, 'u'), kind: ParamKind::Measure });
        }
        self.def_info[def.index()].mono = None;
        if self.cx.is_inline {
            self.store_constraints(def);
        } else {
            self.cx.pending.clear();
        }
        let own = self.own_args(&type_params);
        for use_ in std::mem::take(&mut self.cx.own_uses) {
            if let ExprKind::Def(_, args) = &mut self.cx.body.exprs[use_.index()].kind {
                *args = own.clone();
            }
        }
        let ty = self.types.zonk(ty);
        self.close_body();
        let mut body = std::mem::take(&mut self.cx.body);
        // Bodies live as long as the program: give back what their growth left over.
        body.exprs.shrink_to_fit();
        body.pats.shrink_to_fit();
        body.locals.shrink_to_fit();
        let is_function = !params.is_empty();
        let slot = &mut self.defs[def.index()];
        slot.ty = ty;
        slot.params = type_params;
        let is_generic = !slot.params.is_empty();
        if is_function {
            let mut ret = ty;
            let params = params
                .into_iter()
                .map(|local| {
                    let l = &body.locals[local.index()];
                    if let Type::Fun(_, to) = self.types.table.get(ret) {
                        ret = *to;
                    }
                    FunParam { local, name: l.name, ty: l.ty, span: l.span }
                })
                .collect();
            slot.kind = DefKind::Function(Function { params, ret, body });
        } else {
            let is_mutable = matches!(slot.kind, DefKind::Value { is_mutable: true, .. });
            slot.kind = DefKind::Value { body, is_mutable };
            if !is_generic && !self.in_library && !late {
                self.inits.push(def);
            }
        }
        self.cx = Cx::default();
    }

    /// Closes every type of the current body and looks at what needs final types.
    fn close_body(&mut self) {
        let mut body = std::mem::take(&mut self.cx.body);
        for e in &mut body.exprs {
            e.ty = self.types.zonk(e.ty);
            if let ExprKind::Def(_, args) = &mut e.kind {
                args.iter_mut().for_each(|a| self.types.zonk_arg(a));
            }
        }
        for p in &mut body.pats {
            p.ty = self.types.zonk(p.ty);
        }
        for l in &mut body.locals {
            l.ty = self.types.zonk(l.ty);
        }
        self.cx.body = body;
        self.check_compared();
        self.check_matches();
        self.specialise_locals();
    }

    fn check_compared(&mut self) {
        for (ty, span) in std::mem::take(&mut self.cx.compared) {
            let ty = self.types.zonk(ty);
            if self.holds_function(ty, 0) {
                let shown = self.show(ty);
                self.diags.push(
                    Diagnostic::error(
                        codes::NOT_COMPARABLE,
                        span,
                        format!("values of type `{shown}` cannot be compared: functions have no equality"),
                    )
                    .help("compare the parts that are not functions"),
                );
            }
        }
    }

    fn holds_function(&self, ty: Ty, depth: u32) -> bool {
        if depth > 8 {
            return false;
        }
        match self.types.table.get(ty) {
            Type::Fun(..) => true,
            Type::Tuple(items) => items.iter().any(|&t| self.holds_function(t, depth + 1)),
            Type::Array(t) => self.holds_function(*t, depth + 1),
            Type::AnonRecord(fields) => fields.iter().any(|f| self.holds_function(f.1, depth + 1)),
            Type::Named(_, args) => args.iter().any(|a| match a {
                crate::typed::TypeArg::Type(t) => self.holds_function(*t, depth + 1),
                _ => false,
            }),
            _ => false,
        }
    }

    fn check_matches(&mut self) {
        let matches = std::mem::take(&mut self.cx.matches);
        if self.in_library {
            return;
        }
        for (e, origin) in matches {
            if origin != MatchOrigin::Made {
                self.check_match(e, origin);
            }
        }
    }

    /// The constant that a `[<Literal>]` stands for in patterns.
    fn literal_value(&self, def: DefId) -> Option<PatKind> {
        let DefKind::Value { body, .. } = &self.defs[def.index()].kind else { return None };
        Some(match &body[body.root?].kind {
            ExprKind::Int(n) => PatKind::Int(*n),
            ExprKind::Float(x) => PatKind::Float(*x),
            ExprKind::String(s) => PatKind::String(*s),
            ExprKind::Char(c) => PatKind::Char(*c),
            ExprKind::Bool(b) => PatKind::Bool(*b),
            _ => return None,
        })
    }
}

impl Def {
    fn kind_is_value(&self) -> bool {
        matches!(self.kind, DefKind::Value { .. })
    }
}

fn attributes_of<'b>(decl: &'b ast::Decl, b: &'b Binding) -> &'b [Attribute] {
    if b.attributes.is_empty() { &decl.attributes } else { &b.attributes }
}

fn count_of(e: &ast::Expr) -> Option<u32> {
    match &e.kind {
        E::Lit(Lit::Int { value, negative: false, .. }) => u32::try_from(*value).ok(),
        E::Paren(e) => count_of(e),
        _ => None,
    }
}

fn text_of(e: &ast::Expr) -> Option<Ustr> {
    match &e.kind {
        E::Lit(Lit::String(s)) => Some(*s),
        E::Paren(e) => text_of(e),
        _ => None,
    }
}

/// The next free name from a letter on: `a`, `b`, .. , `a1`.
fn fresh_name(taken: &mut Vec<Ustr>, from: char) -> Ustr {
    let letters = from..='z';
    let plain = letters.map(String::from);
    let numbered = (1..).map(|n| format!("{from}{n}"));
    let name = plain.chain(numbered).map(|s| Ustr::from(&s)).find(|n| !taken.contains(n)).unwrap_or_default();
    taken.push(name);
    name
}

/// A pattern without parentheses.
pub(crate) fn strip(p: &Pattern) -> &Pattern {
    match &p.kind {
        PatternKind::Paren(inner) => strip(inner),
        _ => p,
    }
}

/// A parameter whose type is fully written.
pub(crate) fn is_annotated(p: &Pattern) -> bool {
    match &strip(p).kind {
        PatternKind::Typed(..) | PatternKind::Lit(Lit::Unit) => true,
        PatternKind::Tuple(items) => items.iter().all(is_annotated),
        _ => false,
    }
}

/// The name by which a parameter is known outside.
pub(crate) fn pattern_label(p: &Pattern) -> Ustr {
    match &strip(p).kind {
        PatternKind::Name(i) | PatternKind::As(_, i) => i.name,
        PatternKind::Typed(inner, _) => pattern_label(inner),
        _ => Ustr::from("_"),
    }
}

/// Names that a pattern binds (or might: cases look the same).
pub(crate) fn pattern_names(p: &Pattern, out: &mut Vec<ast::Ident>) {
    use PatternKind as P;
    match &p.kind {
        P::Name(i) => out.push(*i),
        P::As(inner, i) => {
            pattern_names(inner, out);
            out.push(*i);
        }
        P::Apply { args, .. } => args.iter().for_each(|a| pattern_names(a, out)),
        P::ApplyNamed { fields, .. } => fields.iter().for_each(|(_, a)| pattern_names(a, out)),
        P::Tuple(items) | P::List(items) | P::Array(items) => {
            items.iter().for_each(|a| pattern_names(a, out))
        }
        P::Paren(a) | P::Typed(a, _) => pattern_names(a, out),
        P::Or(a, _) => pattern_names(a, out),
        P::Cons(a, b) | P::And(a, b) => {
            pattern_names(a, out);
            pattern_names(b, out);
        }
        P::Record(fields) => fields.iter().for_each(|(_, a)| pattern_names(a, out)),
        P::Wildcard | P::Lit(_) | P::Null | P::Error => {}
    }
}

/// May a binding to this expression be generic? (Evaluating it has no effect and makes nothing mutable.)
pub(crate) fn is_syntactic_value(e: &ast::Expr) -> bool {
    match &e.kind {
        E::Lit(_) | E::Name(_) | E::OpName(_) | E::Lambda { .. } | E::Function(_) => true,
        E::Dot(e, _) | E::TypeApp(e, _) | E::Paren(e) | E::Typed(e, _) => is_syntactic_value(e),
        E::Tuple(items) | E::List(items) => items.iter().all(is_syntactic_value),
        E::Record(fields) => fields.iter().all(|f| is_syntactic_value(&f.1)),
        E::App(f, args) => {
            // A case applied to values is a value.
            let name = match &f.kind {
                E::Name(i) => Some(i.name),
                E::Dot(_, i) => Some(i.name),
                _ => None,
            };
            name.is_some_and(|n| n.starts_with(|c: char| c.is_uppercase()))
                && args.iter().all(is_syntactic_value)
        }
        _ => false,
    }
}

/// An expression without parentheses.
pub(crate) fn bare(e: &ast::Expr) -> &ast::Expr {
    match &e.kind {
        E::Paren(inner) => bare(inner),
        _ => e,
    }
}

/// Placeholder for readability where an id is needed before it exists.
pub(crate) const NO_EXPR: ExprId = ExprId(u32::MAX);
