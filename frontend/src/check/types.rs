//! Types while they are being inferred: a union-find arena of open types over the table of closed ones.
//!
//! A [`Ty`] is a `TyId` whose top bit tells where it lives: clear, in the program's interned table (a closed type,
//! final and shared); set, in the arena of the definition under inference (a variable, or a type that contains one).
//! Whatever can be closed is interned at once, so that most comparisons are of two numbers. Measure variables are
//! `MeasureAtom::Param` with the same bit set. Generalised variables of local functions are parameters from
//! [`LOCAL_GENERIC`] on; [`super::specialise`] removes them.
//!
//! The arena is emptied after each top-level group. There are no substitution maps: binding a variable writes its node.

use super::hints::{self, Hints};
use crate::span::Span;
use crate::typed::{Hint, Measure, MeasureAtom, TyId, Type, TypeArg, TypeTable};
use smallvec::SmallVec;

pub type Ty = TyId;

/// Set in ids of the arena.
pub const OPEN: u32 = 1 << 31;
/// Parameters from here on stand for generalised variables of local functions.
pub const LOCAL_GENERIC: u32 = 1 << 30;

#[derive(Clone, Debug)]
enum Node {
    Var { level: u32 },
    Link(Ty),
    Type(Type),
}

#[derive(Clone, Debug)]
struct MeasureVar {
    level: u32,
    /// Made by an operator rather than by an annotation: becomes `1` where it is left open.
    weak: bool,
    solution: Option<Measure>,
}

/// Why two types do not unify: the innermost pair.
#[derive(Clone, Debug)]
pub enum Clash {
    Types(Ty, Ty),
    Measures(Measure, Measure),
    Hints(hints::Clash),
    Infinite,
}

/// Often used closed types.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub unit: Ty,
    pub bool: Ty,
    pub char: Ty,
    pub string: Ty,
    pub int: Ty,
    pub float: Ty,
    pub nativeint: Ty,
    pub error: Ty,
}

#[derive(Debug)]
pub struct Types {
    pub table: TypeTable,
    pub known: Known,
    /// For each type of the table: mentions a parameter.
    has_param: Vec<bool>,
    /// And: mentions the hint of an allocation.
    has_hint: Vec<bool>,
    nodes: Vec<Node>,
    measure_vars: Vec<MeasureVar>,
    pub hints: Hints,
    pub level: u32,
    next_generic: u32,
}

/// Variables that generalisation replaced, in order.
#[derive(Clone, Debug, Default)]
pub struct Quantified {
    pub types: Vec<u32>,
    pub measures: Vec<u32>,
}

impl Types {
    pub fn new() -> Self {
        use crate::ast::{FloatKind, IntKind};
        let mut table = TypeTable::default();
        let one = Measure::default;
        let known = Known {
            unit: table.intern(Type::Unit),
            bool: table.intern(Type::Bool),
            char: table.intern(Type::Char),
            string: table.intern(Type::String),
            int: table.intern(Type::Int(IntKind::I32, one())),
            float: table.intern(Type::Float(FloatKind::F64, one())),
            nativeint: table.intern(Type::Int(IntKind::ISize, one())),
            error: table.intern(Type::Error),
        };
        let has_param = vec![false; table.types.len()];
        let has_hint = has_param.clone();
        Self {
            table,
            known,
            has_param,
            has_hint,
            nodes: Vec::new(),
            measure_vars: Vec::new(),
            hints: Hints::default(),
            level: 1,
            next_generic: 0,
        }
    }

    /// Forgets all open types. None may be in use.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.measure_vars.clear();
        self.hints.clear();
        self.next_generic = 0;
    }

    pub fn is_array(&mut self, ty: Ty) -> bool {
        let root = self.find(ty);
        root.0 & OPEN == 0 && matches!(self.table.get(root), Type::Array(_))
    }

    pub fn fresh(&mut self) -> Ty {
        let level = self.level;
        self.node(Node::Var { level })
    }

    fn node(&mut self, node: Node) -> Ty {
        self.nodes.push(node);
        TyId((self.nodes.len() - 1) as u32 | OPEN)
    }

    pub fn fresh_measure(&mut self, weak: bool) -> Measure {
        self.measure_vars.push(MeasureVar { level: self.level, weak, solution: None });
        atom(MeasureAtom::Param((self.measure_vars.len() - 1) as u32 | OPEN))
    }

    /// The end of a chain of links.
    pub fn find(&mut self, ty: Ty) -> Ty {
        let mut root = ty;
        while root.0 & OPEN != 0 {
            match self.nodes[(root.0 & !OPEN) as usize] {
                Node::Link(next) => root = next,
                _ => break,
            }
        }
        let mut at = ty;
        while at != root {
            let slot = &mut self.nodes[(at.0 & !OPEN) as usize];
            let Node::Link(next) = *slot else { break };
            *slot = Node::Link(root);
            at = next;
        }
        root
    }

    /// Like [`Self::find`] without compressing.
    pub fn peek(&self, ty: Ty) -> Ty {
        let mut root = ty;
        while root.0 & OPEN != 0 {
            match self.nodes[(root.0 & !OPEN) as usize] {
                Node::Link(next) => root = next,
                _ => break,
            }
        }
        root
    }

    pub fn is_var(&self, ty: Ty) -> bool {
        self.shape(ty).is_none()
    }

    /// The outermost constructor, or nothing for a variable.
    pub fn shape(&self, ty: Ty) -> Option<&Type> {
        let ty = self.peek(ty);
        if ty.0 & OPEN == 0 {
            return Some(self.table.get(ty));
        }
        match &self.nodes[(ty.0 & !OPEN) as usize] {
            Node::Type(t) => Some(t),
            Node::Var { .. } | Node::Link(_) => None,
        }
    }

    /// Makes a type of parts; interned if all of them are closed.
    pub fn make(&mut self, mut ty: Type) -> Ty {
        if self.close(&mut ty) { self.intern(ty) } else { self.node(Node::Type(ty)) }
    }

    /// Follows the links of the parts; tells whether all are closed.
    fn close(&mut self, ty: &mut Type) -> bool {
        match ty {
            Type::Int(_, m) | Type::Float(_, m) => self.close_measure(m),
            Type::Named(_, args) => {
                let mut closed = true;
                for arg in args.iter_mut() {
                    closed &= match arg {
                        TypeArg::Type(t) => self.close_ty(t),
                        TypeArg::Measure(m) => self.close_measure(m),
                        TypeArg::Hint(h) => !matches!(h, Hint::Open(_)),
                    };
                }
                closed
            }
            Type::Tuple(items) => items.iter_mut().fold(true, |all, t| self.close_ty(t) & all),
            Type::AnonRecord(fields) => fields.iter_mut().fold(true, |all, (_, t)| self.close_ty(t) & all),
            Type::Fun(a, b) => self.close_ty(a) & self.close_ty(b),
            Type::Array(t) | Type::NativePtr(t) => self.close_ty(t),
            Type::Unit | Type::Bool | Type::Char | Type::String | Type::Param(_) | Type::Error => true,
        }
    }

    fn close_ty(&mut self, ty: &mut Ty) -> bool {
        *ty = self.find(*ty);
        ty.0 & OPEN == 0
    }

    fn close_measure(&mut self, m: &mut Measure) -> bool {
        if m.factors.is_empty() {
            return true;
        }
        *m = self.normal(m);
        !m.factors.iter().any(|(a, _)| is_measure_var(*a))
    }

    pub fn intern(&mut self, ty: Type) -> Ty {
        let before = self.table.types.len();
        let (param, hint) = (self.mentions_param(&ty), self.mentions_hint(&ty));
        let id = self.table.intern(ty);
        if self.table.types.len() > before {
            self.has_param.push(param);
            self.has_hint.push(hint);
        }
        id
    }

    fn mentions_param(&self, ty: &Type) -> bool {
        let in_measure = |m: &Measure| m.factors.iter().any(|(a, _)| matches!(a, MeasureAtom::Param(_)));
        let in_ty = |t: &Ty| self.has_param[t.index()];
        match ty {
            Type::Param(_) => true,
            Type::Int(_, m) | Type::Float(_, m) => in_measure(m),
            Type::Named(_, args) => args.iter().any(|a| match a {
                TypeArg::Type(t) => in_ty(t),
                TypeArg::Measure(m) => in_measure(m),
                TypeArg::Hint(_) => false,
            }),
            Type::Tuple(items) => items.iter().any(in_ty),
            Type::AnonRecord(fields) => fields.iter().any(|(_, t)| in_ty(t)),
            Type::Fun(a, b) => in_ty(a) || in_ty(b),
            Type::Array(t) | Type::NativePtr(t) => in_ty(t),
            Type::Unit | Type::Bool | Type::Char | Type::String | Type::Error => false,
        }
    }

    fn mentions_hint(&self, ty: &Type) -> bool {
        let in_ty = |t: &Ty| self.has_hint[t.index()];
        match ty {
            Type::Named(_, args) => args.iter().any(|a| match a {
                TypeArg::Type(t) => in_ty(t),
                TypeArg::Hint(h) => matches!(h, Hint::Known(_)),
                TypeArg::Measure(_) => false,
            }),
            Type::Tuple(items) => items.iter().any(in_ty),
            Type::AnonRecord(fields) => fields.iter().any(|(_, t)| in_ty(t)),
            Type::Fun(a, b) => in_ty(a) || in_ty(b),
            Type::Array(t) | Type::NativePtr(t) => in_ty(t),
            _ => false,
        }
    }

    /// A closed type with variables for the hints that allocations gave it: what a type variable stands for. What else
    /// it meets then changes the variable's hints, not those of the buffer that it met first.
    fn loosened(&mut self, ty: Ty) -> Ty {
        if ty.0 & OPEN != 0 || !self.has_hint[ty.index()] {
            return ty;
        }
        let new = match self.table.get(ty).clone() {
            Type::Named(d, mut parts) => {
                for part in &mut parts {
                    match part {
                        TypeArg::Type(t) => *t = self.loosened(*t),
                        TypeArg::Hint(h) => *h = self.hints.starting(*h),
                        TypeArg::Measure(_) => {}
                    }
                }
                Type::Named(d, parts)
            }
            Type::Tuple(items) => Type::Tuple(items.iter().map(|&t| self.loosened(t)).collect()),
            Type::AnonRecord(fields) => {
                Type::AnonRecord(fields.iter().map(|&(n, t)| (n, self.loosened(t))).collect())
            }
            Type::Fun(a, b) => Type::Fun(self.loosened(a), self.loosened(b)),
            Type::Array(t) => Type::Array(self.loosened(t)),
            Type::NativePtr(t) => Type::NativePtr(self.loosened(t)),
            other => other,
        };
        self.make(new)
    }

    pub fn fun(&mut self, from: Ty, to: Ty) -> Ty {
        self.make(Type::Fun(from, to))
    }

    pub fn funs(&mut self, params: &[Ty], ret: Ty) -> Ty {
        params.iter().rev().fold(ret, |to, &from| self.fun(from, to))
    }

    /// A function type's two sides; a variable becomes a function type.
    pub fn as_fun(&mut self, ty: Ty) -> Option<(Ty, Ty)> {
        match self.shape(ty) {
            Some(&Type::Fun(a, b)) => Some((a, b)),
            Some(Type::Error) => Some((self.known.error, self.known.error)),
            Some(_) => None,
            None => {
                let (a, b) = (self.fresh(), self.fresh());
                let f = self.fun(a, b);
                self.unify(ty, f).ok()?;
                Some((a, b))
            }
        }
    }

    // --- unification

    pub fn unify(&mut self, a: Ty, b: Ty) -> Result<(), Clash> {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return Ok(());
        }
        match (self.shape(a), self.shape(b)) {
            (None, _) => self.bind(a, b),
            (_, None) => self.bind(b, a),
            (Some(Type::Error), _) | (_, Some(Type::Error)) => Ok(()),
            (Some(x), Some(y)) => self.unify_shapes(a, b, x.clone(), y.clone()),
        }
    }

    fn unify_shapes(&mut self, a: Ty, b: Ty, x: Type, y: Type) -> Result<(), Clash> {
        match (x, y) {
            (Type::Int(k, m), Type::Int(l, n)) if k == l => self.unify_measures(&m, &n),
            (Type::Float(k, m), Type::Float(l, n)) if k == l => self.unify_measures(&m, &n),
            (Type::Named(d, xs), Type::Named(e, ys)) if d == e && xs.len() == ys.len() => {
                xs.iter().zip(&ys).try_for_each(|(x, y)| self.unify_args(x, y, a, b))
            }
            (Type::Tuple(xs), Type::Tuple(ys)) if xs.len() == ys.len() => {
                xs.iter().zip(&ys).try_for_each(|(&x, &y)| self.unify(x, y))
            }
            (Type::AnonRecord(xs), Type::AnonRecord(ys))
                if xs.len() == ys.len() && xs.iter().zip(&ys).all(|(x, y)| x.0 == y.0) =>
            {
                xs.iter().zip(&ys).try_for_each(|(x, y)| self.unify(x.1, y.1))
            }
            (Type::Fun(p, r), Type::Fun(q, s)) => {
                self.unify(p, q)?;
                self.unify(r, s)
            }
            (Type::Array(x), Type::Array(y)) | (Type::NativePtr(x), Type::NativePtr(y)) => self.unify(x, y),
            (Type::Param(x), Type::Param(y)) if x == y => Ok(()),
            (Type::Unit, Type::Unit)
            | (Type::Bool, Type::Bool)
            | (Type::Char, Type::Char)
            | (Type::String, Type::String) => Ok(()),
            _ => Err(Clash::Types(a, b)),
        }
    }

    fn unify_args(&mut self, x: &TypeArg, y: &TypeArg, a: Ty, b: Ty) -> Result<(), Clash> {
        match (x, y) {
            (TypeArg::Type(x), TypeArg::Type(y)) => self.unify(*x, *y),
            (TypeArg::Measure(x), TypeArg::Measure(y)) => self.unify_measures(x, y),
            (TypeArg::Hint(x), TypeArg::Hint(y)) => self.hints.unify(*x, *y).map_err(Clash::Hints),
            (x, y) if x == y => Ok(()),
            _ => Err(Clash::Types(a, b)),
        }
    }

    fn bind(&mut self, var: Ty, to: Ty) -> Result<(), Clash> {
        let Node::Var { level } = self.nodes[(var.0 & !OPEN) as usize] else { return Ok(()) };
        if !self.lower(to, level, Some(var)) {
            return Err(Clash::Infinite);
        }
        let to = self.loosened(to);
        self.nodes[(var.0 & !OPEN) as usize] = Node::Link(to);
        Ok(())
    }

    /// Lowers the levels of the variables in a type to `level`; false if `avoid` is among them.
    pub fn lower(&mut self, ty: Ty, level: u32, avoid: Option<Ty>) -> bool {
        let ty = self.find(ty);
        if ty.0 & OPEN == 0 {
            return true;
        }
        if Some(ty) == avoid {
            return false;
        }
        let inner = match &mut self.nodes[(ty.0 & !OPEN) as usize] {
            Node::Var { level: own } => {
                *own = (*own).min(level);
                return true;
            }
            Node::Link(_) => return true,
            Node::Type(t) => t.clone(),
        };
        self.lower_parts(&inner, level, avoid)
    }

    fn lower_parts(&mut self, ty: &Type, level: u32, avoid: Option<Ty>) -> bool {
        match ty {
            Type::Int(_, m) | Type::Float(_, m) => self.lower_measure(m, level),
            Type::Named(_, args) => {
                return args.iter().all(|arg| match arg {
                    TypeArg::Type(t) => self.lower(*t, level, avoid),
                    TypeArg::Measure(m) => {
                        self.lower_measure(m, level);
                        true
                    }
                    TypeArg::Hint(_) => true,
                });
            }
            Type::Tuple(items) => return items.iter().all(|&t| self.lower(t, level, avoid)),
            Type::AnonRecord(fields) => return fields.iter().all(|&(_, t)| self.lower(t, level, avoid)),
            Type::Fun(a, b) => return self.lower(*a, level, avoid) && self.lower(*b, level, avoid),
            Type::Array(t) | Type::NativePtr(t) => return self.lower(*t, level, avoid),
            _ => {}
        }
        true
    }

    fn lower_measure(&mut self, m: &Measure, level: u32) {
        for (a, _) in self.normal(m).factors {
            if let MeasureAtom::Param(v) = a
                && v & OPEN != 0
            {
                let own = &mut self.measure_vars[(v & !OPEN) as usize].level;
                *own = (*own).min(level);
            }
        }
    }

    /// Could these be the same type? Variables fit everything; nothing is bound.
    pub fn compatible(&self, a: Ty, b: Ty) -> bool {
        let (a, b) = (self.peek(a), self.peek(b));
        if a == b {
            return true;
        }
        let (Some(x), Some(y)) = (self.shape(a), self.shape(b)) else { return true };
        match (x, y) {
            (Type::Error | Type::Param(_), _) | (_, Type::Error | Type::Param(_)) => true,
            (Type::Int(k, _), Type::Int(l, _)) => k == l,
            (Type::Float(k, _), Type::Float(l, _)) => k == l,
            (Type::Named(d, xs), Type::Named(e, ys)) => {
                d == e
                    && xs.iter().zip(ys).all(|(x, y)| match (x, y) {
                        (TypeArg::Type(x), TypeArg::Type(y)) => self.compatible(*x, *y),
                        _ => true,
                    })
            }
            (Type::Tuple(xs), Type::Tuple(ys)) => {
                xs.len() == ys.len() && xs.iter().zip(ys).all(|(x, y)| self.compatible(*x, *y))
            }
            (Type::AnonRecord(xs), Type::AnonRecord(ys)) => {
                xs.len() == ys.len()
                    && xs.iter().zip(ys).all(|(x, y)| x.0 == y.0 && self.compatible(x.1, y.1))
            }
            (Type::Fun(p, r), Type::Fun(q, s)) => self.compatible(*p, *q) && self.compatible(*r, *s),
            (Type::Array(x), Type::Array(y)) | (Type::NativePtr(x), Type::NativePtr(y)) => {
                self.compatible(*x, *y)
            }
            (x, y) => x == y,
        }
    }

    // --- instantiation, generalisation, closing

    /// A definition's type with its parameters replaced.
    pub fn instantiate(&mut self, ty: Ty, args: &[TypeArg]) -> Ty {
        if ty.0 & OPEN == 0 && !self.has_param[ty.index()] {
            return ty;
        }
        self.replace(ty, 0, args)
    }

    /// A local function's type with its generalised variables, numbered from `first`, replaced.
    pub fn instantiate_local(&mut self, ty: Ty, first: u32, args: &[TypeArg]) -> Ty {
        self.replace(ty, LOCAL_GENERIC + first, args)
    }

    fn replace(&mut self, ty: Ty, first: u32, args: &[TypeArg]) -> Ty {
        let ty = self.find(ty);
        if ty.0 & OPEN == 0 && !self.has_param[ty.index()] {
            return ty;
        }
        let Some(shape) = self.shape(ty) else { return ty };
        let new = match shape.clone() {
            Type::Param(n) => match args.get(n.wrapping_sub(first) as usize) {
                Some(TypeArg::Type(t)) => return *t,
                _ => return ty,
            },
            Type::Int(k, m) => Type::Int(k, self.replace_measure(&m, first, args)),
            Type::Float(k, m) => Type::Float(k, self.replace_measure(&m, first, args)),
            Type::Named(d, mut parts) => {
                for part in &mut parts {
                    *part = self.replace_arg(part, first, args);
                }
                Type::Named(d, parts)
            }
            Type::Tuple(items) => Type::Tuple(items.iter().map(|&t| self.replace(t, first, args)).collect()),
            Type::AnonRecord(fields) => {
                Type::AnonRecord(fields.iter().map(|&(n, t)| (n, self.replace(t, first, args))).collect())
            }
            Type::Fun(a, b) => Type::Fun(self.replace(a, first, args), self.replace(b, first, args)),
            Type::Array(t) => Type::Array(self.replace(t, first, args)),
            Type::NativePtr(t) => Type::NativePtr(self.replace(t, first, args)),
            other => other,
        };
        self.make(new)
    }

    pub fn replace_arg(&mut self, arg: &TypeArg, first: u32, args: &[TypeArg]) -> TypeArg {
        match arg {
            TypeArg::Type(t) => TypeArg::Type(self.replace(*t, first, args)),
            TypeArg::Measure(m) => TypeArg::Measure(self.replace_measure(m, first, args)),
            other => other.clone(),
        }
    }

    fn replace_measure(&mut self, m: &Measure, first: u32, args: &[TypeArg]) -> Measure {
        let mut out = Measure::default();
        for (a, n) in &self.normal(m).factors {
            match a {
                MeasureAtom::Param(p) if p & OPEN == 0 => match args.get(p.wrapping_sub(first) as usize) {
                    Some(TypeArg::Measure(by)) => out = times(&out, by, *n),
                    _ => out = times(&out, &atom(*a), *n),
                },
                _ => out = times(&out, &atom(*a), *n),
            }
        }
        self.normal(&out)
    }

    /// Replaces the variables of a type that belong to inner levels by generalised parameters of a local function.
    /// Returns the first number and, for each, whether it is a measure.
    pub fn generalise_local(&mut self, ty: Ty) -> (u32, Vec<bool>) {
        let first = self.next_generic;
        let found = self.quantifiable(ty);
        let mut kinds = Vec::new();
        for v in found.types {
            let param = self.intern(Type::Param(LOCAL_GENERIC + self.next_generic));
            self.nodes[v as usize] = Node::Link(param);
            self.next_generic += 1;
            kinds.push(false);
        }
        for v in found.measures {
            let param = MeasureAtom::Param(LOCAL_GENERIC + self.next_generic);
            self.measure_vars[v as usize].solution = Some(atom(param));
            self.next_generic += 1;
            kinds.push(true);
        }
        (first, kinds)
    }

    /// The variables of a type that wait for a later definition (level 0).
    pub fn waiting(&mut self, ty: Ty, out: &mut Quantified) {
        let ty = self.find(ty);
        if ty.0 & OPEN == 0 {
            return;
        }
        let index = ty.0 & !OPEN;
        match self.nodes[index as usize].clone() {
            Node::Var { level: 0 } if !out.types.contains(&index) => out.types.push(index),
            Node::Var { .. } | Node::Link(_) => {}
            Node::Type(t) => match t {
                Type::Named(_, args) => {
                    for arg in &args {
                        if let TypeArg::Type(t) = arg {
                            self.waiting(*t, out);
                        }
                    }
                }
                Type::Tuple(items) => items.iter().for_each(|&t| self.waiting(t, out)),
                Type::AnonRecord(fields) => fields.iter().for_each(|&(_, t)| self.waiting(t, out)),
                Type::Fun(a, b) => {
                    self.waiting(a, out);
                    self.waiting(b, out);
                }
                Type::Array(t) | Type::NativePtr(t) => self.waiting(t, out),
                _ => {}
            },
        }
    }

    /// The variables of a type with a level above the current one, in order of appearance.
    pub fn quantifiable(&mut self, ty: Ty) -> Quantified {
        let mut out = Quantified::default();
        self.collect(ty, &mut out);
        out
    }

    pub fn collect(&mut self, ty: Ty, out: &mut Quantified) {
        let ty = self.find(ty);
        if ty.0 & OPEN == 0 {
            return;
        }
        let index = ty.0 & !OPEN;
        match self.nodes[index as usize].clone() {
            Node::Var { level } => {
                if level > self.level && !out.types.contains(&index) {
                    out.types.push(index);
                }
            }
            Node::Link(_) => {}
            Node::Type(t) => match t {
                Type::Int(_, m) | Type::Float(_, m) => self.collect_measure(&m, out),
                Type::Named(_, args) => {
                    for arg in &args {
                        match arg {
                            TypeArg::Type(t) => self.collect(*t, out),
                            TypeArg::Measure(m) => self.collect_measure(m, out),
                            TypeArg::Hint(_) => {}
                        }
                    }
                }
                Type::Tuple(items) => items.iter().for_each(|&t| self.collect(t, out)),
                Type::AnonRecord(fields) => fields.iter().for_each(|&(_, t)| self.collect(t, out)),
                Type::Fun(a, b) => {
                    self.collect(a, out);
                    self.collect(b, out);
                }
                Type::Array(t) | Type::NativePtr(t) => self.collect(t, out),
                _ => {}
            },
        }
    }

    fn collect_measure(&mut self, m: &Measure, out: &mut Quantified) {
        for (a, _) in self.normal(m).factors {
            let MeasureAtom::Param(v) = a else { continue };
            if v & OPEN == 0 {
                continue;
            }
            let index = v & !OPEN;
            let var = &mut self.measure_vars[index as usize];
            if var.level <= self.level {
                continue;
            }
            if var.weak {
                var.solution = Some(Measure::default());
            } else if !out.measures.contains(&index) {
                out.measures.push(index);
            }
        }
    }

    /// Binds the variables in `found` to parameters of a definition, from number `from` on.
    pub fn close_over(&mut self, found: &Quantified, from: u32) {
        let mut next = from;
        for &v in &found.types {
            let param = self.intern(Type::Param(next));
            self.nodes[v as usize] = Node::Link(param);
            next += 1;
        }
        for &v in &found.measures {
            self.measure_vars[v as usize].solution = Some(atom(MeasureAtom::Param(next)));
            next += 1;
        }
    }

    /// Makes variables the error type, after it was told that they cannot be found out.
    pub fn give_up(&mut self, found: &Quantified) {
        for &v in &found.types {
            self.nodes[v as usize] = Node::Link(self.known.error);
        }
    }

    /// The closed form of a type. Variables left open become `unit` (no value depends on them), measures `1`.
    pub fn zonk(&mut self, ty: Ty) -> Ty {
        let ty = self.find(ty);
        if ty.0 & OPEN == 0 {
            return ty;
        }
        let index = (ty.0 & !OPEN) as usize;
        let inner = match &self.nodes[index] {
            Node::Type(t) => t.clone(),
            Node::Var { .. } | Node::Link(_) => {
                self.nodes[index] = Node::Link(self.known.unit);
                return self.known.unit;
            }
        };
        let closed = match inner {
            Type::Int(k, m) => Type::Int(k, self.zonk_measure(&m)),
            Type::Float(k, m) => Type::Float(k, self.zonk_measure(&m)),
            Type::Named(d, mut args) => {
                args.iter_mut().for_each(|a| self.zonk_arg(a));
                Type::Named(d, args)
            }
            Type::Tuple(items) => Type::Tuple(items.iter().map(|&t| self.zonk(t)).collect()),
            Type::AnonRecord(fields) => {
                Type::AnonRecord(fields.iter().map(|&(n, t)| (n, self.zonk(t))).collect())
            }
            Type::Fun(a, b) => Type::Fun(self.zonk(a), self.zonk(b)),
            Type::Array(t) => Type::Array(self.zonk(t)),
            Type::NativePtr(t) => Type::NativePtr(self.zonk(t)),
            other => other,
        };
        let id = self.intern(closed);
        self.nodes[index] = Node::Link(id);
        id
    }

    pub fn zonk_arg(&mut self, arg: &mut TypeArg) {
        match arg {
            TypeArg::Type(t) => *t = self.zonk(*t),
            TypeArg::Measure(m) => *m = self.zonk_measure(m),
            TypeArg::Hint(h) => *h = self.hints.closed(*h),
        }
    }

    pub fn zonk_measure(&mut self, m: &Measure) -> Measure {
        let mut m = self.normal(m);
        m.factors.retain(|(a, _)| !is_measure_var(*a));
        m
    }

    // --- measures: the free abelian group

    /// With solved variables replaced, sorted, without zero powers.
    pub fn normal(&self, m: &Measure) -> Measure {
        if !m.factors.iter().any(|(a, _)| self.solution(*a).is_some()) {
            return m.clone();
        }
        let mut out = Measure::default();
        for (a, n) in &m.factors {
            match self.solution(*a) {
                Some(by) => out = times(&out, &self.normal(by), *n),
                None => out = times(&out, &atom(*a), *n),
            }
        }
        out
    }

    fn solution(&self, a: MeasureAtom) -> Option<&Measure> {
        match a {
            MeasureAtom::Param(v) if v & OPEN != 0 => {
                self.measure_vars[(v & !OPEN) as usize].solution.as_ref()
            }
            _ => None,
        }
    }

    pub fn unify_measures(&mut self, a: &Measure, b: &Measure) -> Result<(), Clash> {
        if a == b {
            return Ok(());
        }
        let quotient = self.normal(&times(a, b, -1));
        if self.solve_one(quotient) { Ok(()) } else { Err(Clash::Measures(self.normal(a), self.normal(b))) }
    }

    /// Makes a product equal `1`: Euclid's algorithm on the powers of its variables (Kennedy's unification).
    fn solve_one(&mut self, mut m: Measure) -> bool {
        loop {
            if m.factors.is_empty() {
                return true;
            }
            // The variable of the smallest power, an operator's own before an annotation's.
            let pivot = m
                .factors
                .iter()
                .filter_map(|&(a, n)| match a {
                    MeasureAtom::Param(v) if v & OPEN != 0 => Some((v & !OPEN, n)),
                    _ => None,
                })
                .min_by_key(|&(v, n)| (n.abs(), !self.measure_vars[v as usize].weak, v));
            let Some((var, power)) = pivot else { return false };
            let me = MeasureAtom::Param(var | OPEN);
            let others = m.factors.iter().filter(|(a, _)| *a != me);
            if others.clone().all(|(_, n)| n % power == 0) {
                let factors = others.map(|&(a, n)| (a, -n / power)).collect();
                self.solve(var, Measure { factors });
                return true;
            }
            if !others.clone().any(|(a, _)| is_measure_var(*a)) {
                return false;
            }
            // me := new * product of others^(-floor(n / power)), which leaves remainders below |power|.
            let weak = self.measure_vars[var as usize].weak;
            let saved = std::mem::replace(&mut self.level, self.measure_vars[var as usize].level);
            let new = self.fresh_measure(weak);
            self.level = saved;
            let factors = others.map(|&(a, n)| (a, -n.div_euclid(power))).filter(|(_, n)| *n != 0).collect();
            let by = times(&new, &Measure { factors }, 1);
            self.solve(var, by);
            m = self.normal(&m);
        }
    }

    fn solve(&mut self, var: u32, by: Measure) {
        let level = self.measure_vars[var as usize].level;
        self.lower_measure(&by, level);
        // A strong variable that meets weak ones keeps them from being dropped.
        if !self.measure_vars[var as usize].weak {
            for (a, _) in &by.factors {
                if let MeasureAtom::Param(v) = a
                    && v & OPEN != 0
                {
                    self.measure_vars[(v & !OPEN) as usize].weak = false;
                }
            }
        }
        self.measure_vars[var as usize].solution = Some(by);
    }
}

pub fn is_measure_var(a: MeasureAtom) -> bool {
    matches!(a, MeasureAtom::Param(v) if v & OPEN != 0)
}

pub fn atom(a: MeasureAtom) -> Measure {
    Measure { factors: SmallVec::from_slice(&[(a, 1)]) }
}

/// `a * b^n`.
pub fn times(a: &Measure, b: &Measure, n: i32) -> Measure {
    let mut factors = a.factors.clone();
    for &(x, p) in &b.factors {
        match factors.iter_mut().find(|(y, _)| *y == x) {
            Some((_, q)) => *q = q.saturating_add(p.saturating_mul(n)),
            None => factors.push((x, p.saturating_mul(n))),
        }
    }
    factors.retain(|(_, n)| *n != 0);
    factors.sort_unstable();
    Measure { factors }
}

/// Where a type was asked for, so that a mismatch can say so.
#[derive(Clone, Copy, Debug, Default)]
pub enum Why {
    #[default]
    Nothing,
    Annotation(Span),
    /// The n-th argument (from 0) of the function at the place.
    Argument(usize, Span),
    /// All branches of `if`, all arms of `match`: the first is at the place.
    Branches(Span),
    Elements(Span),
    Condition,
    /// No `else`.
    NoElse,
    /// The assigned variable, field or element.
    Assigned(Span),
    /// The other operand.
    Operand(Span),
    Field(ustr::Ustr),
    Pattern(Span),
    Bound,
    Statement,
    Index,
    /// Part of a list or array comprehension, of a sequence, of a computation by builder: no place for a mismatch, but
    /// the way in which the expression is to be read.
    Collect,
    InSeq,
    InBuilder,
}

/// What is expected of an expression.
#[derive(Clone, Copy, Debug, Default)]
pub struct Want {
    pub ty: Option<Ty>,
    pub why: Why,
}

impl Want {
    pub const ANY: Want = Want { ty: None, why: Why::Nothing };

    pub fn new(ty: Ty, why: Why) -> Self {
        Self { ty: Some(ty), why }
    }
}
