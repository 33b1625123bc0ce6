//! `%A`: a generated function for each type, which gives the value as text on one line.
//!
//! As F# writes it, except for line breaks: `Some 3`, `Node (Leaf, Leaf)`, `{ X = 1; Y = 2 }`, `[1; 2]`, `[|1; 2|]`,
//! `(1, "a")`. Sequences end in `...` after a hundred elements. A type with a constructor is shown by its own `ToString`,
//! where it has one; `%O` and `string` ask every type for it.

use super::Builder;
use super::structural::Structural;
use crate::id::{NodeId, TypeId};
use crate::node::{BinOp, Op};
use crate::ty::{AggKind, Type};
use clef_frontend::span::Span;
use clef_frontend::typed::FormatSpec;

/// Elements shown of a list or array.
const MOST: i64 = 100;

impl Builder<'_> {
    pub(super) fn show_call(&mut self, a: NodeId, as_argument: NodeId, span: Span) -> NodeId {
        let func = self.structural_func(Structural::Show, self.node_ty(a));
        self.push(Op::Call { func, tail: false }, &[a, as_argument], self.types.common.string, span)
    }

    fn show_part(&mut self, a: NodeId, as_argument: bool, span: Span) -> NodeId {
        if matches!(self.psg.types.get(self.node_ty(a)), Type::Agg(_) | Type::Array(_)) {
            let flag = self.bool(as_argument, span);
            return self.show_call(a, flag, span);
        }
        self.show(a, FormatSpec { conversion: 'A', ..FormatSpec::default() }, span)
    }

    fn join(&mut self, parts: &[NodeId], span: Span) -> NodeId {
        match parts {
            [one] => *one,
            _ => self.push(Op::Concat, parts, self.types.common.string, span),
        }
    }

    pub(super) fn show_body(&mut self, a: NodeId, as_argument: NodeId, ty: TypeId, span: Span) -> NodeId {
        if self.is_class(ty)
            && let Some(text) = self.own_text(a, span)
        {
            return text;
        }
        if let Some(entries) = self.entries_of(ty) {
            let map = self
                .origin(ty)
                .is_some_and(|(def, _)| self.prog.type_defs[def.index()].name.as_str() == "Map");
            let head = self.text(if map { "map " } else { "set " }, span);
            let list = self.call_member(entries, &[a], span);
            let list = self.show_part(list, false, span);
            return self.join(&[head, list], span);
        }
        if matches!(self.psg.types.get(ty), Type::Array(_)) {
            return self.show_array(a, span);
        }
        let (kind, names) = match self.psg.types.agg(ty) {
            Some(agg) => (agg.kind, agg.cases.iter().map(|c| c.name).collect::<Vec<_>>()),
            None => return self.text("?", span),
        };
        let cases = self.case_types(ty);
        match kind {
            AggKind::Tuple => self.show_tuple(a, 0, &cases[0], span),
            AggKind::Record | AggKind::Buffer(_) => self.show_record(a, ty, &cases[0], span),
            AggKind::Union | AggKind::Enum if self.is_list(ty) => self.show_list(a, ty, &cases, span),
            AggKind::Union | AggKind::Enum => {
                let int = self.types.common.int;
                let string = self.types.common.string;
                let tag = self.push(Op::Tag, &[a], int, span);
                self.by_case(tag, &cases, string, span, |s, case, fields| {
                    s.show_case(a, as_argument, case, names[case as usize].as_str(), fields, span)
                })
            }
        }
    }

    /// A value's text where its type says what that is.
    pub(super) fn own_text(&mut self, a: NodeId, span: Span) -> Option<NodeId> {
        let member = self.override_of(self.node_ty(a), Structural::Show)?;
        // A method takes `()` as well; a property does not.
        let shape = self.shape(member);
        if shape.params.len() > 1 {
            let unit = self.unit(span);
            return Some(self.call_member(member, &[a, unit], span));
        }
        Some(self.call_member(member, &[a], span))
    }

    /// Whether the type has a constructor, and its fields are nobody else's business.
    fn is_class(&self, ty: TypeId) -> bool {
        self.origin(ty).is_some_and(|(def, _)| {
            matches!(self.prog.type_defs[def.index()].kind, clef_frontend::typed::TypeDefKind::Class(_))
        })
    }

    fn is_list(&self, ty: TypeId) -> bool {
        self.origin(ty).is_some_and(|(def, _)| {
            let def = &self.prog.type_defs[def.index()];
            def.name.eq_ignore_ascii_case("list")
        }) && self.psg.types.agg(ty).is_some_and(|a| {
            a.cases.len() == 2 && a.cases[0].fields.is_empty() && a.cases[1].fields.len() == 2
        })
    }

    /// `(a, b)`
    fn show_tuple(&mut self, a: NodeId, case: u32, fields: &[TypeId], span: Span) -> NodeId {
        let mut parts = vec![self.text("(", span)];
        for (i, ty) in fields.iter().enumerate() {
            if i > 0 {
                parts.push(self.text(", ", span));
            }
            let x = self.push(Op::Field { case, field: i as u32 }, &[a], *ty, span);
            parts.push(self.show_part(x, false, span));
        }
        parts.push(self.text(")", span));
        self.join(&parts, span)
    }

    fn show_record(&mut self, a: NodeId, ty: TypeId, fields: &[TypeId], span: Span) -> NodeId {
        let names: Vec<String> = match self.psg.types.agg(ty) {
            Some(agg) => agg.cases[0].fields.iter().map(|f| f.name.to_string()).collect(),
            None => Vec::new(),
        };
        let mut parts = Vec::new();
        for (i, ty) in fields.iter().enumerate() {
            let lead = if i == 0 { "{ " } else { "; " };
            parts.push(self.text(&format!("{lead}{} = ", names[i]), span));
            let x = self.push(Op::Field { case: 0, field: i as u32 }, &[a], *ty, span);
            parts.push(self.show_part(x, false, span));
        }
        parts.push(self.text(if fields.is_empty() { "{ }" } else { " }" }, span));
        self.join(&parts, span)
    }

    fn show_case(
        &mut self,
        a: NodeId,
        as_argument: NodeId,
        case: u32,
        name: &str,
        fields: &[TypeId],
        span: Span,
    ) -> NodeId {
        let string = self.types.common.string;
        if fields.is_empty() {
            return self.text(name, span);
        }
        let head = self.text(&format!("{name} "), span);
        let rest = match fields {
            [ty] => {
                let x = self.push(Op::Field { case, field: 0 }, &[a], *ty, span);
                self.show_part(x, true, span)
            }
            _ => self.show_tuple(a, case, fields, span),
        };
        let plain = self.join(&[head, rest], span);
        let then = self.region(|s| {
            let (open, close) = (s.text("(", span), s.text(")", span));
            Some(s.join(&[open, plain, close], span))
        });
        let otherwise = self.region(|_| Some(plain));
        self.push_with(Op::If, &[as_argument], &[then, otherwise], string, span)
    }

    fn show_list(&mut self, a: NodeId, ty: TypeId, cases: &[Vec<TypeId>], span: Span) -> NodeId {
        let common = self.types.common;
        let open = self.text("[", span);
        let out = self.new_var(open, span);
        let rest = self.new_var(a, span);
        let zero = self.int(0, span);
        let count = self.new_var(zero, span);
        let cond = self.region(|s| {
            let list = s.push(Op::VarGet, &[rest], ty, span);
            let tag = s.push(Op::Tag, &[list], common.int, span);
            let zero = s.int(0, span);
            let some = s.push(Op::Binary(BinOp::Ne), &[tag, zero], common.bool, span);
            let then = s.region(|s| Some(s.below_most(count, span)));
            let otherwise = s.region(|s| Some(s.bool(false, span)));
            Some(s.push_with(Op::If, &[some], &[then, otherwise], common.bool, span))
        });
        let body = self.region(|s| {
            let list = s.push(Op::VarGet, &[rest], ty, span);
            let head = s.push(Op::Field { case: 1, field: 0 }, &[list], cases[1][0], span);
            s.add_element(out, count, head, span);
            let tail = s.push(Op::Field { case: 1, field: 1 }, &[list], ty, span);
            s.set_var(rest, tail, span);
            None
        });
        self.push_with(Op::While, &[], &[cond, body], common.unit, span);
        let list = self.push(Op::VarGet, &[rest], ty, span);
        let tag = self.push(Op::Tag, &[list], common.int, span);
        let zero = self.int(0, span);
        let more = self.push(Op::Binary(BinOp::Ne), &[tag, zero], common.bool, span);
        self.end_elements(out, more, "]", span)
    }

    fn show_array(&mut self, a: NodeId, span: Span) -> NodeId {
        let common = self.types.common;
        let open = self.text("[|", span);
        let out = self.new_var(open, span);
        let zero = self.int(0, span);
        let count = self.new_var(zero, span);
        let length = self.length(a, span);
        let most = self.int(MOST, span);
        let shown = self.push(Op::Binary(BinOp::Min), &[length, most], common.int, span);
        self.elements(shown, span, |s, i| {
            let x = s.element(a, i, span);
            s.add_element(out, count, x, span);
        });
        let more = self.push(Op::Binary(BinOp::Gt), &[length, most], common.bool, span);
        self.end_elements(out, more, "|]", span)
    }

    fn below_most(&mut self, count: NodeId, span: Span) -> NodeId {
        let common = self.types.common;
        let n = self.push(Op::VarGet, &[count], common.int, span);
        let most = self.int(MOST, span);
        self.push(Op::Binary(BinOp::Lt), &[n, most], common.bool, span)
    }

    /// Appends an element to the text, with its separator.
    fn add_element(&mut self, out: NodeId, count: NodeId, element: NodeId, span: Span) {
        let common = self.types.common;
        let n = self.push(Op::VarGet, &[count], common.int, span);
        let zero = self.int(0, span);
        let first = self.push(Op::Binary(BinOp::Eq), &[n, zero], common.bool, span);
        let then = self.region(|s| Some(s.text("", span)));
        let otherwise = self.region(|s| Some(s.text("; ", span)));
        let separator = self.push_with(Op::If, &[first], &[then, otherwise], common.string, span);
        let shown = self.show_part(element, false, span);
        let so_far = self.push(Op::VarGet, &[out], common.string, span);
        let text = self.join(&[so_far, separator, shown], span);
        self.set_var(out, text, span);
        let one = self.int(1, span);
        let next = self.push(Op::Binary(BinOp::Add), &[n, one], common.int, span);
        self.set_var(count, next, span);
    }

    fn end_elements(&mut self, out: NodeId, more: NodeId, close: &str, span: Span) -> NodeId {
        let string = self.types.common.string;
        let then = self.region(|s| Some(s.text(&format!("; ...{close}"), span)));
        let otherwise = self.region(|s| Some(s.text(close, span)));
        let end = self.push_with(Op::If, &[more], &[then, otherwise], string, span);
        let so_far = self.push(Op::VarGet, &[out], string, span);
        self.join(&[so_far, end], span)
    }
}
