//! Types: substitution of type arguments and lowering to the graph's types, in one step, memoised.
//!
//! Units are erased (they stay as text on fields), curried function types become closures of maximal arity, enums
//! become `int`. Types that a polymorphic recursion makes ever deeper end in a diagnostic.

use super::Builder;
use crate::graph::Psg;
use crate::id::{AggId, Id, IdVec, TypeId};
use crate::ty::{Agg, AggKind, Case, Field, Type};
use clef_frontend::ast::{FloatKind, IntKind};
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::span::Span;
use clef_frontend::typed::{self, DefId, MeasureAtom, TyId, TypeArg, TypeDefId, TypeDefKind};
use rustc_hash::FxHashMap;
use std::rc::Rc;
use ustr::Ustr;

/// Deeper types are taken for polymorphic recursion.
const MAX_DEPTH: u32 = 60;

/// A definition with its type arguments (arguments that are no types count as `unit`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CtxId(pub u32);

struct Ctx {
    def: DefId,
    targs: Rc<[TypeId]>,
    cache: FxHashMap<TyId, TypeId>,
}

#[derive(PartialEq, Eq, Hash)]
enum AggKey {
    Named(TypeDefId, Rc<[TypeId]>),
    Tuple(Vec<TypeId>),
    Anon(Vec<(Ustr, TypeId)>),
    /// The box of a mutable local that a closure captures.
    Cell(TypeId),
}

/// Types that the builder itself needs.
#[derive(Clone, Copy)]
pub struct Common {
    pub unit: TypeId,
    pub bool: TypeId,
    pub char: TypeId,
    pub int: TypeId,
    pub float: TypeId,
    pub string: TypeId,
}

pub struct TypeCx {
    pub common: Common,
    closed: Vec<Option<TypeId>>,
    ctxs: Vec<Ctx>,
    ctx_lookup: FxHashMap<(DefId, Rc<[TypeId]>), CtxId>,
    aggs: FxHashMap<AggKey, TypeId>,
    /// The definition that an aggregate comes from, with its arguments.
    origin: IdVec<AggId, Option<(TypeDefId, Rc<[TypeId]>)>>,
    depth: IdVec<TypeId, u32>,
    too_deep: bool,
    pub no_args: Rc<[TypeId]>,
}

impl TypeCx {
    pub fn new(psg: &mut Psg, types: usize) -> Self {
        let common = Common {
            unit: psg.ty(Type::Unit),
            bool: psg.ty(Type::Bool),
            char: psg.ty(Type::Char),
            int: psg.ty(Type::Int(IntKind::I32)),
            float: psg.ty(Type::Float(FloatKind::F64)),
            string: psg.ty(Type::String),
        };
        Self {
            common,
            closed: vec![None; types],
            ctxs: Vec::new(),
            ctx_lookup: FxHashMap::default(),
            aggs: FxHashMap::default(),
            origin: IdVec::new(),
            depth: IdVec::filled(psg.types.types.len(), 1),
            too_deep: false,
            no_args: Rc::from([]),
        }
    }
}

impl Builder<'_> {
    pub(super) fn ctx(&mut self, def: DefId, targs: Rc<[TypeId]>) -> CtxId {
        let key = (def, targs);
        if let Some(&id) = self.types.ctx_lookup.get(&key) {
            return id;
        }
        let id = CtxId(self.types.ctxs.len() as u32);
        self.types.ctxs.push(Ctx { def, targs: key.1.clone(), cache: FxHashMap::default() });
        self.types.ctx_lookup.insert(key, id);
        id
    }

    pub(super) fn ctx_def(&self, ctx: CtxId) -> DefId {
        self.types.ctxs[ctx.0 as usize].def
    }

    pub(super) fn ctx_targs(&self, ctx: CtxId) -> Rc<[TypeId]> {
        self.types.ctxs[ctx.0 as usize].targs.clone()
    }

    /// The type in the function being lowered.
    pub(super) fn ty(&mut self, ty: TyId) -> TypeId {
        self.ty_in(self.fx.ctx, ty)
    }

    pub(super) fn ty_in(&mut self, ctx: CtxId, ty: TyId) -> TypeId {
        let cx = &self.types.ctxs[ctx.0 as usize];
        if cx.targs.is_empty() {
            if let Some(Some(id)) = self.types.closed.get(ty.index()) {
                return *id;
            }
            let targs = self.types.no_args.clone();
            let id = self.lower_ty(ty, &targs);
            if let Some(slot) = self.types.closed.get_mut(ty.index()) {
                *slot = Some(id);
            }
            return id;
        }
        if let Some(&id) = cx.cache.get(&ty) {
            return id;
        }
        let targs = cx.targs.clone();
        let id = self.lower_ty(ty, &targs);
        self.types.ctxs[ctx.0 as usize].cache.insert(ty, id);
        id
    }

    /// Type arguments in the function being lowered.
    pub(super) fn targs(&mut self, args: &[TypeArg]) -> Rc<[TypeId]> {
        if args.is_empty() {
            return self.types.no_args.clone();
        }
        let ctx = self.fx.ctx;
        args.iter()
            .filter(|a| !matches!(a, TypeArg::Hint(_)))
            .map(|a| match a {
                TypeArg::Type(t) => self.ty_in(ctx, *t),
                TypeArg::Measure(_) | TypeArg::Hint(_) => self.types.common.unit,
            })
            .collect()
    }

    pub(super) fn intern(&mut self, ty: Type) -> TypeId {
        let id = self.psg.types.intern(ty);
        while self.types.depth.len() < self.psg.types.types.len() {
            let next = TypeId::from_index(self.types.depth.len());
            let depth = match self.psg.types.get(next) {
                Type::Array(t) | Type::NativePtr(t) | Type::Var(t) => self.types.depth[*t],
                Type::Closure { params, ret } => {
                    params.iter().map(|p| self.types.depth[*p]).max().unwrap_or(0).max(self.types.depth[*ret])
                }
                // Set where the aggregate is made.
                _ => 0,
            };
            self.types.depth.push(depth + 1);
        }
        id
    }

    fn lower_ty(&mut self, ty: TyId, targs: &[TypeId]) -> TypeId {
        let prog = self.prog;
        let lowered = match prog.types.get(ty) {
            typed::Type::Unit | typed::Type::Error => return self.types.common.unit,
            typed::Type::Bool => return self.types.common.bool,
            typed::Type::Char => return self.types.common.char,
            typed::Type::String => return self.types.common.string,
            typed::Type::Int(kind, _) => Type::Int(*kind),
            typed::Type::Float(kind, _) => Type::Float(*kind),
            typed::Type::Param(n) => {
                return targs.get(*n as usize).copied().unwrap_or(self.types.common.unit);
            }
            typed::Type::Named(def, args) => {
                let args: Rc<[TypeId]> = args
                    .iter()
                    .filter(|a| !matches!(a, TypeArg::Hint(_)))
                    .map(|a| match a {
                        TypeArg::Type(t) => self.lower_ty(*t, targs),
                        TypeArg::Measure(_) | TypeArg::Hint(_) => self.types.common.unit,
                    })
                    .collect();
                return self.named(*def, args);
            }
            typed::Type::Tuple(parts) => {
                let parts: Vec<TypeId> = parts.iter().map(|t| self.lower_ty(*t, targs)).collect();
                return self.tuple(parts);
            }
            typed::Type::AnonRecord(fields) => {
                let fields: Vec<(Ustr, TypeId)> =
                    fields.iter().map(|(n, t)| (*n, self.lower_ty(*t, targs))).collect();
                return self.anon_record(fields);
            }
            typed::Type::Fun(..) => return self.function(ty, targs),
            typed::Type::Array(t) => Type::Array(self.lower_ty(*t, targs)),
            typed::Type::NativePtr(t) => Type::NativePtr(self.lower_ty(*t, targs)),
        };
        self.intern(lowered)
    }

    fn function(&mut self, mut ty: TyId, targs: &[TypeId]) -> TypeId {
        let prog = self.prog;
        let mut params = Vec::new();
        while let typed::Type::Fun(from, to) = prog.types.get(ty) {
            params.push(self.lower_ty(*from, targs));
            ty = *to;
        }
        let ret = self.lower_ty(ty, targs);
        self.closure_type(params, ret)
    }

    /// The type of function values: parameters of a function that is returned belong to it.
    pub(super) fn closure_type(&mut self, mut params: Vec<TypeId>, mut ret: TypeId) -> TypeId {
        if let Type::Closure { params: more, ret: last } = self.psg.types.get(ret) {
            params.extend(more.iter().copied());
            ret = *last;
        }
        self.intern(Type::Closure { params, ret })
    }

    pub(super) fn tuple(&mut self, parts: Vec<TypeId>) -> TypeId {
        if let Some(&id) = self.types.aggs.get(&AggKey::Tuple(parts.clone())) {
            return id;
        }
        let names: Vec<String> = parts.iter().map(|t| self.type_name(*t)).collect();
        let fields =
            parts.iter().enumerate().map(|(i, t)| plain_field(&format!("Item{}", i + 1), *t)).collect();
        let agg = single_case(&names.join(" * "), AggKind::Tuple, fields);
        self.new_agg(AggKey::Tuple(parts.clone()), agg, None, &parts)
    }

    fn anon_record(&mut self, fields: Vec<(Ustr, TypeId)>) -> TypeId {
        if let Some(&id) = self.types.aggs.get(&AggKey::Anon(fields.clone())) {
            return id;
        }
        let names: Vec<String> = fields.iter().map(|(n, t)| format!("{n}: {}", self.type_name(*t))).collect();
        let types: Vec<TypeId> = fields.iter().map(|(_, t)| *t).collect();
        let list = fields.iter().map(|(n, t)| plain_field(n, *t)).collect();
        let agg = single_case(&format!("{{| {} |}}", names.join("; ")), AggKind::Record, list);
        self.new_agg(AggKey::Anon(fields), agg, None, &types)
    }

    /// The box of a captured mutable local: one mutable field.
    pub(super) fn cell(&mut self, content: TypeId) -> TypeId {
        if let Some(&id) = self.types.aggs.get(&AggKey::Cell(content)) {
            return id;
        }
        let mut field = plain_field("value", content);
        field.is_mutable = true;
        let agg = single_case(&format!("mutable {}", self.type_name(content)), AggKind::Record, vec![field]);
        self.new_agg(AggKey::Cell(content), agg, None, &[content])
    }

    fn new_agg(
        &mut self,
        key: AggKey,
        agg: Agg,
        origin: Option<(TypeDefId, Rc<[TypeId]>)>,
        parts: &[TypeId],
    ) -> TypeId {
        let depth = parts.iter().map(|t| self.types.depth[*t]).max().unwrap_or(0) + 1;
        let agg = self.psg.types.aggs.push(agg);
        self.types.origin.push(origin);
        let id = self.intern(Type::Agg(agg));
        self.types.depth[id] = depth;
        self.types.aggs.insert(key, id);
        id
    }

    fn named(&mut self, def: TypeDefId, args: Rc<[TypeId]>) -> TypeId {
        let prog = self.prog;
        let Some(info) = prog.type_defs.get(def.index()) else { return self.types.common.unit };
        if matches!(info.kind, TypeDefKind::Enum(_)) {
            return self.types.common.int;
        }
        let key = AggKey::Named(def, args.clone());
        if let Some(&id) = self.types.aggs.get(&key) {
            return id;
        }
        if args.iter().any(|t| self.types.depth[*t] > MAX_DEPTH) {
            self.report_too_deep(info.span, info.name.as_str());
            return self.types.common.unit;
        }
        let kind = match &info.kind {
            TypeDefKind::Union(_) => AggKind::Union,
            TypeDefKind::Record(_) if is_buffer(info.path.as_str()) && !args.is_empty() => {
                AggKind::Buffer(args[0])
            }
            _ => AggKind::Record,
        };
        let name = Ustr::from(&self.applied_name(info, &args));
        let agg = Agg { name, kind, cases: Vec::new() };
        let id = self.new_agg(key, agg, Some((def, args.clone())), &args);
        let cases = match &info.kind {
            TypeDefKind::Record(fields) | TypeDefKind::Class(fields) => {
                vec![Case { name: info.name, fields: self.fields(fields, &args, info) }]
            }
            TypeDefKind::Union(cases) => cases
                .iter()
                .map(|c| Case { name: c.name, fields: self.fields(&c.fields, &args, info) })
                .collect(),
            TypeDefKind::Enum(_) | TypeDefKind::Measure => Vec::new(),
        };
        if let Type::Agg(agg) = *self.psg.types.get(id) {
            self.psg.types.aggs[agg].cases = cases;
        }
        id
    }

    fn applied_name(&self, info: &typed::TypeDef, args: &[TypeId]) -> String {
        let types: Vec<String> = info
            .params
            .iter()
            .zip(args)
            .filter(|(p, _)| p.kind == typed::ParamKind::Type)
            .map(|(_, t)| self.type_name(*t))
            .collect();
        if types.is_empty() { info.name.to_string() } else { format!("{}<{}>", info.name, types.join(",")) }
    }

    fn fields(&mut self, fields: &[typed::Field], args: &[TypeId], info: &typed::TypeDef) -> Vec<Field> {
        fields
            .iter()
            .map(|f| Field {
                name: f.name,
                ty: self.lower_ty(f.ty, args),
                is_mutable: f.is_mutable,
                fixed: f.fixed,
                unit: self.unit_text(f.ty, info),
            })
            .collect()
    }

    /// The unit of a numeric type as text.
    fn unit_text(&self, ty: TyId, info: &typed::TypeDef) -> Option<Ustr> {
        let (typed::Type::Int(_, measure) | typed::Type::Float(_, measure)) = self.prog.types.get(ty) else {
            return None;
        };
        let factors: Vec<String> = measure
            .factors
            .iter()
            .map(|(atom, power)| {
                let name = match atom {
                    MeasureAtom::Base(def) => {
                        self.prog.type_defs.get(def.index()).map_or("?".into(), |d| d.name.to_string())
                    }
                    MeasureAtom::Param(n) => info
                        .params
                        .get(*n as usize)
                        .map_or("'u".into(), |p| format!("'{}", p.name.trim_start_matches('\''))),
                };
                if *power == 1 { name } else { format!("{name}^{power}") }
            })
            .collect();
        if factors.is_empty() { None } else { Some(Ustr::from(&factors.join(" "))) }
    }

    pub(super) fn depth_of(&self, ty: TypeId) -> u32 {
        self.types.depth[ty]
    }

    pub(super) fn too_deep(&self, args: &[TypeId]) -> bool {
        args.iter().any(|t| self.depth_of(*t) > MAX_DEPTH)
    }

    pub(super) fn report_too_deep(&mut self, span: Span, name: &str) {
        if std::mem::replace(&mut self.types.too_deep, true) {
            return;
        }
        self.diags.push(
            Diagnostic::error(
                codes::BUILD_LIMIT,
                span,
                format!("`{name}` needs endlessly many versions of itself"),
            )
            .here("each use of it inside itself has a larger type")
            .note("every generic definition is compiled once for each combination of types it is used with")
            .help("let the recursive use have the same type arguments as the definition"),
        );
    }

    /// The definition that an aggregate type comes from.
    pub(super) fn origin(&self, ty: TypeId) -> Option<(TypeDefId, Rc<[TypeId]>)> {
        match self.psg.types.get(ty) {
            Type::Agg(agg) => self.types.origin.get(*agg)?.clone(),
            _ => None,
        }
    }

    /// A type as the user writes it.
    pub(super) fn type_name(&self, ty: TypeId) -> String {
        crate::text::type_name(&self.psg.types, ty)
    }
}

fn is_buffer(path: &str) -> bool {
    matches!(path, "BAREWire.HSA.UnifiedBuffer" | "BAREWire.Buffer")
}

fn plain_field(name: &str, ty: TypeId) -> Field {
    Field { name: Ustr::from(name), ty, is_mutable: false, fixed: None, unit: None }
}

fn single_case(name: &str, kind: AggKind, fields: Vec<Field>) -> Agg {
    let name = Ustr::from(name);
    Agg { name, kind, cases: vec![Case { name, fields }] }
}
