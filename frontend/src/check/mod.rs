//! Names, types, units and patterns: from syntax trees to the [`typed`] tree.
//!
//! Files are taken in order, and each declaration in order, as the language has it. A top-level group is inferred on
//! its own, generalised, closed and stored; its open types are then forgotten, so that time and memory are linear in
//! the number of definitions. Library files only register names: a library function gets its signature when a name
//! resolves to it, and its body is checked only if the program reaches it.
//!
//! Parts: [`types`] (unification), [`hints`] (of buffers), [`env`] (modules and scopes), [`tyexpr`] (written types), [`decls`], [`externs`],
//! [`typedefs`] and
//! [`members`] (declarations), [`expr`], [`locals`], [`apply`], [`access`], [`ops`], [`builtin`], [`loops`], [`computation`],
//! [`format`], [`dispatch`] (expressions), [`pattern`], [`exhaust`] (patterns), [`specialise`] (generic local functions),
//! [`report`] and [`alternatives`] (errors).
//!
//! Promises: no panic on any tree the parser can give; an error type fits everything, so that one mistake is told
//! once; equal input gives equal output.

mod access;
mod alternatives;
mod apply;
mod builtin;
mod computation;
mod decls;
mod dispatch;
mod env;
mod exhaust;
mod expr;
mod externs;
mod format;
mod hints;
mod library;
mod locals;
mod loops;
mod members;
mod mentions;
mod ops;
mod pattern;
mod ranges;
mod report;
mod specialise;
#[cfg(test)]
mod tests;
mod tyexpr;
mod typedefs;
mod types;

use crate::ast;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{
    self, Body, DefId, ExprId, ExprKind, LocalId, PatId, PatKind, Program, TypeDefId, TypeParamDef,
};
use rustc_hash::FxHashMap;
use std::rc::Rc;
use types::{Ty, Types};
use ustr::Ustr;

pub use library::library_modules_named;

/// What is to be checked.
pub struct CheckInput<'a> {
    /// The user's files, in the project's order.
    pub files: &'a [ast::File],
    /// The library files that are needed, `Core` first, each after those it uses.
    pub library: &'a [ast::File],
}

/// Checks a program. The tree is whole even where there are errors; it may then hold error nodes.
pub fn check(input: &CheckInput) -> (Program, Vec<Diagnostic>) {
    let mut checker = Checker::new();
    for file in input.library {
        checker.register_library(file);
    }
    checker.find_core();
    checker.scan_kernels(input.files);
    for file in input.files {
        checker.check_file(file);
    }
    checker.check_reached_library();
    checker.finish()
}

/// What a name of the value world means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    Local(LocalId),
    Def(DefId),
    /// A library function that may not have been touched yet.
    Lib(u32),
    /// Constructor of a union, by index.
    Case(TypeDefId, u32),
    EnumCase(TypeDefId, u32),
    /// Case of an active pattern.
    Active(u32, u32),
    Builtin(builtin::Builtin),
    /// A binding that had an error: uses are of error type, without further message.
    Broken,
}

/// An active pattern: the function and its cases.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub function: Value,
    pub cases: Vec<Ustr>,
    pub partial: bool,
}

/// What the checker keeps about a definition beside the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct DefInfo {
    /// Type while the definition's group is being inferred.
    pub mono: Option<Ty>,
    /// Operator constraints of an `inline` function, on its parameters.
    pub constraints: Vec<ops::Stored>,
    /// The number of curried parameters that are written.
    pub arity: u32,
    /// `[<Literal>]`: its constant, for patterns.
    pub literal: Option<PatKind>,
    /// The member that writes the property which this one reads.
    pub setter: Option<DefId>,
}

/// What the checker keeps about a type definition.
#[derive(Clone, Debug, Default)]
pub(crate) struct TypeInfo {
    pub members: Vec<MemberInfo>,
    /// A derived unit's meaning.
    pub measure: Option<typed::Measure>,
    /// A derived unit whose formula had an error: it fits every unit.
    pub broken_measure: bool,
    /// A class's constructor.
    pub constructor: Option<Value>,
    pub by_name: FxHashMap<Ustr, u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberInfo {
    pub name: Ustr,
    pub is_static: bool,
    pub is_property: bool,
    pub value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ModuleId(pub u32);

/// A generalised local function.
#[derive(Clone, Debug)]
pub(crate) struct LocalScheme {
    pub first: u32,
    /// For each generalised variable: is a measure.
    pub kinds: Vec<bool>,
    pub ty: Ty,
}

/// The state of the definition that is being inferred.
#[derive(Debug, Default)]
pub(crate) struct Cx {
    pub body: Body,
    /// By local: how many lambdas it is inside of.
    pub depths: Vec<u32>,
    pub depth: u32,
    pub schemes: FxHashMap<LocalId, LocalScheme>,
    /// Uses of generalised locals with their type arguments, for [`specialise`].
    pub generic_uses: Vec<(ExprId, Vec<typed::TypeArg>)>,
    pub pending: Vec<ops::Pending>,
    /// Uses of the group's own definitions, whose arguments are known after generalisation.
    pub own_uses: Vec<ExprId>,
    /// The definition's declared type parameters.
    pub params: Vec<TypeParamDef>,
    /// New names of type variables declare parameters: in library signatures.
    pub rigid: bool,
    /// In a type's declaration: what is left out of it holds for all uses.
    pub declares: bool,
    /// The receiver in a class's member, and the class: names of its hidden fields are looked up there.
    pub this: Option<(LocalId, TypeDefId)>,
    /// Names that the other side of an or-pattern has bound.
    pub or_names: Option<Vec<(Ustr, LocalId)>>,
    /// Named type variables of the definition's annotations.
    pub type_vars: FxHashMap<Ustr, tyexpr::NamedVar>,
    /// Types compared or hashed: they must hold no functions.
    pub compared: Vec<(Ty, Span)>,
    /// Locals known to hold the address of a buffer, with its element type.
    pub address_of: FxHashMap<LocalId, Ty>,
    /// Matches, for exhaustiveness: the expression and whether it is a binding rather than a `match`.
    pub matches: Vec<(ExprId, MatchOrigin)>,
    /// Closed over in `inline`: constraints stay.
    pub is_inline: bool,
    /// Inside a comprehension or computation: what `yield` and friends mean.
    pub yields: Vec<loops::Collector>,
    /// The builder of the computation expression around.
    pub builder: Option<LocalId>,
    /// Cases that the active pattern under definition makes: name, choice type, case.
    pub choices: Vec<(Ustr, TypeDefId, u32)>,
    pub parallel_depth: u32,
    pub is_kernel: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MatchOrigin {
    Match,
    Binding,
    /// Made by the checker; complete by construction.
    Made,
}

pub(crate) struct Checker<'a> {
    pub types: Types,
    pub type_defs: Vec<typed::TypeDef>,
    pub type_info: Vec<TypeInfo>,
    pub defs: Vec<typed::Def>,
    pub def_info: Vec<DefInfo>,
    pub inits: Vec<DefId>,
    /// Values whose types wait for a later use.
    pub deferred: Vec<Vec<decls::OpenDef>>,
    pub entry: Option<DefId>,
    /// A user's file has effects at top level: the program is no library.
    pub has_effects: bool,
    pub modules: Vec<env::Module>,
    /// Modules whose names are visible, innermost last.
    pub scopes: Vec<ModuleId>,
    pub locals: FxHashMap<Ustr, Value>,
    pub trail: Vec<(Ustr, Option<Value>)>,
    pub abbreviations: Vec<tyexpr::Abbreviation>,
    pub actives: Vec<Active>,
    pub libs: Vec<library::LibFn<'a>>,
    pub lib_work: Vec<(u32, DefId)>,
    pub lib_values: Vec<(u32, DefId)>,
    pub core: env::Core,
    pub kernels: FxHashMap<Ustr, DefId>,
    pub kernels_ahead: FxHashMap<Ustr, Span>,
    pub diags: Vec<Diagnostic>,
    pub cx: Cx,
    /// Path prefix of the module being filled.
    pub module: ModuleId,
    pub in_library: bool,
    /// Kernels of the library by name: they are looked at when a dispatch names them.
    pub(crate) lib_kernels: FxHashMap<Ustr, u32>,
    /// A module could not be opened: names without a near one may come from it.
    pub lost_module: bool,
    pub scope_cache: Option<Rc<[ModuleId]>>,
}

impl<'a> Checker<'a> {
    fn new() -> Self {
        Self {
            types: Types::new(),
            type_defs: Vec::new(),
            type_info: Vec::new(),
            defs: Vec::new(),
            def_info: Vec::new(),
            inits: Vec::new(),
            deferred: Vec::new(),
            entry: None,
            has_effects: false,
            modules: vec![env::Module::new(Ustr::from(""))],
            scopes: vec![ModuleId(0)],
            locals: FxHashMap::default(),
            trail: Vec::new(),
            abbreviations: Vec::new(),
            actives: Vec::new(),
            libs: Vec::new(),
            lib_work: Vec::new(),
            lib_values: Vec::new(),
            core: env::Core::default(),
            kernels: FxHashMap::default(),
            kernels_ahead: FxHashMap::default(),
            diags: Vec::new(),
            cx: Cx::default(),
            module: ModuleId(0),
            in_library: false,
            lib_kernels: FxHashMap::default(),
            lost_module: false,
            scope_cache: None,
        }
    }

    fn finish(mut self) -> (Program, Vec<Diagnostic>) {
        self.lib_values.sort_unstable();
        let mut inits: Vec<DefId> = self.lib_values.iter().map(|&(_, d)| d).collect();
        inits.extend(&self.inits);
        for (def, info) in self.type_defs.iter_mut().zip(&self.type_info) {
            for member in &info.members {
                let id = match member.value {
                    Value::Def(id) => Some(id),
                    Value::Lib(lib) => self.libs[lib as usize].def,
                    _ => None,
                };
                def.members.extend(id.map(|id| (member.name, id)));
            }
        }
        let roots = if self.entry.is_none() && !self.has_effects { self.roots() } else { Vec::new() };
        let program = Program {
            types: self.types.table,
            type_defs: self.type_defs,
            defs: self.defs,
            inits,
            entry: self.entry,
            roots,
        };
        self.diags.sort_by_key(|d| d.span());
        (program, self.diags)
    }

    /// The user's public functions.
    fn roots(&self) -> Vec<DefId> {
        let library: rustc_hash::FxHashSet<DefId> = self.libs.iter().filter_map(|l| l.def).collect();
        (0..self.defs.len() as u32)
            .map(DefId)
            .filter(|d| {
                let def = &self.defs[d.index()];
                def.is_public && !library.contains(d) && matches!(def.kind, typed::DefKind::Function(_))
            })
            .collect()
    }

    // --- making nodes

    pub(crate) fn push(&mut self, kind: ExprKind, ty: Ty, span: Span) -> ExprId {
        self.cx.body.exprs.push(typed::Expr { kind, ty, span });
        ExprId((self.cx.body.exprs.len() - 1) as u32)
    }

    pub(crate) fn push_pat(&mut self, kind: PatKind, ty: Ty, span: Span) -> PatId {
        self.cx.body.pats.push(typed::Pat { kind, ty, span });
        PatId((self.cx.body.pats.len() - 1) as u32)
    }

    pub(crate) fn error_expr(&mut self, span: Span) -> ExprId {
        let ty = self.types.known.error;
        self.push(ExprKind::Error, ty, span)
    }

    pub(crate) fn ty(&self, e: ExprId) -> Ty {
        self.cx.body[e].ty
    }

    pub(crate) fn span(&self, e: ExprId) -> Span {
        self.cx.body[e].span
    }

    pub(crate) fn new_local(&mut self, name: Ustr, ty: Ty, is_mutable: bool, span: Span) -> LocalId {
        self.cx.body.locals.push(typed::Local { name, ty, is_mutable, span });
        self.cx.depths.push(self.cx.depth);
        LocalId((self.cx.body.locals.len() - 1) as u32)
    }

    pub(crate) fn temp(&mut self, name: &str, ty: Ty, span: Span) -> LocalId {
        self.new_local(Ustr::from(name), ty, false, span)
    }

    pub(crate) fn local_expr(&mut self, local: LocalId, span: Span) -> ExprId {
        let ty = self.cx.body.locals[local.index()].ty;
        self.push(ExprKind::Local(local), ty, span)
    }

    pub(crate) fn unit(&mut self, span: Span) -> ExprId {
        let ty = self.types.known.unit;
        self.push(ExprKind::Unit, ty, span)
    }

    pub(crate) fn int(&mut self, value: i64, span: Span) -> ExprId {
        let ty = self.types.known.int;
        self.push(ExprKind::Int(value), ty, span)
    }

    pub(crate) fn new_def(&mut self, def: typed::Def, info: DefInfo) -> DefId {
        self.defs.push(def);
        self.def_info.push(info);
        DefId((self.defs.len() - 1) as u32)
    }
}
