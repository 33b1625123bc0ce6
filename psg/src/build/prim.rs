//! Overloaded primitives at their concrete type.

use super::Builder;
use super::shape::Val;
use super::structural::Structural;
use crate::id::{NodeId, TypeId};
use crate::node::{BinOp, Op, UnOp};
use crate::ty::Type;
use clef_frontend::ast::FloatKind;
use clef_frontend::span::Span;
use clef_frontend::typed::{ExprId, ExprKind, Prim, TyId};
use std::rc::Rc;

impl Builder<'_> {
    pub(super) fn prim(&mut self, prim: Prim, args: &[ExprId], ty: TyId, span: Span) -> Val {
        let Some(&first) = args.first() else { return Val::Unit };
        let tree = self.tree();
        let operand = self.ty(tree[first].ty);
        if prim == Prim::Add && operand == self.types.common.string {
            return self.concat(args, span);
        }
        let operands = self.values(args);
        let ty = self.ty(ty);
        self.prim_nodes(prim, &operands, ty, span)
    }

    /// `a + b + c` on strings is one concatenation.
    fn concat(&mut self, args: &[ExprId], span: Span) -> Val {
        let tree = self.tree();
        let mut parts = Vec::new();
        let mut left = args;
        loop {
            match left {
                [a, b] => {
                    parts.push(*b);
                    match &tree[*a].kind {
                        ExprKind::Prim(Prim::Add, inner) => left = inner,
                        _ => {
                            parts.push(*a);
                            break;
                        }
                    }
                }
                other => {
                    parts.extend(other.iter().rev());
                    break;
                }
            }
        }
        parts.reverse();
        let values = self.values(&parts);
        Val::Node(self.push(Op::Concat, &values, self.types.common.string, span))
    }

    pub(super) fn prim_nodes(&mut self, prim: Prim, operands: &[NodeId], ty: TypeId, span: Span) -> Val {
        let operand = self.node_ty(operands[0]);
        if let Some(op) = comparison(prim) {
            return Val::Node(self.compare_op(op, operands[0], operands[1], span));
        }
        if let Some((name, arity)) = operator_name(prim)
            && !self.is_scalar(operand) | operands.get(1).is_some_and(|n| !self.is_scalar(self.node_ty(*n)))
            && operand != self.types.common.string
        {
            return self.user_operator(name, arity, operands, span);
        }
        let node = match prim {
            Prim::Compare => self.compare(operands[0], operands[1], span, false),
            Prim::Hash => {
                let seed = self.int(17, span);
                self.hash(operands[0], seed, span, false)
            }
            Prim::Min | Prim::Max => self.extreme(prim, operands, span),
            Prim::Sign => {
                let zero = self.zero(operand, span);
                self.compare(operands[0], zero, span, false)
            }
            Prim::Length => {
                let op = if self.psg.types.buffer_element(operand).is_some() {
                    Op::BufferLength
                } else {
                    Op::Length
                };
                self.push(op, operands, ty, span)
            }
            Prim::Shl | Prim::Shr => {
                let count = self.convert(operands[1], operand, span);
                let op = if prim == Prim::Shl { BinOp::Shl } else { BinOp::Shr };
                self.push(Op::Binary(op), &[operands[0], count], operand, span)
            }
            Prim::Add if operand == self.types.common.string => {
                self.push(Op::Concat, operands, self.types.common.string, span)
            }
            Prim::Pow if matches!(self.psg.types.get(operand), Type::Int(_)) => {
                self.int_power(operands, span)
            }
            _ => return self.arithmetic(prim, operands, span),
        };
        Val::Node(node)
    }

    fn arithmetic(&mut self, prim: Prim, operands: &[NodeId], span: Span) -> Val {
        let ty = self.node_ty(operands[0]);
        if let (Some(op), [a, b]) = (binary(prim), operands) {
            return Val::Node(self.push(Op::Binary(op), &[*a, *b], ty, span));
        }
        if let (Some(op), [a]) = (unary(prim), operands) {
            return Val::Node(self.push(Op::Unary(op), &[*a], ty, span));
        }
        self.bug(span, "a primitive with a wrong number of operands");
        Val::Unit
    }

    /// Powers of integers go through `float`, which is exact as far as the result fits 53 bits.
    fn int_power(&mut self, operands: &[NodeId], span: Span) -> NodeId {
        let ty = self.node_ty(operands[0]);
        let float = self.intern(Type::Float(FloatKind::F64));
        let a = self.convert(operands[0], float, span);
        let b = self.convert(operands[1], float, span);
        let power = self.push(Op::Binary(BinOp::Pow), &[a, b], float, span);
        self.convert(power, ty, span)
    }

    fn extreme(&mut self, prim: Prim, operands: &[NodeId], span: Span) -> NodeId {
        let ty = self.node_ty(operands[0]);
        if self.is_scalar(ty) {
            let op = if prim == Prim::Min { BinOp::Min } else { BinOp::Max };
            return self.push(Op::Binary(op), operands, ty, span);
        }
        let op = if prim == Prim::Min { BinOp::Le } else { BinOp::Ge };
        let first = self.compare_op(op, operands[0], operands[1], span);
        let (a, b) = (operands[0], operands[1]);
        let then = self.region(|_| Some(a));
        let otherwise = self.region(|_| Some(b));
        self.push_with(Op::If, &[first], &[then, otherwise], ty, span)
    }

    /// `=`, `<` and the like on any type.
    pub(super) fn compare_op(&mut self, op: BinOp, a: NodeId, b: NodeId, span: Span) -> NodeId {
        let bool = self.types.common.bool;
        let ty = self.node_ty(a);
        if self.is_scalar(ty) {
            return self.push(Op::Binary(op), &[a, b], bool, span);
        }
        match op {
            BinOp::Eq => self.equal(a, b, span, false),
            BinOp::Ne => {
                let equal = self.equal(a, b, span, false);
                self.push(Op::Unary(UnOp::Not), &[equal], bool, span)
            }
            _ => {
                let order = self.compare(a, b, span, false);
                let zero = self.int(0, span);
                self.push(Op::Binary(op), &[order, zero], bool, span)
            }
        }
    }

    /// An operator that the user's type defines.
    fn user_operator(&mut self, name: &str, arity: usize, operands: &[NodeId], span: Span) -> Val {
        let prog = self.prog;
        let types: Vec<TypeId> = operands.iter().map(|n| self.node_ty(*n)).collect();
        for ty in &types {
            let Some((def, targs)) = self.origin(*ty) else { continue };
            for (_, member) in prog.type_defs[def.index()].members.iter().filter(|(n, _)| n.as_str() == name)
            {
                let shape = self.known_def(*member, Rc::clone(&targs));
                let params = self.shape(shape).params.clone();
                // Written with its operands in a tuple or one after the other.
                let tupled = arity > 1 && params[..] == [self.tuple(types.clone())];
                if tupled || params[..] == types[..] {
                    let args = if tupled {
                        vec![Val::Node(self.push(Op::Make(0), operands, params[0], span))]
                    } else {
                        operands.iter().map(|n| Val::Node(*n)).collect()
                    };
                    return self.call_shape(shape, super::shape::Leaves::new(), args, false, span);
                }
            }
        }
        let what =
            types.iter().map(|t| format!("`{}`", self.type_name(*t))).collect::<Vec<_>>().join(" and ");
        self.error_here(
            span,
            &format!("`{name}` is not defined on {what}"),
            "define it as a static member of the type, or use a type that has it",
        );
        Val::Node(self.push(Op::Fail(crate::node::FailKind::Match), &[], types[0], span))
    }

    /// The member whose value stands for a value of this type (maps and sets: their entries in order).
    pub(super) fn entries_of(&mut self, ty: TypeId) -> Option<super::shape::ShapeId> {
        let prog = self.prog;
        let (def, targs) = self.origin(ty)?;
        let info = &prog.type_defs[def.index()];
        if !matches!(info.path.as_str(), "Core.Map" | "Core.Set") {
            return None;
        }
        let member = info.members.iter().find(|(n, _)| n.as_str() == "Entries")?.1;
        Some(self.known_def(member, targs))
    }

    /// Calls a member by which a type overrides a structural operation.
    pub(super) fn override_of(&mut self, ty: TypeId, kind: Structural) -> Option<super::shape::ShapeId> {
        let prog = self.prog;
        let (def, targs) = self.origin(ty)?;
        let name = match kind {
            Structural::Equal => "Equals",
            Structural::Compare => "CompareTo",
            Structural::Hash => "GetHashCode",
            Structural::Show => "ToString",
        };
        let member = prog.type_defs[def.index()].members.iter().find(|(n, _)| n.as_str() == name)?.1;
        let info = &prog.defs[member.index()];
        if info.params.len() != targs.len() {
            return None;
        }
        Some(self.known_def(member, targs))
    }
}

fn comparison(prim: Prim) -> Option<BinOp> {
    Some(match prim {
        Prim::Eq => BinOp::Eq,
        Prim::Ne => BinOp::Ne,
        Prim::Lt => BinOp::Lt,
        Prim::Le => BinOp::Le,
        Prim::Gt => BinOp::Gt,
        Prim::Ge => BinOp::Ge,
        _ => return None,
    })
}

/// The name under which a type stores an operator, and its operands.
fn operator_name(prim: Prim) -> Option<(&'static str, usize)> {
    Some(match prim {
        Prim::Add => ("+", 2),
        Prim::Sub => ("-", 2),
        Prim::Mul => ("*", 2),
        Prim::Div => ("/", 2),
        Prim::Rem => ("%", 2),
        Prim::Pow => ("**", 2),
        Prim::BitAnd => ("&&&", 2),
        Prim::BitOr => ("|||", 2),
        Prim::BitXor => ("^^^", 2),
        Prim::Shl => ("<<<", 2),
        Prim::Shr => (">>>", 2),
        Prim::Neg => ("~-", 1),
        Prim::BitNot => ("~~~", 1),
        _ => return None,
    })
}

fn binary(prim: Prim) -> Option<BinOp> {
    Some(match prim {
        Prim::Add => BinOp::Add,
        Prim::Sub => BinOp::Sub,
        Prim::Mul => BinOp::Mul,
        Prim::Div => BinOp::Div,
        Prim::Rem => BinOp::Rem,
        Prim::Pow => BinOp::Pow,
        Prim::BitAnd => BinOp::BitAnd,
        Prim::BitOr => BinOp::BitOr,
        Prim::BitXor => BinOp::BitXor,
        Prim::Atan2 => BinOp::Atan2,
        _ => return None,
    })
}

fn unary(prim: Prim) -> Option<UnOp> {
    Some(match prim {
        Prim::Neg => UnOp::Neg,
        Prim::Not => UnOp::Not,
        Prim::BitNot => UnOp::BitNot,
        Prim::Abs => UnOp::Abs,
        Prim::Sqrt => UnOp::Sqrt,
        Prim::Floor => UnOp::Floor,
        Prim::Ceil => UnOp::Ceil,
        Prim::Round => UnOp::Round,
        Prim::Truncate => UnOp::Truncate,
        Prim::Exp => UnOp::Exp,
        Prim::Log => UnOp::Log,
        Prim::Log2 => UnOp::Log2,
        Prim::Log10 => UnOp::Log10,
        Prim::Sin => UnOp::Sin,
        Prim::Cos => UnOp::Cos,
        Prim::Tan => UnOp::Tan,
        Prim::Asin => UnOp::Asin,
        Prim::Acos => UnOp::Acos,
        Prim::Atan => UnOp::Atan,
        Prim::Sinh => UnOp::Sinh,
        Prim::Cosh => UnOp::Cosh,
        Prim::Tanh => UnOp::Tanh,
        _ => return None,
    })
}
