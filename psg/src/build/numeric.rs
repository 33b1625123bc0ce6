//! Numbers: zeros, conversions, and text of scalars.

use super::Builder;
use super::shape::Val;
use crate::id::{NodeId, TypeId};
use crate::node::{Const, Op};
use crate::ty::Type;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::span::Span;
use clef_frontend::typed::{ExprId, FormatSpec, TyId};

impl Builder<'_> {
    pub(super) fn is_scalar(&self, ty: TypeId) -> bool {
        matches!(
            self.psg.types.get(ty),
            Type::Bool | Type::Char | Type::Int(_) | Type::Float(_) | Type::NativePtr(_)
        )
    }

    pub(super) fn zero(&mut self, ty: TypeId, span: Span) -> NodeId {
        let value = match self.psg.types.get(ty) {
            Type::Bool => Const::Bool(false),
            Type::Char => Const::Char('\0'),
            Type::Float(_) => Const::Float(0.0),
            Type::String => Const::String("".into()),
            Type::Unit => Const::Unit,
            // A null pointer is the number zero as a pointer.
            Type::NativePtr(_) => {
                let int = self.intern(Type::Int(clef_frontend::ast::IntKind::ISize));
                let zero = self.constant(Const::Int(0), int, span);
                return self.push(Op::Convert, &[zero], ty, span);
            }
            _ => Const::Int(0),
        };
        self.constant(value, ty, span)
    }

    pub(super) fn convert_expr(&mut self, value: ExprId, ty: TyId, span: Span) -> Val {
        let node = self.value(value);
        let ty = self.ty(ty);
        Val::Node(self.convert(node, ty, span))
    }

    pub(super) fn convert(&mut self, node: NodeId, ty: TypeId, span: Span) -> NodeId {
        let from = self.node_ty(node);
        if from == ty {
            return node;
        }
        if ty == self.types.common.string {
            return self.show(node, FormatSpec { conversion: 'O', ..FormatSpec::default() }, span);
        }
        if !self.is_scalar(from) || !self.is_scalar(ty) {
            let (a, b) = (self.type_name(from), self.type_name(ty));
            self.error_here(
                span,
                &format!("`{a}` cannot be converted to `{b}`"),
                "only numbers, `char` and `bool` are converted",
            );
            return self.push(Op::Fail(crate::node::FailKind::Match), &[], ty, span);
        }
        self.push(Op::Convert, &[node], ty, span)
    }

    /// An error that only shows once types are known.
    pub(super) fn error_here(&mut self, span: Span, headline: &str, help: &str) {
        self.diags.push(Diagnostic::error(codes::BUILD_TYPE, span, headline).help(help));
    }
}
