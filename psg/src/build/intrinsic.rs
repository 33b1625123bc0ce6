//! Calls of intrinsics: those with an operation of their own become it.

use super::Builder;
use super::shape::Val;
use super::types::CtxId;
use crate::id::{NodeId, TypeId};
use crate::intrinsics::{Form, form};
use crate::node::{Const, FailKind, Op};
use crate::ty::{AggKind, Type};
use clef_frontend::ast::{FloatKind, IntKind};
use clef_frontend::span::Span;
use ustr::Ustr;

impl Builder<'_> {
    pub(super) fn intrinsic(
        &mut self,
        name: Ustr,
        ctx: CtxId,
        operands: &[NodeId],
        ret: TypeId,
        span: Span,
    ) -> Val {
        let operands: Vec<NodeId> =
            operands.iter().copied().filter(|n| !self.is_unit(self.node_ty(*n))).collect();
        let op = match form(&name) {
            Form::Runtime => Op::Intrinsic(name),
            Form::ArrayNew => Op::ArrayNew,
            Form::Length => Op::Length,
            Form::ArrayGet { checked } => Op::ArrayGet { checked },
            Form::ArraySet { checked } => Op::ArraySet { checked },
            Form::BufferLength => Op::BufferLength,
            Form::BufferGet { checked } => Op::BufferGet { checked },
            Form::BufferSet { checked } => Op::BufferSet { checked },
            Form::AllocUnified => Op::AllocUnified,
            Form::Marker => Op::Marker,
            Form::Barrier => Op::Barrier,
            Form::Atomic(op) => Op::Atomic(op),
            Form::Group(scope, op) => Op::Group { scope, op },
            Form::Unary(op) => Op::Unary(op),
            Form::Print { to_stderr } => Op::Print { to_stderr },
            Form::Fail => Op::Fail(FailKind::Message),
            Form::Ignore => return Val::Unit,
            Form::Zero if self.is_scalar(ret) => return Val::Node(self.zero(ret, span)),
            Form::Zero => Op::Intrinsic(name),
            Form::Convert => match operands.first() {
                Some(&value) => return Val::Node(self.convert(value, ret, span)),
                None => Op::Intrinsic(name),
            },
            Form::SizeOf => return self.size_of(ctx, ret, span),
            which @ (Form::WorkgroupArray | Form::ItemArray) => {
                match operands.first().map(|n| &self.psg.nodes[*n].op) {
                    Some(Op::Const(Const::Int(n))) if *n > 0 && *n <= i64::from(u32::MAX) => {
                        let len = *n as u32;
                        let shared = which == Form::WorkgroupArray;
                        let op = if shared { Op::WorkgroupArray(len) } else { Op::ItemArray(len) };
                        return Val::Node(self.push(op, &[], ret, span));
                    }
                    _ => {
                        self.error_here(
                            span,
                            "the size of a kernel's array is not a constant",
                            "write a literal number of elements",
                        );
                        return Val::Unit;
                    }
                }
            }
        };
        self.result_of(op, &operands, ret, span)
    }

    fn size_of(&mut self, ctx: CtxId, ret: TypeId, span: Span) -> Val {
        let targs = self.ctx_targs(ctx);
        let size = targs.first().and_then(|t| self.byte_size(*t));
        match size {
            Some(size) => Val::Node(self.constant(Const::Int(size), ret, span)),
            None => {
                self.error_here(
                    span,
                    "only numbers, `char`, `bool`, pointers and records of them have a size here",
                    "use the size of the parts",
                );
                Val::Unit
            }
        }
    }

    fn byte_size(&self, ty: TypeId) -> Option<i64> {
        Some(match self.psg.types.get(ty) {
            Type::Bool => 1,
            Type::Char => 4,
            Type::Int(kind) => match kind {
                IntKind::I8 | IntKind::U8 => 1,
                IntKind::I16 | IntKind::U16 => 2,
                IntKind::I32 | IntKind::U32 => 4,
                IntKind::I64 | IntKind::U64 | IntKind::ISize | IntKind::USize => 8,
            },
            Type::Float(kind) => match kind {
                FloatKind::F16 | FloatKind::BF16 => 2,
                FloatKind::F32 => 4,
                FloatKind::F64 => 8,
            },
            Type::NativePtr(_) => 8,
            Type::Agg(_) => self.struct_size(ty)?.0,
            _ => return None,
        })
    }

    /// Size and alignment of a type in a C struct; a record is the struct of its fields.
    fn struct_size(&self, ty: TypeId) -> Option<(i64, i64)> {
        let Some(agg) = self.psg.types.agg(ty) else {
            let size = self.byte_size(ty)?;
            return Some((size, size));
        };
        match agg.kind {
            AggKind::Enum => return Some((4, 4)),
            AggKind::Record => {}
            _ => return None,
        }
        let (mut at, mut align) = (0i64, 1i64);
        for field in &agg.cases.first()?.fields {
            let (size, own) = match (field.fixed, self.psg.types.get(field.ty)) {
                (Some(n), Type::Array(element)) => {
                    let (size, own) = self.struct_size(*element)?;
                    (size * i64::from(n), own)
                }
                _ => self.struct_size(field.ty)?,
            };
            at = (at + own - 1) / own * own + size;
            align = align.max(own);
        }
        Some(((at + align - 1) / align * align, align))
    }
}
