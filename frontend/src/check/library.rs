//! The library: names are registered, the rest is done when a program reaches it.

use super::env::TypeEntry;
use super::{Active, Checker, Cx, DefInfo, ModuleId, Value};
use crate::ast::{self, Binding, BindingHead, DeclKind, File};
use crate::typed::{Body, Def, DefId, DefKind, Function};
use rustc_hash::FxHashSet;
use std::rc::Rc;
use ustr::Ustr;

/// A library function: where it is written, what it sees, and its definition once something uses it.
#[derive(Clone, Debug)]
pub(crate) struct LibFn<'a> {
    pub source: LibSource<'a>,
    pub attributes: &'a [ast::Attribute],
    pub doc: Option<&'a String>,
    pub module: ModuleId,
    pub scopes: Rc<[ModuleId]>,
    pub def: Option<DefId>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum LibSource<'a> {
    Binding(&'a Binding),
    Extern(&'a ast::ExternDecl),
    Member(&'a ast::Member, crate::typed::TypeDefId),
}

impl<'a> Checker<'a> {
    pub(crate) fn register_library(&mut self, file: &'a File) {
        self.in_library = true;
        self.truncate_scopes(1);
        let core = self.module_at(&["Core"]);
        if let Some(core) = core {
            self.open_module(core);
        }
        self.enter_header(file);
        self.register_decls(&file.decls);
        self.module = ModuleId(0);
        self.truncate_scopes(1);
        if let Some(core) = self.module_at(&["Core"]) {
            self.open_module(core);
        }
        self.in_library = false;
    }

    /// Makes the module of a file's header, and opens it for the file.
    pub(crate) fn enter_header(&mut self, file: &File) {
        self.module = ModuleId(0);
        if let Some(header) = &file.header {
            for part in &header.path.parts {
                self.module = self.submodule(self.module, part.name);
                self.open_module(self.module);
            }
        } else {
            // Without a header the file's own names are the root's: they come before the library's.
            self.open_module(ModuleId(0));
        }
    }

    fn register_decls(&mut self, decls: &'a [ast::Decl]) {
        for decl in decls {
            match &decl.kind {
                DeclKind::Open(path) => self.open_path(path),
                DeclKind::Module { name, decls } => {
                    let outer = self.module;
                    let depth = self.scopes.len();
                    self.module = self.submodule(outer, name.name);
                    self.open_module(self.module);
                    self.register_decls(decls);
                    self.module = outer;
                    self.truncate_scopes(depth);
                }
                DeclKind::ModuleAlias { name, target } => self.module_alias(*name, target),
                DeclKind::Types(group) => self.register_types(group),
                DeclKind::Let(group) => {
                    for b in &group.bindings {
                        self.register_binding(decl, b);
                    }
                }
                DeclKind::Extern(e) => {
                    let lib = self.add_lib(LibSource::Extern(e), &decl.attributes, decl.doc.as_ref());
                    self.module_mut().values.insert(e.name.name, lib);
                }
                DeclKind::Do(_) | DeclKind::Error => {}
            }
        }
    }

    fn register_types(&mut self, group: &'a [ast::TypeDef]) {
        let ids = self.declare_types(group);
        for (id, def) in ids.into_iter().zip(group) {
            let Some(id) = id else { continue };
            for m in &def.members {
                let lib = self.add_lib(LibSource::Member(m, id), &m.attributes, m.doc.as_ref());
                self.add_member(id, m, lib);
            }
        }
    }

    fn register_binding(&mut self, decl: &'a ast::Decl, b: &'a Binding) {
        let attributes = if b.attributes.is_empty() { &decl.attributes } else { &b.attributes };
        let lib = self.add_lib(LibSource::Binding(b), attributes, decl.doc.as_ref());
        if let (Some(name), Value::Lib(number)) = (self.attribute_text(attributes, "Kernel", 0), &lib) {
            let number = *number;
            self.lib_kernels.insert(name, number);
        }
        match &b.head {
            BindingHead::Name { name, .. } => {
                self.module_mut().values.insert(name.name, lib);
                let other = self.attribute_text(attributes, "Overload", 0);
                let visible = other.unwrap_or(name.name);
                self.module_mut().overloads.entry(visible).or_default().push(lib);
            }
            BindingHead::ActivePattern { cases, partial, .. } => self.add_active(lib, cases, *partial),
            BindingHead::Pattern(_) => {}
        }
    }

    pub(crate) fn add_active(&mut self, function: Value, cases: &[ast::Ident], partial: bool) {
        let index = self.actives.len() as u32;
        self.actives.push(Active { function, cases: cases.iter().map(|c| c.name).collect(), partial });
        for (n, case) in cases.iter().enumerate() {
            self.module_mut().values.insert(case.name, Value::Active(index, n as u32));
        }
    }

    fn add_lib(
        &mut self,
        source: LibSource<'a>,
        attributes: &'a [ast::Attribute],
        doc: Option<&'a String>,
    ) -> Value {
        let scopes = match &self.scope_cache {
            Some(s) => s.clone(),
            None => {
                let s: Rc<[ModuleId]> = self.scopes.clone().into();
                self.scope_cache = Some(s.clone());
                s
            }
        };
        self.libs.push(LibFn { source, attributes, doc, module: self.module, scopes, def: None });
        Value::Lib((self.libs.len() - 1) as u32)
    }

    /// The definition of a library function, with its signature; its body is put on the list of work.
    pub(crate) fn force_lib(&mut self, lib: u32) -> Option<DefId> {
        if let Some(def) = self.libs[lib as usize].def {
            return Some(def);
        }
        let entry = self.libs[lib as usize].clone();
        let state = self.enter_lib(&entry);
        let def = match entry.source {
            LibSource::Binding(b) => self.lib_binding(lib, b, &entry),
            LibSource::Extern(e) => self.declare_extern(e, entry.attributes, entry.doc),
            LibSource::Member(m, id) => {
                let def = self.member_signature(id, m);
                self.libs[lib as usize].def = Some(def);
                self.lib_work.push((lib, def));
                Some(def)
            }
        };
        self.libs[lib as usize].def = def;
        self.leave_lib(state);
        def
    }

    /// The kernel of a name: the program's own, else the library's.
    pub(crate) fn kernel_named(&mut self, name: Ustr) -> Option<DefId> {
        if let Some(&def) = self.kernels.get(&name) {
            return Some(def);
        }
        let lib = *self.lib_kernels.get(&name)?;
        let def = self.force_lib(lib)?;
        // A dispatch needs the parameters' names, which only the body's check gives.
        self.lib_work.retain(|work| work.0 != lib);
        let entry = self.libs[lib as usize].clone();
        let state = self.enter_lib(&entry);
        self.check_lib_body(lib, def);
        self.leave_lib(state);
        let kernel = self.kernel_attribute(entry.attributes)?;
        self.add_kernel(def, kernel);
        Some(def)
    }

    fn enter_lib(&mut self, entry: &LibFn<'a>) -> LibState {
        LibState {
            cx: std::mem::take(&mut self.cx),
            scopes: std::mem::replace(&mut self.scopes, entry.scopes.to_vec()),
            locals: std::mem::take(&mut self.locals),
            trail: std::mem::take(&mut self.trail),
            module: std::mem::replace(&mut self.module, entry.module),
            in_library: std::mem::replace(&mut self.in_library, true),
            level: std::mem::replace(&mut self.types.level, 1),
        }
    }

    fn leave_lib(&mut self, state: LibState) {
        self.cx = state.cx;
        self.scopes = state.scopes;
        self.locals = state.locals;
        self.trail = state.trail;
        self.module = state.module;
        self.in_library = state.in_library;
        self.types.level = state.level;
        self.scope_cache = None;
    }

    fn lib_binding(&mut self, lib: u32, b: &'a Binding, entry: &LibFn<'a>) -> Option<DefId> {
        if let Some(def) = self.declare_foreign(b, entry.attributes, entry.doc) {
            return Some(def);
        }
        let (name, type_params, params) = match &b.head {
            BindingHead::Name { name, type_params, params } => (name.name, type_params.as_slice(), params),
            BindingHead::ActivePattern { cases, params, .. } => (cases.first()?.name, &[][..], params),
            BindingHead::Pattern(_) => return None,
        };
        self.cx.rigid = true;
        self.declare_params(type_params);
        let tys: Vec<_> = params.iter().map(|p| self.param_type(p)).collect();
        let ret = match &b.ret {
            Some(t) => self.type_expr(t),
            None => self.types.known.error,
        };
        let ty = self.types.funs(&tys, ret);
        let ty = self.types.zonk(ty);
        let is_value = params.is_empty();
        let kind = if is_value {
            DefKind::Value { body: Body::default(), is_mutable: b.is_mutable }
        } else {
            DefKind::Function(Function { params: Vec::new(), ret, body: Body::default() })
        };
        let type_params = std::mem::take(&mut self.cx.params);
        let def = Def {
            path: self.qualified(name),
            params: type_params,
            kind,
            ty,
            span: b.span,
            is_inline: b.is_inline,
            is_public: !b.is_private,
            doc: entry.doc.cloned(),
            kernel: None,
        };
        let info = DefInfo { arity: params.len() as u32, ..DefInfo::default() };
        let generic = !def.params.is_empty();
        let def = self.new_def(def, info);
        self.lib_work.push((lib, def));
        if is_value && !generic {
            self.lib_values.push((lib, def));
        }
        // The constraints of an inline function are part of its signature, and only its body tells them.
        if b.is_inline && generic {
            self.libs[lib as usize].def = Some(def);
            self.lib_work.pop();
            self.check_lib_body(lib, def);
        }
        Some(def)
    }

    /// Checks the bodies of the library functions that something uses, and of those that these use.
    pub(crate) fn check_reached_library(&mut self) {
        // Structural operations on maps and sets call `Entries` without the program naming it.
        let entries: Vec<u32> = self
            .type_info
            .iter()
            .flat_map(|info| &info.members)
            .filter(|m| m.name.as_str() == "Entries")
            .filter_map(|m| if let Value::Lib(lib) = m.value { Some(lib) } else { None })
            .collect();
        for lib in entries {
            self.force_lib(lib);
        }
        while let Some((lib, def)) = self.lib_work.pop() {
            let entry = self.libs[lib as usize].clone();
            let state = self.enter_lib(&entry);
            self.check_lib_body(lib, def);
            self.leave_lib(state);
            self.types.clear();
        }
    }

    fn check_lib_body(&mut self, lib: u32, def: DefId) {
        let entry = self.libs[lib as usize].clone();
        let params = self.defs[def.index()].params.clone();
        self.cx = Cx::default();
        for p in &params {
            let var = self.new_param(p.name, p.kind == crate::typed::ParamKind::Measure);
            self.cx.type_vars.insert(p.name, var);
        }
        match entry.source {
            LibSource::Binding(b) => self.check_binding_body(def, b),
            LibSource::Member(m, id) => self.check_member_body(def, id, m),
            LibSource::Extern(_) => {}
        }
    }
}

/// What is put aside while a library function is looked at.
struct LibState {
    cx: Cx,
    scopes: Vec<ModuleId>,
    locals: rustc_hash::FxHashMap<Ustr, Value>,
    trail: Vec<(Ustr, Option<Value>)>,
    module: ModuleId,
    in_library: bool,
    level: u32,
}

/// The names in a file that could name library modules: its `open`s and every capitalised name in a path's front. May
/// name too many, never too few.
pub fn library_modules_named(file: &File) -> FxHashSet<Ustr> {
    let mut out = FxHashSet::default();
    let text = format!("{file:?}");
    // The debug form shows every identifier as `u!("name")`; this is not a hot path (the driver uses tokens).
    for part in text.split("u!(\"").skip(1) {
        if let Some(name) = part.split('"').next()
            && name.starts_with(|c: char| c.is_ascii_uppercase())
        {
            out.insert(Ustr::from(name));
        }
    }
    out
}

impl Checker<'_> {
    pub(crate) fn core_type(&self, name: &str) -> Option<TypeEntry> {
        let core = self.module_at(&["Core"])?;
        self.module(core).types.get(&Ustr::from(name)).copied()
    }

    /// A library function by module path and name.
    pub(crate) fn library_value(&mut self, path: &[&str], name: &str) -> Option<DefId> {
        let module = self.module_at(path)?;
        match *self.module(module).values.get(&Ustr::from(name))? {
            Value::Lib(lib) => self.force_lib(lib),
            Value::Def(def) => Some(def),
            _ => None,
        }
    }
}
