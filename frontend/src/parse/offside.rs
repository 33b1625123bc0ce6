//! Brackets and blocks: where they begin and end by the offside rule, and where reading goes on after an error.

use super::Parser;
use super::state::{Ctx, bracket_name, closer_text};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::lex::{Kind, Token};
use std::cell::Cell;

impl Parser<'_, '_, '_> {
    /// Reads `inside` between brackets; the opening one is at hand. Lines inside may undent to the enclosing floor.
    pub(super) fn bracketed<T>(&mut self, inside: impl FnOnce(&mut Self) -> T) -> T {
        let open = self.bump();
        let Some(close) = open.kind.closer() else { return inside(self) };
        self.open.push((open.kind, open.span));
        let outer = self.ctx;
        let outer_semi = self.semi;
        let first = self.token();
        // An unclosed bracket must not swallow what stands at the enclosing block's margin.
        if first.first && !first.kind.is_closer() && i64::from(first.col) <= outer.floor {
            self.open.pop();
            self.unclosed(open, close);
            return inside(self);
        }
        self.ctx = Ctx {
            col: if first.kind.is_closer() { open.col + 1 } else { first.col },
            floor: outer.floor,
            soft: false,
        };
        let result = inside(self);
        self.ctx = outer;
        self.semi = outer_semi;
        self.open.pop();
        self.close(open, close);
        result
    }

    /// Takes the closing bracket, or reports that it is missing.
    fn close(&mut self, open: Token, close: Kind) {
        if self.recovering {
            self.sync_to_closer();
            if self.recovering {
                return;
            }
        }
        if self.kind_at(0) == close {
            self.pos += 1;
            return;
        }
        // `>]` and friends are split where a bracket inside ends: `[Map.empty<int, int>]`.
        let t = self.token();
        let offside = t.kind == Kind::End
            || (t.first && i64::from(t.col) <= self.ctx.floor.max(i64::from(self.ctx.col)));
        if offside || t.kind.is_closer() {
            return self.unclosed(open, close);
        }
        let d = Diagnostic::error(codes::SYNTAX, t.span, format!("expected `{}`", closer_text(close)))
            .here(format!("found {}", self.describe(t)))
            .label(open.span, format!("to close this {}", bracket_name(open.kind)));
        self.error(d);
    }

    fn unclosed(&mut self, open: Token, close: Kind) {
        let t = self.token();
        let (name, text) = (bracket_name(open.kind), self.slice(open.span));
        let mut d =
            Diagnostic::error(codes::UNBALANCED, open.span, format!("this {name} `{text}` is not closed"))
                .here("opened here")
                .help(format!("close it with `{}`", closer_text(close)));
        if t.kind != Kind::End {
            d = d.label(t.span, format!("expected `{}` before this", closer_text(close)));
        }
        self.error(d);
    }

    /// While recovering inside brackets: skips to the closing bracket of this level, if it comes before the enclosing
    /// block's next line. Leaves `recovering` set when it does not.
    fn sync_to_closer(&mut self) {
        let mut depth = 0usize;
        let mut pos = self.pos;
        while let Some(t) = self.tokens.get(pos).map(Cell::get) {
            if t.first && t.col <= self.ctx.col && !t.kind.is_closer() {
                return;
            }
            if t.kind.closer().is_some() {
                depth += 1;
            } else if t.kind.is_closer() {
                if depth == 0 {
                    self.pos = pos;
                    self.last_error = pos;
                    self.recovering = false;
                    return;
                }
                depth -= 1;
            }
            pos += 1;
        }
    }

    /// While recovering in a block: skips to its next line, or to a bracket that closes what encloses the block.
    pub(super) fn sync_to_line(&mut self) {
        let mut depth = 0usize;
        while let Some(t) = self.tokens.get(self.pos).map(Cell::get) {
            if t.first && t.col <= self.ctx.col && !(t.kind.is_closer() && t.col == self.ctx.col && depth > 0)
            {
                break;
            }
            if t.kind.closer().is_some() {
                depth += 1;
            } else if t.kind.is_closer() {
                if depth == 0 && !self.open.is_empty() {
                    break;
                }
                depth = depth.saturating_sub(1);
            }
            self.pos += 1;
        }
        self.recovering = false;
        self.last_error = self.pos;
    }

    /// Runs `inside` as a block that begins at the token at hand: on a line of its own, right of the floor, or on the
    /// opener's line. `None` if nothing stands there.
    pub(super) fn block_ctx<T>(&mut self, inside: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.recovering {
            return None;
        }
        let t = self.token();
        if t.kind == Kind::End || (t.first && i64::from(t.col) <= self.ctx.floor) {
            return None;
        }
        let outer = self.ctx;
        self.ctx =
            Ctx { col: t.col, floor: if t.first { i64::from(t.col) } else { outer.floor }, soft: false };
        self.anchor = self.pos;
        let result = inside(self);
        self.ctx = outer;
        Some(result)
    }
}
