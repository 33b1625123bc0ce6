//! Bracketed expressions: parentheses, lists, arrays, records, and the comprehensions among them.

use super::Parser;
use super::expr::Stmt;
use crate::ast::{Collection, Expr, ExprKind, Ident, Lit};
use crate::lex::Kind;
use ustr::Ustr;

impl Parser<'_, '_, '_> {
    pub(super) fn parenthesised(&mut self) -> Expr {
        let start = self.token().span;
        if self.kind_at(0) == Kind::LParen {
            if self.kind_at(1) == Kind::RParen {
                self.bump();
                self.bump();
                return self.expr_at(ExprKind::Lit(Lit::Unit), start);
            }
            if self.kind_at(1).is_infix() && self.kind_at(2) == Kind::RParen {
                self.bump();
                let t = self.bump();
                self.bump();
                let op = Ident { name: Ustr::from(self.slice(t.span)), span: t.span };
                return self.expr_at(ExprKind::OpName(op), start);
            }
        }
        let inner = self.bracketed(|p| {
            p.semi = true;
            if p.raw().is_closer() {
                p.expected("an expression");
                return p.error_expr();
            }
            p.lines()
        });
        self.expr_at(ExprKind::Paren(Box::new(inner)), start)
    }

    pub(super) fn collection(&mut self, kind: Collection) -> Expr {
        let start = self.token().span;
        let stmts = self.bracketed(|p| {
            if p.raw().is_closer() {
                return Vec::new();
            }
            p.semi = false;
            p.statements(true)
        });
        let computed = stmts.iter().any(|s| !matches!(s, Stmt::Expr(e) if !yields(e)));
        if computed {
            let body = Box::new(self.fold(stmts));
            return self.expr_at(ExprKind::Comprehension { kind, body }, start);
        }
        let items =
            stmts.into_iter().filter_map(|s| if let Stmt::Expr(e) = s { Some(e) } else { None }).collect();
        let kind = if kind == Collection::Array { ExprKind::Array(items) } else { ExprKind::List(items) };
        self.expr_at(kind, start)
    }

    /// Whether `{` at hand begins a record (`{ A = 1`, `{ e with`) rather than a computation's body.
    pub(super) fn record_follows(&self) -> bool {
        let mut i = self.pos + 1;
        if self.token_at(i).kind == Kind::RBrace {
            return false;
        }
        let mut j = i;
        while self.token_at(j).kind == Kind::Ident && self.token_at(j + 1).kind == Kind::Dot {
            j += 2;
        }
        if self.token_at(j).kind == Kind::Ident && self.token_at(j + 1).kind == Kind::Eq {
            return true;
        }
        // A name, or a bracket to skip: what follows it says whether there is a `with`.
        match self.token_at(i).kind {
            Kind::Ident => {}
            k if k.closer().is_some() => i = self.partner(i) + 1,
            _ => return false,
        }
        for _ in 0..64 {
            match self.token_at(i).kind {
                Kind::With => return true,
                Kind::End | Kind::Match | Kind::Semi => return false,
                k if k.closer().is_some() => i = self.partner(i),
                k if k.is_closer() => return false,
                _ => {}
            }
            i += 1;
        }
        false
    }

    pub(super) fn record(&mut self) -> Expr {
        let start = self.token().span;
        let is_record = self.record_follows() || self.kind_at(1) == Kind::RBrace;
        let kind = self.bracketed(|p| {
            p.semi = false;
            if !is_record {
                // `{ a .. b }` was a sequence once.
                let ahead = (0..32).map(|n| p.kind_at(n)).take_while(|k| !k.is_closer() && *k != Kind::End);
                if ahead.into_iter().any(|k| k == Kind::DotDot) {
                    p.expected("`seq {` for a sequence, or `[`, `[|` for a list or an array,");
                } else {
                    p.expected("`field = value` or `record with`");
                }
                return ExprKind::Error;
            }
            let names = p.kind_at(0) == Kind::RBrace || {
                let mut j = 0;
                while p.kind_at(j) == Kind::Ident && p.kind_at(j + 1) == Kind::Dot {
                    j += 2;
                }
                p.kind_at(j) == Kind::Ident && p.kind_at(j + 1) == Kind::Eq
            };
            if names {
                return ExprKind::Record(p.fields(|p| p.path("of a field")));
            }
            let base = p.binary();
            if !p.continues(Kind::With) {
                p.expected("`with` after the record to copy");
                return ExprKind::With(Box::new(base), Vec::new());
            }
            p.bump();
            // The fields' lines align with the first field, wherever it stands.
            let fields = p.block_ctx(|p| p.fields(|p| p.path("of a field"))).unwrap_or_default();
            ExprKind::With(Box::new(base), fields)
        });
        self.expr_at(kind, start)
    }

    pub(super) fn anon_record(&mut self) -> Expr {
        let start = self.token().span;
        let fields = self.bracketed(|p| {
            p.semi = false;
            p.fields(|p| p.ident("of a field"))
        });
        self.expr_at(ExprKind::AnonRecord(fields), start)
    }

    /// `name = value` by `;` or by lines.
    fn fields<N>(&mut self, mut name: impl FnMut(&mut Self) -> N) -> Vec<(N, Expr)> {
        let mut out = Vec::new();
        loop {
            let t = self.token();
            if self.recovering || t.kind.is_closer() || t.kind == Kind::End {
                break;
            }
            let outer = self.ctx;
            self.anchor = self.pos;
            // What belongs to the field is right of its name.
            self.ctx.floor = if t.first { i64::from(t.col) } else { outer.floor };
            let n = name(self);
            self.expect(Kind::Eq, "`=` after the field's name");
            let value = self.block("after `=`");
            self.ctx = outer;
            out.push((n, value));
            if self.recovering {
                break;
            }
            let mut more = false;
            while self.kind_at(0) == Kind::Semi {
                self.bump();
                more = true;
            }
            let t = self.token();
            if !(more || t.first && t.col == self.ctx.col) {
                break;
            }
        }
        out
    }
}

/// Whether an expression makes the list it stands in a comprehension.
fn yields(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::ForTo { .. } | ExprKind::ForIn { .. } | ExprKind::While { .. } | ExprKind::Yield { .. } => {
            true
        }
        ExprKind::If { otherwise: None, .. } => true,
        ExprKind::If { then, otherwise: Some(other), .. } => yields(then) || yields(other),
        ExprKind::Match { arms, .. } => arms.iter().any(|a| yields(&a.body)),
        ExprKind::Let { body, .. } => yields(body),
        ExprKind::Seq(items) => items.iter().any(yields),
        _ => false,
    }
}
