//! Operators between operands, by chumsky's Pratt parser; tuples without parentheses.
//!
//! Strengths follow F#: an operator's leading characters decide. Operands are read by hand (application, brackets and
//! blocks hang on layout); the offside rule for operators at a line's head is the state's.

use super::expr::starts_expr;
use super::grammar::{At, Parser, Rule, by_hand, chain, operator, text, token};
use super::state::State;
use super::types;
use crate::ast::{Expr, ExprKind, Ident, TypeExpr};
use crate::codes;
use crate::lex::{Kind, Token};
use crate::span::Span;
use chumsky::pratt::{infix, left, postfix, right};
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

impl State<'_> {
    /// Strength of the infix operator at hand. Looked up once for a position: each operator of the Pratt parser asks.
    fn strength(&self) -> u8 {
        let (pos, known) = self.level.get();
        if pos == self.pos && !self.recovering {
            return known;
        }
        let found =
            if self.cur().is_infix() { strength_of(self.slice(self.token().span)) } else { strength::NONE };
        self.level.set((self.pos, found));
        found
    }
}

/// Operators of one strength that group from the left, and those that group from the right.
fn from_left<'s>(level: u8) -> impl Rule<'s, Token> {
    operator((2 * level, 2 * level + 1), move |s| s.strength() == level)
}

fn from_right<'s>(level: u8) -> impl Rule<'s, Token> {
    operator((2 * level + 1, 2 * level), move |s| s.strength() == level)
}

/// The operators behind a first operand, which [`Parser::binary`] has read: most expressions have none, and for those the
/// Pratt parser would ask for each strength in vain. Boxes, since it hands its operands around by value.
fn operators<'s>() -> impl Rule<'s, Box<Expr>> {
    let l = |level| (left(u16::from(level)), from_left(level));
    let r = |level| (right(u16::from(level)), from_right(level));
    macro_rules! infixes {
        ($($side:ident $level:ident),*) => {
            ($({
                let (side, op) = $side(strength::$level);
                infix(side, op, infix_expr)
            },)*)
        };
    }
    // The most frequent first.
    let many =
        infixes!(l COMPARE, l SUM, l PRODUCT, r CONS, l AND, l OR, r APPEND, l BITS, r POWER, r REF_ASSIGN);
    let link = by_hand(|p| p.link("operators"));
    let cast = |level| from_left(level).then_ignore(link).then(types::type_expr());
    let casts = (
        postfix(u16::from(strength::CAST), cast(strength::CAST), cast_expr),
        postfix(u16::from(strength::TEST), cast(strength::TEST), cast_expr),
    );
    chain(by_hand(|p| p.operand()).pratt((many, casts)), |span| Box::new(error_expr(span)))
}

fn error_expr(span: Span) -> Expr {
    Expr { kind: ExprKind::Error, span }
}

/// From where `e` begins to the last token.
fn since(e: &Expr, at: &mut At<'_, '_>) -> Span {
    at.state().get().map_or(e.span, |state| state.span_from(e.span))
}

fn infix_expr<'s>(l: Box<Expr>, op: Token, r: Box<Expr>, at: &mut At<'s, '_>) -> Box<Expr> {
    let op = Ident { name: Ustr::from(text(at, op)), span: op.span };
    let span = since(&l, at);
    Box::new(Expr { kind: ExprKind::Infix(op, l, r), span })
}

/// `e :> T`, `e :?> T`, `e :? T`: understood, reported.
fn cast_expr<'s>(e: Box<Expr>, (op, ty): (Token, TypeExpr), at: &mut At<'s, '_>) -> Box<Expr> {
    let name = if op.kind == Kind::TypeTest { "a type test" } else { "a cast between types of a hierarchy" };
    if let Some(state) = at.state().get() {
        state.unsupported(
            codes::NO_HIERARCHY,
            op.span,
            &format!("{name} is outside the subset"),
            "types have no subtypes here; use a union and `match` on its cases",
        );
    }
    let span = since(&e, at);
    let kind = if op.kind == Kind::TypeTest {
        ExprKind::Unsupported { form: Ustr::from(":?"), inner: Some(e) }
    } else {
        ExprKind::Cast(e, Box::new(ty))
    };
    Box::new(Expr { kind, span })
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
        self.level.set((usize::MAX, strength::NONE));
        self.leave();
        if self.strength() == strength::NONE {
            return first;
        }
        self.first = Some(Box::new(first));
        self.run(operators()).map_or_else(|| self.error_expr(), |e| *e)
    }

    /// What stands before, between and after operators.
    fn operand(&mut self) -> Box<Expr> {
        if let Some(first) = self.first.take() {
            return first;
        }
        let e = if self.behind_operator() { self.right_operand() } else { self.unary() };
        // Inside, other columns held: the token at hand may be judged anew.
        self.level.set((usize::MAX, strength::NONE));
        Box::new(e)
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
