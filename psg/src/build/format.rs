//! `printf` and interpolation: pieces of text, joined and written.

use super::Builder;
use super::shape::Val;
use crate::id::NodeId;
use crate::node::Op;
use crate::ty::Type;
use clef_frontend::span::Span;
use clef_frontend::typed::{FormatPart, FormatSink, FormatSpec};
use ustr::Ustr;

impl Builder<'_> {
    pub(super) fn format(&mut self, sink: FormatSink, parts: &[FormatPart], span: Span) -> Val {
        let common = self.types.common;
        // All holes are evaluated before any text is made or written.
        let mut pieces: Vec<Piece> = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                FormatPart::Text(text) if text.is_empty() => {}
                FormatPart::Text(text) => match pieces.last_mut() {
                    Some(Piece::Text(before)) => *before = Ustr::from(&format!("{before}{text}")),
                    _ => pieces.push(Piece::Text(*text)),
                },
                FormatPart::Hole { value, spec } => pieces.push(Piece::Value(self.value(*value), *spec)),
            }
        }
        let mut texts: Vec<NodeId> = Vec::with_capacity(pieces.len());
        for piece in pieces {
            texts.push(match piece {
                Piece::Text(text) => self.text(&text, span),
                Piece::Value(node, spec) => self.show(node, spec, span),
            });
        }
        let text = match texts.len() {
            0 => self.text("", span),
            1 => texts[0],
            _ => self.push(Op::Concat, &texts, common.string, span),
        };
        match sink {
            FormatSink::String => Val::Node(text),
            FormatSink::Stdout | FormatSink::Stderr => {
                let to_stderr = sink == FormatSink::Stderr;
                self.push(Op::Print { to_stderr }, &[text], common.unit, span);
                Val::Unit
            }
        }
    }

    /// A value as text.
    pub(super) fn show(&mut self, node: NodeId, spec: FormatSpec, span: Span) -> NodeId {
        let string = self.types.common.string;
        let any = matches!(spec.conversion, 'A' | 'O' | 's');
        let text = match self.psg.types.get(self.node_ty(node)) {
            Type::String
                if spec.width == 0 && spec.precision.is_none() && matches!(spec.conversion, 's' | 'O') =>
            {
                return node;
            }
            Type::Unit if any => self.text("()", span),
            Type::Closure { .. } if any => self.text("<fun>", span),
            Type::Agg(_) | Type::Array(_) if any => {
                let own = if spec.conversion == 'A' { None } else { self.own_text(node, span) };
                own.unwrap_or_else(|| {
                    let no = self.bool(false, span);
                    self.show_call(node, no, span)
                })
            }
            _ => return self.push(Op::FormatValue(spec), &[node], string, span),
        };
        if spec.width == 0 {
            return text;
        }
        self.push(Op::FormatValue(FormatSpec { conversion: 's', ..spec }), &[text], string, span)
    }
}

enum Piece {
    Text(Ustr),
    Value(NodeId, FormatSpec),
}
