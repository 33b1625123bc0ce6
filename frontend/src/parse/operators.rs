//! Operators between operands; tuples without parentheses.
//!
//! Strengths follow F#: an operator's leading characters decide. Operands are read by hand (application, brackets and
//! blocks hang on layout), and so are the operators between them, by their strengths: chumsky's Pratt parser, which
//! patterns use, asks for each of twelve strengths at each operand, and took a fifth of the time of parsing for it.
//! The offside rule for operators at a line's head is the state's.

use super::expr::starts_expr;
use super::grammar::{Parser, Rule, by_hand, token};
use super::state::{Link, State};
use crate::ast::{Expr, ExprKind, Ident};
use crate::codes;
use crate::lex::{Kind, Token};
use chumsky::{IterParser as _, Parser as _};
use ustr::Ustr;

/// Strengths, weakest first. A cast and a type test take a type on the right, so they are postfix.
mod strength {
    pub const REF_ASSIGN: u8 = 1;
    pub const OR: u8 = 3;
    pub const AND: u8 = 4;
    pub const CAST: u8 = 5;
    pub const COMPARE: u8 = 6;
    pub const BITS: u8 = 7;
    pub const APPEND: u8 = 8;
    pub const CONS: u8 = 9;
    pub const TEST: u8 = 10;
    pub const SUM: u8 = 11;
    pub const PRODUCT: u8 = 12;
    pub const POWER: u8 = 13;
    /// No infix operator.
    pub const NONE: u8 = 0;
}

/// Strength of an infix operator by F#'s rule of leading characters; `NONE` for a prefix one.
fn strength_of(text: &str) -> u8 {
    match text {
        ":=" => return strength::REF_ASSIGN,
        "||" | "or" => return strength::OR,
        "&&" | "&" => return strength::AND,
        ":>" | ":?>" => return strength::CAST,
        ":?" => return strength::TEST,
        "::" => return strength::CONS,
        "&&&" | "|||" | "^^^" | "<<<" | ">>>" => return strength::BITS,
        "~~~" | "|" => return strength::NONE,
        _ => {}
    }
    let op = text.trim_start_matches('.');
    match op.as_bytes().first() {
        Some(b'!') if op.starts_with("!=") => strength::COMPARE,
        Some(b'=' | b'<' | b'>' | b'|' | b'&' | b'$') => strength::COMPARE,
        Some(b'^' | b'@') => strength::APPEND,
        Some(b'+' | b'-' | b'?') => strength::SUM,
        Some(b'*') if op.starts_with("**") => strength::POWER,
        Some(b'*' | b'/' | b'%') => strength::PRODUCT,
        _ => strength::NONE,
    }
}

/// What an operator of a strength binds with to its left and right. An operand goes to the side that binds harder.
fn powers(strength: u8) -> (u8, u8) {
    match strength {
        strength::CONS | strength::APPEND | strength::POWER | strength::REF_ASSIGN => {
            (2 * strength + 1, 2 * strength)
        }
        _ => (2 * strength, 2 * strength + 1),
    }
}

impl State<'_> {
    /// Strength of the infix operator at hand. The frequent ones are told by their kind, without their text.
    fn strength(&self) -> u8 {
        match self.cur() {
            kind if !kind.is_infix() => strength::NONE,
            Kind::Plus | Kind::Minus => strength::SUM,
            Kind::Star | Kind::Slash => strength::PRODUCT,
            Kind::Eq | Kind::Less | Kind::Greater => strength::COMPARE,
            Kind::Cons => strength::CONS,
            _ => strength_of(self.slice(self.token().span)),
        }
    }
}

/// An expression with operators, and no tuple.
pub(super) fn binary<'s>() -> impl Rule<'s, Expr> {
    by_hand(|p| p.binary())
}

impl Parser<'_, '_, '_> {
    /// An expression or a tuple without parentheses.
    pub(super) fn expr(&mut self) -> Expr {
        let first = self.binary();
        if self.cur() != Kind::Comma {
            return first;
        }
        let start = first.span;
        let more = token(Kind::Comma).ignore_then(by_hand(|p| p.continue_line())).ignore_then(binary());
        let mut items = vec![first];
        items.extend(self.run(more.repeated().collect::<Vec<_>>()).into_iter().flatten());
        Expr { kind: ExprKind::Tuple(items), span: self.span_from(start) }
    }

    /// An expression with operators, and no tuple.
    pub(super) fn binary(&mut self) -> Expr {
        if !self.enter() {
            self.leave();
            return self.error_expr();
        }
        let first = self.unary();
        self.leave();
        if self.strength() == strength::NONE {
            return first;
        }
        if !self.enter() {
            self.leave();
            return self.error_expr();
        }
        let (links, depth) = (self.links.len(), self.depth);
        self.links.push(Link { power: 0, count: 0 });
        let e = self.climb(first, 0);
        self.links.truncate(links);
        self.depth = depth;
        self.leave();
        e
    }

    /// Takes the operators behind `left` that bind at least as hard as `least`. Nests as deep as [`State::link`] lets it.
    fn climb(&mut self, mut left: Expr, least: u8) -> Expr {
        loop {
            let strength = self.strength();
            let (before, after) = powers(strength);
            if strength == strength::NONE || before < least {
                return left;
            }
            let op = self.bump();
            self.operator = Some((self.pos, (before, after)));
            if matches!(strength, strength::CAST | strength::TEST) {
                left = self.cast(left, op);
                continue;
            }
            let first = self.right_operand();
            let right = self.climb(first, after);
            let span = self.span_from(left.span);
            let op = Ident { name: Ustr::from(self.slice(op.span)), span: op.span };
            left = Expr { kind: ExprKind::Infix(op, Box::new(left), Box::new(right)), span };
        }
    }

    /// `e :> T`, `e :?> T`, `e :? T`: understood, reported. The type is at hand.
    fn cast(&mut self, e: Expr, op: Token) -> Expr {
        self.link("operators");
        let ty = self.type_expr();
        let is_test = op.kind == Kind::TypeTest;
        let name = if is_test { "a type test" } else { "a cast between types of a hierarchy" };
        self.unsupported(
            codes::NO_HIERARCHY,
            op.span,
            &format!("{name} is outside the subset"),
            "types have no subtypes here; use a union and `match` on its cases",
        );
        let span = self.span_from(e.span);
        let e = Box::new(e);
        let kind = if is_test {
            ExprKind::Unsupported { form: Ustr::from(":?"), inner: Some(e) }
        } else {
            ExprKind::Cast(e, Box::new(ty))
        };
        Expr { kind, span }
    }

    fn right_operand(&mut self) -> Expr {
        let op = self.prev_span();
        if !self.link("operators") {
            return self.error_expr();
        }
        self.continue_line();
        if !starts_expr(self.cur_operand()) && !self.prefix_here() {
            let op = self.slice(op);
            self.expected(&format!("an expression after `{op}`"));
            return self.error_expr();
        }
        self.unary()
    }

    /// After an operator or comma at a line's end the operand may stand at the block's own column.
    fn continue_line(&mut self) {
        let t = self.token();
        if t.first && t.col >= self.ctx.col {
            self.anchor = self.pos;
        }
    }

    /// Whether an operator stands here that begins an expression.
    fn prefix_here(&self) -> bool {
        self.cur_operand() != Kind::End && self.prefix_text(&self.token())
    }
}
