//! Operators and conversions: what can be decided is decided at once; what cannot waits until more is known.
//!
//! A waiting constraint is tried again when a type must be known and when its definition ends. Then it takes its
//! default (`int`, `float` for the functions of floats), or stays as a constraint of an `inline` function.

use super::types::{Ty, Want, Why, times};
use super::{Checker, Value};
use crate::ast::{self, ExprKind as E, FloatKind, IntKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{
    DefId, ExprId, ExprKind, FormatPart, FormatSink, FormatSpec, Measure, Prim, Type, TypeArg,
};
use smallvec::SmallVec;
use ustr::Ustr;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    Number,
    Integer,
    Float,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Task {
    /// A primitive on the operand(s).
    Prim(Prim),
    /// A conversion to the node's type.
    Convert,
    /// The type must be of a class: for formats.
    Class(Class, char),
    /// An `inline` function's constraint, at a use.
    Stored(Prim),
}

/// A constraint that could not be decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub task: Task,
    /// The node that the decision may change.
    pub expr: Option<ExprId>,
    pub a: Ty,
    pub b: Ty,
    pub result: Ty,
    pub span: Span,
}

impl Pending {
    pub fn types(&self) -> [Ty; 3] {
        [self.a, self.b, self.result]
    }
}

/// A constraint of an `inline` function: the operation on types of its parameters, and the result's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Stored {
    pub prim: Prim,
    pub types: [Ty; 3],
}

enum Solved {
    Done,
    Wait,
}

impl<'a> Checker<'a> {
    pub(crate) fn prefix(&mut self, op: &'a ast::Ident, x: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        let name = op.name.as_str();
        if let Some(value) = self
            .operator_value(Ustr::from(&format!("~{name}")))
            .or_else(|| if matches!(name, "-" | "+") { None } else { self.operator_value(op.name) })
        {
            let (callee, ty) = self.value_expr(value, *op);
            return self.call(callee, ty, vec![super::apply::Arg::Source(x)], span, want);
        }
        match name {
            "-" | "~-" => {
                let id = self.expr(x, Want { ty: want.ty.filter(|&t| self.is_number(t)), why: want.why });
                let id = self.operate(Prim::Neg, vec![id], span);
                self.coerce(id, want)
            }
            "+" | "~+" => self.expr(x, want),
            "~~~" => {
                let id = self.expr(x, Want::ANY);
                let id = self.operate(Prim::BitNot, vec![id], span);
                self.coerce(id, want)
            }
            "!" => {
                let b = super::builtin::Builtin::Deref;
                self.builtin_app(b, None, vec![super::apply::Arg::Source(x)], op.span, span, want)
            }
            "&" | "&&" | "%" | "%%" => {
                self.outside("address-of", span);
                self.error_expr(span)
            }
            _ => {
                self.unknown_value(*op);
                self.expr(x, Want::ANY);
                self.error_expr(span)
            }
        }
    }

    fn is_number(&self, ty: Ty) -> bool {
        matches!(self.types.shape(ty), Some(Type::Int(..) | Type::Float(..)))
    }

    pub(crate) fn infix(
        &mut self,
        op: ast::Ident,
        a: &'a ast::Expr,
        b: &'a ast::Expr,
        span: Span,
        want: Want,
    ) -> ExprId {
        use super::builtin::Builtin as B;
        let known = self.types.known;
        if let Some(value) = self.operator_value(op.name) {
            let (callee, ty) = self.value_expr(value, op);
            let args = vec![super::apply::Arg::Source(a), super::apply::Arg::Source(b)];
            return self.call(callee, ty, args, span, want);
        }
        let id = match B::named(op.name) {
            Some(B::And | B::Or) => {
                let x = self.branch(a, Want::new(known.bool, Why::Condition));
                let y = self.branch(b, Want::new(known.bool, Why::Condition));
                let kind = if op.name == "&&" { ExprKind::And(x, y) } else { ExprKind::Or(x, y) };
                self.push(kind, known.bool, span)
            }
            Some(B::Pipe) => return self.pipe(a, b, span, want),
            Some(B::PipeBack) => return self.pipe_back(a, b, span, want),
            Some(B::Compose) => return self.compose(a, b, true, span, want),
            Some(B::ComposeBack) => return self.compose(b, a, false, span, want),
            Some(B::Cons) => return self.cons_chain(a, b, span, want),
            Some(B::Append) => {
                let list = want.ty.filter(|&t| self.is_list(t).is_some());
                let list = list.unwrap_or_else(|| {
                    let element = self.types.fresh();
                    self.list_of(element)
                });
                let x = self.branch(a, Want::new(list, want.why));
                let y = self.branch(b, Want::new(list, Why::Operand(a.span)));
                self.call_syntax("append", &[x, y], span)
            }
            Some(B::Binary(prim)) => {
                let x = self.branch(a, Want::ANY);
                let y = self.branch(b, Want::ANY);
                self.operate_at(prim, vec![x, y], span, op.span)
            }
            Some(other) => {
                let args = vec![super::apply::Arg::Source(a), super::apply::Arg::Source(b)];
                return self.builtin_app(other, None, args, op.span, span, want);
            }
            None if op.name == "||>" => return self.pipe_pair(a, b, span, want),
            None if op.name == ":?>" || op.name == ":>" => {
                self.outside("cast", span);
                self.error_expr(span)
            }
            None => return self.member_operator(op, a, b, span, want),
        };
        self.coerce(id, want)
    }

    /// `a :: b :: rest` without recursion on the right.
    fn cons_chain(&mut self, a: &'a ast::Expr, b: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        let element = want.ty.and_then(|t| self.is_list(t)).unwrap_or_else(|| self.types.fresh());
        let list = self.list_of(element);
        let mut heads = vec![(a, span)];
        let mut tail = b;
        while let E::Infix(op, x, rest) = &tail.kind {
            if op.name != "::" {
                break;
            }
            heads.push((x, tail.span));
            tail = rest;
        }
        let first = a.span;
        let mut ids = Vec::with_capacity(heads.len());
        for (n, (h, at)) in heads.into_iter().enumerate() {
            let why = if n == 0 { Why::Nothing } else { Why::Elements(first) };
            ids.push((self.branch(h, Want::new(element, why)), at));
        }
        let mut out = self.branch(tail, Want::new(list, Why::Operand(first)));
        for (id, at) in ids.into_iter().rev() {
            out = self.push(ExprKind::Union { case: 1, fields: vec![id, out] }, list, at);
        }
        self.coerce(out, want)
    }

    /// An operator that only a type defines (`static member (+.)`).
    fn member_operator(
        &mut self,
        op: ast::Ident,
        a: &'a ast::Expr,
        b: &'a ast::Expr,
        span: Span,
        want: Want,
    ) -> ExprId {
        let x = self.branch(a, Want::ANY);
        let y = self.branch(b, Want::ANY);
        let found = self.find_operator(op.name, &[self.ty(x), self.ty(y)]);
        let Some(value) = found else {
            if matches!(self.types.shape(self.ty(x)), Some(Type::Error)) {
                return self.error_expr(span);
            }
            self.diags.push(Diagnostic::error(
                codes::UNKNOWN_NAME,
                op.span,
                format!("the operator `{}` is not defined", op.name),
            ));
            return self.error_expr(span);
        };
        let (kind, ty) = self.operator_call(value, &[x, y], op, span);
        let id = self.push(kind, ty, span);
        self.coerce(id, want)
    }

    /// A static member with an operator's name, on one of the operands' types.
    fn find_operator(&mut self, name: Ustr, operands: &[Ty]) -> Option<Value> {
        let mut candidates: Vec<Value> = Vec::new();
        for &ty in operands {
            if let Some(Type::Named(d, _)) = self.types.shape(ty) {
                let info = &self.type_info[d.index()];
                let found = info.members.iter().filter(|m| m.is_static && m.name == name).map(|m| m.value);
                for v in found {
                    if !candidates.contains(&v) {
                        candidates.push(v);
                    }
                }
            }
        }
        if let [only] = candidates.as_slice() {
            return Some(*only);
        }
        let arg = if let [one] = operands { *one } else { self.types.make(Type::Tuple(operands.to_vec())) };
        let fitting = candidates.iter().copied().find(|&v| {
            let def = match v {
                Value::Def(d) => Some(d),
                Value::Lib(lib) => self.force_lib(lib),
                _ => None,
            };
            let Some(def) = def else { return false };
            let ty = self.def_info[def.index()].mono.unwrap_or(self.defs[def.index()].ty);
            matches!(self.types.shape(ty), Some(&Type::Fun(p, _)) if self.types.compatible(p, arg))
        });
        fitting.or_else(|| candidates.first().copied())
    }

    fn operator_call(&mut self, value: Value, args: &[ExprId], op: ast::Ident, span: Span) -> (ExprKind, Ty) {
        let (callee, ty) = self.value_expr(value, op);
        let arg = if let [one] = args {
            *one
        } else {
            let tys = args.iter().map(|&a| self.ty(a)).collect();
            let tuple = self.types.make(Type::Tuple(tys));
            self.push(ExprKind::Tuple(args.to_vec()), tuple, span)
        };
        let Some((p, r)) = self.types.as_fun(ty) else { return (ExprKind::Error, self.types.known.error) };
        let found = self.ty(arg);
        self.unify_at(p, found, span, Why::Nothing);
        (ExprKind::App(callee, vec![arg]), r)
    }

    // --- primitives

    pub(crate) fn operate(&mut self, prim: Prim, args: Vec<ExprId>, span: Span) -> ExprId {
        self.operate_at(prim, args, span, span)
    }

    fn operate_at(&mut self, prim: Prim, args: Vec<ExprId>, span: Span, at: Span) -> ExprId {
        let known = self.types.known;
        let a = self.ty(args[0]);
        let b = args.get(1).map_or(a, |&y| self.ty(y));
        match prim {
            Prim::Eq | Prim::Ne | Prim::Lt | Prim::Le | Prim::Gt | Prim::Ge | Prim::Compare => {
                let why = Why::Operand(self.span(args[0]));
                let y = self.coerce(args[1], Want::new(a, why));
                self.cx.compared.push((a, span));
                let ty = if prim == Prim::Compare { known.int } else { known.bool };
                self.prim(prim, vec![args[0], y], ty, span)
            }
            Prim::Min | Prim::Max => {
                let why = Why::Operand(self.span(args[0]));
                let y = self.coerce(args[1], Want::new(a, why));
                self.cx.compared.push((a, span));
                self.prim(prim, vec![args[0], y], a, span)
            }
            Prim::Hash => {
                self.cx.compared.push((a, span));
                self.prim(prim, args, known.int, span)
            }
            Prim::Not => {
                self.coerce(args[0], Want::new(known.bool, Why::Condition));
                self.prim(prim, args, known.bool, span)
            }
            _ => {
                let result = match prim {
                    Prim::Sign => known.int,
                    Prim::Add | Prim::Sub | Prim::Mul | Prim::Div | Prim::Rem | Prim::Sqrt | Prim::Neg => {
                        self.types.fresh()
                    }
                    _ => a,
                };
                if matches!(prim, Prim::Shl | Prim::Shr) {
                    self.coerce(args[1], Want::new(known.int, Why::Nothing));
                }
                let id = self.prim(prim, args, result, span);
                let p = Pending { task: Task::Prim(prim), expr: Some(id), a, b, result, span: at };
                self.try_or_wait(p);
                id
            }
        }
    }

    fn try_or_wait(&mut self, p: Pending) {
        if let Solved::Wait = self.solve(p, false) {
            self.cx.pending.push(p);
        }
    }

    /// Tries the waiting constraints again; at the end of a definition, with their defaults.
    pub(crate) fn solve_pending(&mut self, last: bool) {
        loop {
            let before = self.cx.pending.len();
            let list = std::mem::take(&mut self.cx.pending);
            for p in list {
                self.try_or_wait(p);
            }
            if self.cx.pending.len() >= before {
                break;
            }
        }
        if !last {
            return;
        }
        let mut n = 0;
        // A default decides others that wait for the same type.
        while n < self.cx.pending.len() {
            let p = self.cx.pending[n];
            match self.solve(p, true) {
                Solved::Done => {
                    self.cx.pending.remove(n);
                }
                Solved::Wait => n += 1,
            }
        }
    }

    fn solve(&mut self, p: Pending, last: bool) -> Solved {
        match p.task {
            Task::Prim(prim @ (Prim::Add | Prim::Sub | Prim::Mul | Prim::Div | Prim::Rem)) => {
                self.solve_arithmetic(prim, p, last)
            }
            Task::Stored(prim @ (Prim::Add | Prim::Sub | Prim::Mul | Prim::Div | Prim::Rem)) => {
                self.solve_arithmetic(prim, p, last)
            }
            Task::Prim(prim) => self.solve_unary(prim, p, last),
            Task::Convert => self.solve_convert(p, last),
            Task::Class(class, letter) => self.solve_class(class, letter, p, last),
            Task::Stored(prim) => self.solve_stored(prim, p, last),
        }
    }

    fn solve_arithmetic(&mut self, prim: Prim, p: Pending, last: bool) -> Solved {
        let multiplies = matches!(prim, Prim::Mul | Prim::Div);
        let (a, b) = (self.types.shape(p.a).cloned(), self.types.shape(p.b).cloned());
        match (a, b) {
            (Some(Type::Error), _) | (_, Some(Type::Error)) => {
                let error = self.types.known.error;
                let _ = self.types.unify(p.result, error);
                Solved::Done
            }
            (Some(x), Some(y)) if is_numeric(&x) && is_numeric(&y) => {
                if multiplies {
                    self.multiply(prim, p, &x, &y);
                } else {
                    let why = self.operand_why(p);
                    if self.unify_at(p.a, p.b, self.second_span(p), why) {
                        self.fit_result(p);
                    } else {
                        let error = self.types.known.error;
                        let _ = self.types.unify(p.result, error);
                    }
                }
                Solved::Done
            }
            (Some(x), None) if is_numeric(&x) => self.pair_with_number(prim, p, p.b, &x, last),
            (None, Some(y)) if is_numeric(&y) => self.pair_with_number(prim, p, p.a, &y, last),
            (Some(Type::String), _) | (_, Some(Type::String)) if prim == Prim::Add => {
                let string = self.types.known.string;
                let (first, second) = (self.first_span(p), self.second_span(p));
                if self.unify_at(string, p.a, first, Why::Operand(second)) {
                    self.unify_at(string, p.b, second, Why::Operand(first));
                }
                let _ = self.types.unify(p.result, string);
                Solved::Done
            }
            (Some(Type::Char), Some(Type::Char)) if prim == Prim::Add => {
                self.no_operator(prim, p);
                Solved::Done
            }
            (Some(Type::Named(..)), _) | (_, Some(Type::Named(..))) => self.user_operator(prim, p),
            (Some(Type::Param(_)), _) | (_, Some(Type::Param(_))) => self.on_parameter(prim, p),
            (None, None) => {
                let result = self.types.shape(p.result).cloned();
                match result {
                    Some(r) if is_numeric(&r) && (!multiplies || last) => {
                        let _ = self.types.unify(p.a, p.result);
                        let _ = self.types.unify(p.b, p.result);
                        Solved::Done
                    }
                    Some(Type::String) if prim == Prim::Add => {
                        let _ = self.types.unify(p.a, p.result);
                        let _ = self.types.unify(p.b, p.result);
                        Solved::Done
                    }
                    _ if !last => Solved::Wait,
                    // The units of a product differ from those of its factors.
                    _ if multiplies && self.keeps_units() => Solved::Wait,
                    _ if self.cx.is_inline => {
                        let _ = self.types.unify(p.a, p.b);
                        let _ = self.types.unify(p.a, p.result);
                        Solved::Wait
                    }
                    _ => {
                        let int = self.types.known.int;
                        for ty in p.types() {
                            let _ = self.types.unify(ty, int);
                        }
                        Solved::Done
                    }
                }
            }
            _ => {
                self.no_operator(prim, p);
                Solved::Done
            }
        }
    }

    /// One operand is a number, the other is unknown: it is a number of the same kind.
    fn pair_with_number(&mut self, prim: Prim, p: Pending, other: Ty, number: &Type, last: bool) -> Solved {
        let _ = last;
        let ty = if matches!(prim, Prim::Mul | Prim::Div) {
            let m = self.types.fresh_measure(true);
            match number {
                Type::Int(k, _) => self.types.make(Type::Int(*k, m)),
                Type::Float(k, _) => self.types.make(Type::Float(*k, m)),
                _ => return Solved::Done,
            }
        } else {
            self.types.make(number.clone())
        };
        let _ = self.types.unify(other, ty);
        self.solve_arithmetic(prim, p, last)
    }

    fn multiply(&mut self, prim: Prim, p: Pending, x: &Type, y: &Type) {
        let power = if prim == Prim::Mul { 1 } else { -1 };
        let ty = match (x, y) {
            (Type::Int(k, m), Type::Int(l, n)) if k == l => {
                let m = times(&self.types.normal(m), &self.types.normal(n), power);
                Type::Int(*k, m)
            }
            (Type::Float(k, m), Type::Float(l, n)) if k == l => {
                let m = times(&self.types.normal(m), &self.types.normal(n), power);
                Type::Float(*k, m)
            }
            _ => {
                let why = self.operand_why(p);
                self.unify_at(p.a, p.b, self.second_span(p), why);
                let error = self.types.known.error;
                let _ = self.types.unify(p.result, error);
                return;
            }
        };
        let ty = self.types.make(ty);
        self.unify_at(p.result, ty, p.span, Why::Nothing);
    }

    fn fit_result(&mut self, p: Pending) {
        self.unify_at(p.result, p.a, p.span, Why::Nothing);
    }

    fn first_span(&self, p: Pending) -> Span {
        self.operand_span(p, 0)
    }

    fn second_span(&self, p: Pending) -> Span {
        self.operand_span(p, 1)
    }

    fn operand_span(&self, p: Pending, n: usize) -> Span {
        match p.expr.map(|e| &self.cx.body[e].kind) {
            Some(ExprKind::Prim(_, args)) => args.get(n).or(args.first()).map_or(p.span, |&a| self.span(a)),
            _ => p.span,
        }
    }

    fn operand_why(&self, p: Pending) -> Why {
        Why::Operand(self.first_span(p))
    }

    fn user_operator(&mut self, prim: Prim, p: Pending) -> Solved {
        let name = Ustr::from(prim_name(prim));
        let is_unary = matches!(prim, Prim::Neg | Prim::BitNot | Prim::Abs | Prim::Sqrt);
        let operands: SmallVec<[Ty; 2]> =
            if is_unary { SmallVec::from_slice(&[p.a]) } else { SmallVec::from_slice(&[p.a, p.b]) };
        let Some(value) = self.find_operator(name, &operands) else {
            self.no_operator(prim, p);
            return Solved::Done;
        };
        let op = ast::Ident { name, span: p.span };
        let Some(expr) = p.expr else {
            // At a use of an `inline` function: only the types are of interest.
            let (_, ty) = self.value_expr(value, op);
            let given = if is_unary { p.a } else { self.types.make(Type::Tuple(operands.to_vec())) };
            if let Some((taken, result)) = self.types.as_fun(ty) {
                self.unify_at(taken, given, p.span, Why::Nothing);
                self.unify_at(p.result, result, p.span, Why::Nothing);
            }
            return Solved::Done;
        };
        let ExprKind::Prim(_, args) = self.cx.body[expr].kind.clone() else { return Solved::Done };
        let span = self.span(expr);
        let (kind, ty) = self.operator_call(value, &args, op, span);
        self.cx.body.exprs[expr.index()].kind = kind;
        self.unify_at(p.result, ty, p.span, Why::Nothing);
        Solved::Done
    }

    /// Whether a product in an `inline` function has a type of its own, which each use finds out. Where the type
    /// parameters are declared there is none for it: it has its factors' type.
    fn keeps_units(&self) -> bool {
        self.cx.is_inline && self.cx.params.is_empty() && !self.cx.rigid
    }

    /// A type parameter as operand: fine in `inline` code, whose constraints go to its uses.
    fn on_parameter(&mut self, prim: Prim, p: Pending) -> Solved {
        if self.cx.is_inline {
            let open = |ty: Ty| matches!(self.types.shape(ty), None | Some(Type::Param(_)));
            if matches!(prim, Prim::Mul | Prim::Div) && self.keeps_units() && open(p.a) && open(p.b) {
                return Solved::Wait;
            }
            let param = if self.types.is_var(p.a) { p.b } else { p.a };
            for ty in p.types() {
                if prim != Prim::Shl && prim != Prim::Shr || ty != p.b {
                    self.unify_at(param, ty, p.span, Why::Operand(self.first_span(p)));
                }
            }
            return Solved::Wait;
        }
        self.no_operator(prim, p);
        Solved::Done
    }

    fn solve_unary(&mut self, prim: Prim, p: Pending, last: bool) -> Solved {
        let class = Self::class_of(prim);
        let is_binary_same =
            matches!(prim, Prim::Pow | Prim::Atan2 | Prim::BitAnd | Prim::BitOr | Prim::BitXor);
        if is_binary_same && self.types.unify(p.a, p.b).is_err() {
            let why = self.operand_why(p);
            self.unify_at(p.a, p.b, self.second_span(p), why);
            return Solved::Done;
        }
        match self.types.shape(p.a).cloned() {
            Some(Type::Error) => {
                let error = self.types.known.error;
                let _ = self.types.unify(p.result, error);
                Solved::Done
            }
            Some(Type::Float(k, m)) if prim == Prim::Sqrt => {
                self.square_root(p, k, &m);
                Solved::Done
            }
            Some(shape) if self.in_class(&shape, class) => {
                if prim != Prim::Sign {
                    self.fit_result(p);
                }
                Solved::Done
            }
            Some(Type::Named(..)) => self.user_operator(prim, p),
            Some(Type::Param(_)) => self.on_parameter(prim, p),
            None if !last => Solved::Wait,
            None if self.cx.is_inline => {
                if prim != Prim::Sign {
                    let _ = self.types.unify(p.a, p.result);
                }
                Solved::Wait
            }
            None => {
                let ty = self.default_of(class);
                let _ = self.types.unify(p.a, ty);
                self.solve_unary(prim, p, last)
            }
            Some(_) => {
                self.no_operator(prim, p);
                Solved::Done
            }
        }
    }

    fn square_root(&mut self, p: Pending, k: FloatKind, m: &Measure) {
        let m = self.types.normal(m);
        let root = if m.factors.iter().all(|f| f.1 % 2 == 0) {
            Measure { factors: m.factors.iter().map(|&(a, n)| (a, n / 2)).collect() }
        } else {
            let root = self.types.fresh_measure(false);
            let square = times(&root, &root, 1);
            if let Err(clash) = self.types.unify_measures(&m, &square) {
                self.mismatch(p.a, p.a, p.span, Why::Nothing, clash);
            }
            root
        };
        let ty = self.types.make(Type::Float(k, root));
        self.unify_at(p.result, ty, p.span, Why::Nothing);
    }

    fn default_of(&mut self, class: Class) -> Ty {
        match class {
            Class::Float => self.types.known.float,
            Class::Number | Class::Integer => self.types.known.int,
        }
    }

    fn in_class(&self, ty: &Type, class: Class) -> bool {
        match (ty, class) {
            (Type::Int(..), Class::Number | Class::Integer)
            | (Type::Float(..), Class::Number | Class::Float) => true,
            (Type::Named(d, _), Class::Integer) => {
                matches!(self.type_defs[d.index()].kind, crate::typed::TypeDefKind::Enum(_))
            }
            _ => false,
        }
    }

    fn no_operator(&mut self, prim: Prim, p: Pending) {
        let error = self.types.known.error;
        let _ = self.types.unify(p.result, error);
        let (a, b) = (self.show(p.a), self.show(p.b));
        let name = prim_name(prim);
        let is_binary = p
            .expr
            .is_some_and(|e| matches!(&self.cx.body[e].kind, ExprKind::Prim(_, args) if args.len() == 2));
        let is_param = [p.a, p.b].iter().any(|&t| matches!(self.types.shape(t), Some(Type::Param(_))));
        let text = if is_binary && a != b {
            format!("`{name}` is not defined between `{a}` and `{b}`")
        } else {
            format!("`{name}` is not defined for `{a}`")
        };
        let mut d = Diagnostic::error(codes::NO_OPERATOR, p.span, text);
        d = if is_param {
            d.help("make the function `inline`, so that each use decides, or annotate the type")
        } else if is_binary && (a == "string" || b == "string") {
            d.help("convert the other side with `string`, or use `sprintf` or `$\"..{x}..\"`")
        } else if matches!(self.types.shape(p.a), Some(Type::Int(..))) && Self::class_of(prim) == Class::Float
        {
            d.help("convert the integer first: `float x`")
        } else if matches!(self.types.shape(p.a), Some(Type::Named(..))) {
            d.help(format!("define it: `static member ({name}) (a: {a}, b: {a}) = ..`"))
        } else {
            d
        };
        self.diags.push(d);
    }

    // --- conversions

    pub(crate) fn convert(&mut self, value: ExprId, to: Ty, span: Span) -> ExprId {
        let id = self.push(ExprKind::Convert(value), to, span);
        let a = self.ty(value);
        self.try_or_wait(Pending { task: Task::Convert, expr: Some(id), a, b: a, result: to, span });
        id
    }

    fn solve_convert(&mut self, p: Pending, last: bool) -> Solved {
        let target_is_char = matches!(self.types.shape(p.result), Some(Type::Char));
        match self.types.shape(p.a).cloned() {
            Some(Type::Error | Type::Int(..)) => Solved::Done,
            Some(Type::Float(..) | Type::Char) if !target_is_char => Solved::Done,
            Some(Type::Char) => Solved::Done,
            Some(Type::Named(d, _))
                if matches!(self.type_defs[d.index()].kind, crate::typed::TypeDefKind::Enum(_)) =>
            {
                Solved::Done
            }
            Some(Type::Bool) => {
                self.bad_conversion(p);
                Solved::Done
            }
            Some(Type::String) => {
                self.parse_conversion(p);
                Solved::Done
            }
            Some(Type::Param(_)) if self.cx.is_inline => Solved::Wait,
            None if !last => Solved::Wait,
            None if self.cx.is_inline => Solved::Wait,
            None => {
                let int = self.types.known.int;
                let _ = self.types.unify(p.a, int);
                Solved::Done
            }
            Some(_) => {
                self.bad_conversion(p);
                Solved::Done
            }
        }
    }

    /// `int "12"`: a call of the library.
    fn parse_conversion(&mut self, p: Pending) {
        let name = match self.types.shape(p.result) {
            Some(Type::Int(k, _)) => match k {
                IntKind::I8 => "sbyte",
                IntKind::U8 => "byte",
                IntKind::I16 => "int16",
                IntKind::U16 => "uint16",
                IntKind::I32 => "int",
                IntKind::U32 => "uint32",
                IntKind::I64 => "int64",
                IntKind::U64 => "uint64",
                IntKind::ISize => "nativeint",
                IntKind::USize => "unativeint",
            },
            Some(Type::Float(FloatKind::F32, _)) => "float32",
            Some(Type::Float(FloatKind::F64, _)) => "float",
            _ => return self.bad_conversion(p),
        };
        let Some(expr) = p.expr else { return };
        let ExprKind::Convert(value) = self.cx.body[expr].kind else { return };
        match self.library_value(&["Core", "OfString"], name) {
            Some(def) => {
                let (callee, _) = self.use_def(def, p.span);
                self.cx.body.exprs[expr.index()].kind = ExprKind::App(callee, vec![value]);
            }
            None => self.bad_conversion(p),
        }
    }

    fn bad_conversion(&mut self, p: Pending) {
        let (from, to) = (self.show(p.a), self.show(p.result));
        let mut d = Diagnostic::error(
            codes::NO_OPERATOR,
            p.span,
            format!("a value of type `{from}` cannot be converted to `{to}`"),
        );
        if from == "bool" {
            d = d.help("write `if b then 1 else 0`");
        }
        self.diags.push(d);
    }

    /// `string x`.
    pub(crate) fn text_of(&mut self, value: ExprId, span: Span) -> ExprId {
        let string = self.types.known.string;
        if matches!(self.types.shape(self.ty(value)), Some(Type::String)) {
            return value;
        }
        let spec = FormatSpec { conversion: 'O', ..FormatSpec::default() };
        let parts = vec![FormatPart::Hole { value, spec }];
        self.push(ExprKind::Format { sink: FormatSink::String, parts }, string, span)
    }

    pub(crate) fn require_class(&mut self, ty: Ty, class: Class, letter: char, span: Span) {
        let p = Pending { task: Task::Class(class, letter), expr: None, a: ty, b: ty, result: ty, span };
        self.try_or_wait(p);
    }

    fn solve_class(&mut self, class: Class, letter: char, p: Pending, last: bool) -> Solved {
        match self.types.shape(p.a).cloned() {
            Some(Type::Error) => Solved::Done,
            Some(shape) if self.in_class(&shape, class) => Solved::Done,
            Some(Type::Param(_)) if self.cx.is_inline => Solved::Done,
            None if !last => Solved::Wait,
            None => {
                let ty = self.default_of(class);
                let _ = self.types.unify(p.a, ty);
                Solved::Done
            }
            Some(_) => {
                let shown = self.show(p.a);
                let takes = if class == Class::Float { "a float" } else { "an integer" };
                let fits = self.format_for(p.a);
                self.diags.push(
                    Diagnostic::error(
                        codes::BAD_FORMAT,
                        p.span,
                        format!("`%{letter}` takes {takes}, but this is of type `{shown}`"),
                    )
                    .help(format!("write `{fits}`")),
                );
                Solved::Done
            }
        }
    }

    // --- constraints of inline functions

    /// Keeps what is left of an `inline` definition's constraints with it.
    pub(crate) fn store_constraints(&mut self, def: DefId) {
        let mut kept: Vec<Stored> = Vec::new();
        for p in std::mem::take(&mut self.cx.pending) {
            let (Task::Prim(prim) | Task::Stored(prim)) = p.task else { continue };
            let stored = Stored { prim, types: p.types().map(|t| self.types.zonk(t)) };
            if !kept.contains(&stored) {
                kept.push(stored);
            }
        }
        self.def_info[def.index()].constraints = kept;
    }

    pub(crate) fn add_constraints(&mut self, def: DefId, args: &[TypeArg], span: Span) {
        if self.def_info[def.index()].constraints.is_empty() {
            return;
        }
        for Stored { prim, types } in self.def_info[def.index()].constraints.clone() {
            let [a, b, result] = types.map(|t| self.types.instantiate(t, args));
            self.try_or_wait(Pending { task: Task::Stored(prim), expr: None, a, b, result, span });
        }
    }

    fn solve_stored(&mut self, prim: Prim, p: Pending, last: bool) -> Solved {
        let class = Self::class_of(prim);
        match self.types.shape(p.a).cloned() {
            Some(Type::Error) => Solved::Done,
            Some(shape) if self.in_class(&shape, class) => Solved::Done,
            Some(Type::Named(..)) => {
                let name = Ustr::from(prim_name(prim));
                match self.find_operator(name, &[p.a, p.a]) {
                    // It must be there when the function is specialised.
                    Some(Value::Lib(lib)) => {
                        self.force_lib(lib);
                    }
                    Some(_) => {}
                    None => self.no_operator(prim, p),
                }
                Solved::Done
            }
            Some(Type::Param(_)) if self.cx.is_inline => Solved::Wait,
            None if !last || self.cx.is_inline => Solved::Wait,
            None => {
                let ty = self.default_of(class);
                let _ = self.types.unify(p.a, ty);
                Solved::Done
            }
            Some(_) => {
                self.no_operator(prim, p);
                Solved::Done
            }
        }
    }
}

fn is_numeric(t: &Type) -> bool {
    matches!(t, Type::Int(..) | Type::Float(..))
}

/// How a primitive is written.
pub(crate) fn prim_name(prim: Prim) -> &'static str {
    match prim {
        Prim::Add => "+",
        Prim::Sub => "-",
        Prim::Mul => "*",
        Prim::Div => "/",
        Prim::Rem => "%",
        Prim::Pow => "**",
        Prim::Neg => "~-",
        Prim::Not => "not",
        Prim::BitAnd => "&&&",
        Prim::BitOr => "|||",
        Prim::BitXor => "^^^",
        Prim::BitNot => "~~~",
        Prim::Shl => "<<<",
        Prim::Shr => ">>>",
        Prim::Eq => "=",
        Prim::Ne => "<>",
        Prim::Lt => "<",
        Prim::Le => "<=",
        Prim::Gt => ">",
        Prim::Ge => ">=",
        Prim::Compare => "compare",
        Prim::Hash => "hash",
        Prim::Min => "min",
        Prim::Max => "max",
        Prim::Abs => "abs",
        Prim::Sign => "sign",
        Prim::Sqrt => "sqrt",
        Prim::Floor => "floor",
        Prim::Ceil => "ceil",
        Prim::Round => "round",
        Prim::Truncate => "truncate",
        Prim::Exp => "exp",
        Prim::Log => "log",
        Prim::Log2 => "log2",
        Prim::Log10 => "log10",
        Prim::Sin => "sin",
        Prim::Cos => "cos",
        Prim::Tan => "tan",
        Prim::Asin => "asin",
        Prim::Acos => "acos",
        Prim::Atan => "atan",
        Prim::Atan2 => "atan2",
        Prim::Sinh => "sinh",
        Prim::Cosh => "cosh",
        Prim::Tanh => "tanh",
        Prim::Length => "Length",
    }
}
