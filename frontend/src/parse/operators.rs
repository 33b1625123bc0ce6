//! Operators between operands, by chumsky's Pratt parser; tuples without parentheses.
//!
//! Strengths follow F#: an operator's leading characters decide. Operands are read by hand (application, brackets and
//! blocks hang on layout); the offside rule for operators at a line's head is the state's.

use super::expr::starts_expr;
use super::grammar::{At, Input, Parser, Read, Rule, by_hand, chain, operator, place, text, token};
use super::state::State;
use super::types;
use crate::ast::{Expr, ExprKind, Ident, TypeExpr};
use crate::codes;
use crate::lex::{Kind, Token};
use chumsky::pratt::{infix, left, postfix, right};
use chumsky::primitive::custom;
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

/// Operands and operators.
pub(super) fn binary<'s>() -> impl Rule<'s, Expr> {
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
    chain(by_hand(|p| p.operand()).pratt((many, casts)), |span| Expr { kind: ExprKind::Error, span })
}

fn infix_expr<'s>(l: Expr, op: Token, r: Expr, at: &mut At<'s, '_>) -> Expr {
    let op = Ident { name: Ustr::from(text(at, op)), span: op.span };
    Expr { kind: ExprKind::Infix(op, Box::new(l), Box::new(r)), span: place(at) }
}

/// `e :> T`, `e :?> T`, `e :? T`: understood, reported.
fn cast_expr<'s>(e: Expr, (op, ty): (Token, TypeExpr), at: &mut At<'s, '_>) -> Expr {
    let name = if op.kind == Kind::TypeTest { "a type test" } else { "a cast between types of a hierarchy" };
    if let Some(state) = at.state().get() {
        state.unsupported(
            codes::NO_HIERARCHY,
            op.span,
            &format!("{name} is outside the subset"),
            "types have no subtypes here; use a union and `match` on its cases",
        );
    }
    let kind = if op.kind == Kind::TypeTest {
        ExprKind::Unsupported { form: Ustr::from(":?"), inner: Some(Box::new(e)) }
    } else {
        ExprKind::Cast(Box::new(e), ty)
    };
    Expr { kind, span: place(at) }
}

/// An expression or a tuple without parentheses.
fn expr<'s>() -> impl Rule<'s, Expr> {
    let more = token(Kind::Comma).ignore_then(by_hand(|p| p.continue_line())).ignore_then(custom(any_binary));
    binary().then(more.repeated().collect::<Vec<_>>()).map_with(|(first, mut items), at| {
        if items.is_empty() {
            return first;
        }
        items.insert(0, first);
        Expr { kind: ExprKind::Tuple(items), span: place(at) }
    })
}

fn any_binary<'s>(input: &mut Input<'s, '_>) -> Read<Expr> {
    input.parse(binary())
}

impl Parser<'_, '_, '_> {
    pub(super) fn expr(&mut self) -> Expr {
        self.run(expr()).unwrap_or_else(|| self.error_expr())
    }

    /// An expression with operators, and no tuple.
    pub(super) fn binary(&mut self) -> Expr {
        self.run(binary()).unwrap_or_else(|| self.error_expr())
    }

    /// What stands before, between and after operators.
    fn operand(&mut self) -> Expr {
        let e = if self.behind_operator() { self.right_operand() } else { self.unary() };
        // Inside, other columns held: the token at hand may be judged anew.
        self.level.set((usize::MAX, strength::NONE));
        e
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
