//! The parser's state: where it stands in the laid-out tokens, the block stack of the offside rule, what was reported.
//!
//! Every question about the token at hand goes through here, since the layout decides whether it still belongs to what
//! is being read. Nothing here knows the grammar.

use super::{MAX_CHAIN, MAX_DEPTH};
use crate::ast::{Ident, Path, Pattern};
use crate::codes::{self, Code};
use crate::diagnostic::Diagnostic;
use crate::lex::{Kind, Token};
use crate::span::{FileId, Span};
use std::cell::{Cell, OnceCell};
use ustr::Ustr;

/// A block's layout: lines begin at `col`; what a line inside opens must begin right of `floor`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ctx {
    pub col: u32,
    pub floor: i64,
    /// A binding's body that begins on the binding's line: an operator may continue it from anywhere right of the floor.
    pub soft: bool,
}

/// A chain of operators that bind at least as tightly as `power`, and how many were read.
pub(super) struct Link {
    pub(super) power: u8,
    pub(super) count: usize,
}

pub(crate) struct State<'a> {
    pub(super) file: FileId,
    pub(super) text: &'a str,
    /// Cells, because a `>` may be taken off the front of a longer token.
    pub(super) tokens: &'a [Cell<Token>],
    pub(super) docs: Vec<(u32, Span)>,
    pub(super) pos: usize,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// After an error, until the nearest block has found its next line.
    pub(super) recovering: bool,
    /// Token at which the last error was reported.
    pub(super) last_error: usize,
    pub(super) ctx: Ctx,
    pub(super) depth: u32,
    /// The token that begins a line of the innermost block: it belongs to it whatever its column.
    pub(super) anchor: usize,
    /// Whether `;` separates lines of the innermost block (it does not inside lists and records).
    pub(super) semi: bool,
    /// The chains of operators being read, an entry for each operand on the right that is not complete.
    pub(super) links: Vec<Link>,
    /// The operator that was read last: the position after it, and its powers to the left and right.
    pub(super) operator: Option<(usize, (u8, u8))>,
    /// First operand of a chain, on its way to the Pratt parser: operators are looked for before that is started.
    pub(super) first_pattern: Option<Pattern>,
    /// Brackets open at this point, outermost first: their token and kind.
    pub(super) open: Vec<(Kind, Span)>,
    /// By token: where the bracket that it opens ends. Made when first asked for.
    partners: OnceCell<Vec<u32>>,
}

impl<'a> State<'a> {
    pub(super) fn new(
        file: FileId,
        text: &'a str,
        tokens: &'a [Cell<Token>],
        docs: Vec<(u32, Span)>,
    ) -> Self {
        Self {
            file,
            text,
            tokens,
            docs,
            pos: 0,
            diagnostics: Vec::new(),
            recovering: false,
            last_error: usize::MAX,
            ctx: Ctx { col: 0, floor: -1, soft: false },
            depth: 0,
            anchor: 0,
            semi: true,
            links: Vec::new(),
            operator: None,
            first_pattern: None,
            open: Vec::new(),
            partners: OnceCell::new(),
        }
    }

    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|d| d.span().map_or(0, |s| s.start));
        self.diagnostics
    }

    // ---- tokens

    /// The token at hand, whatever the layout says; `End` past the last.
    pub(super) fn token(&self) -> Token {
        self.token_at(self.pos)
    }

    pub(super) fn token_at(&self, pos: usize) -> Token {
        self.tokens.get(pos).map(Cell::get).unwrap_or_else(|| {
            let end = self.text.len();
            Token { kind: Kind::End, span: Span::new(self.file, end, end), col: 0, first: true, glued: false }
        })
    }

    /// Position of the token that closes the bracket opened at `pos`, or past the last token.
    pub(super) fn partner(&self, pos: usize) -> usize {
        let partners = self.partners.get_or_init(|| {
            let mut partners = vec![self.tokens.len() as u32; self.tokens.len()];
            let mut open: Vec<usize> = Vec::new();
            for (i, token) in self.tokens.iter().enumerate() {
                let kind = token.get().kind;
                if kind.closer().is_some() {
                    open.push(i);
                } else if kind.is_closer()
                    && let Some(start) = open.pop()
                {
                    partners[start] = i as u32;
                }
            }
            partners
        });
        partners.get(pos).map_or(self.tokens.len(), |&p| p as usize)
    }

    /// Kind of the token at hand, without regard to layout; `End` while recovering.
    pub(super) fn raw(&self) -> Kind {
        if self.recovering { Kind::End } else { self.kind_at(0) }
    }

    pub(super) fn kind_at(&self, ahead: usize) -> Kind {
        self.tokens.get(self.pos + ahead).map_or(Kind::End, |t| t.get().kind)
    }

    /// Kind of the token at hand if it still belongs to the expression being read, else `End`.
    pub(super) fn cur(&self) -> Kind {
        if self.recovering {
            return Kind::End;
        }
        match self.tokens.get(self.pos).map(Cell::get) {
            Some(t) if !t.first || t.col > self.ctx.col || self.pos == self.anchor => t.kind,
            Some(t) if t.kind.is_infix() => {
                // An operator at a line's head may undent by its own width and a space.
                let width = t.span.end - t.span.start + 1;
                let is_prefix = matches!(t.kind, Kind::Minus | Kind::Plus | Kind::Amp | Kind::Op)
                    && self.token_at(self.pos + 1).glued
                    && t.col == self.ctx.col
                    && self.prefix_text(&t);
                let undents = t.col + width >= self.ctx.col && i64::from(t.col) >= self.ctx.floor;
                let continues = (undents || self.ctx.soft && i64::from(t.col) > self.ctx.floor) && !is_prefix;
                if continues { t.kind } else { Kind::End }
            }
            _ => Kind::End,
        }
    }

    /// Whether an operator can begin an expression.
    pub(super) fn prefix_text(&self, t: &Token) -> bool {
        match t.kind {
            Kind::Minus | Kind::Plus | Kind::Amp => true,
            Kind::Op => {
                let text = self.slice(t.span);
                text.starts_with('~') || (text.starts_with('!') && !text.starts_with("!=")) || text == "&&"
            }
            _ => false,
        }
    }

    /// Like `cur`, where an operand must follow (after an operator): a deeper line than the block's floor will do.
    pub(super) fn cur_operand(&self) -> Kind {
        if self.recovering {
            return Kind::End;
        }
        match self.tokens.get(self.pos).map(Cell::get) {
            Some(t) if !t.first || i64::from(t.col) > self.ctx.floor || self.pos == self.anchor => t.kind,
            _ => Kind::End,
        }
    }

    /// A word that continues a construct (`then`, `else`, `|`, `with` ...) may stand at the construct's own column.
    pub(super) fn continues(&self, kind: Kind) -> bool {
        if self.recovering {
            return false;
        }
        self.tokens.get(self.pos).map(Cell::get).is_some_and(|t| {
            t.kind == kind && (!t.first || t.col >= self.ctx.col || i64::from(t.col) > self.ctx.floor)
        })
    }

    pub(super) fn bump(&mut self) -> Token {
        let t = self.token();
        if self.pos < self.tokens.len() {
            self.pos += 1;
        }
        t
    }

    pub(super) fn eat(&mut self, kind: Kind) -> bool {
        let hit = self.cur() == kind;
        if hit {
            self.pos += 1;
        }
        hit
    }

    /// The end of the last token taken.
    pub(super) fn prev_span(&self) -> Span {
        self.pos
            .checked_sub(1)
            .and_then(|i| self.tokens.get(i))
            .map(Cell::get)
            .map_or_else(|| self.token().span.at_start(), |t| t.span)
    }

    pub(super) fn span_from(&self, start: Span) -> Span {
        let end = self.prev_span();
        if end.end < start.start { start.at_start() } else { start.to(end) }
    }

    pub(super) fn slice(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or("")
    }

    pub(super) fn ident_of(&self, t: Token) -> Ident {
        let text = self.slice(t.span);
        let name = text.strip_prefix("``").and_then(|s| s.strip_suffix("``")).unwrap_or(text);
        Ident { name: Ustr::from(name), span: t.span }
    }

    pub(super) fn missing_ident(&self) -> Ident {
        Ident { name: Ustr::from("_error"), span: self.token().span.at_start() }
    }

    /// A name, or an error that says where it was wanted.
    pub(super) fn ident(&mut self, place: &str) -> Ident {
        if self.cur() == Kind::Ident {
            let t = self.bump();
            return self.ident_of(t);
        }
        self.expected(&format!("a name {place}"));
        self.missing_ident()
    }

    /// `A.B.C`.
    pub(super) fn path(&mut self, place: &str) -> Path {
        let mut parts = vec![self.ident(place)];
        while self.cur() == Kind::Dot && self.kind_at(1) == Kind::Ident {
            self.bump();
            let t = self.bump();
            parts.push(self.ident_of(t));
        }
        Path { parts }
    }

    /// Text of the documentation lines before a token.
    pub(super) fn doc_before(&self, pos: usize) -> Option<String> {
        let first = self.docs.partition_point(|d| (d.0 as usize) < pos);
        let lines: Vec<&str> = self.docs[first..]
            .iter()
            .take_while(|d| d.0 as usize == pos)
            .map(|d| {
                let line = self.slice(d.1).trim_start_matches('/').trim_end();
                line.strip_prefix(' ').unwrap_or(line)
            })
            .collect();
        if lines.is_empty() { None } else { Some(lines.join("\n")) }
    }

    // ---- errors

    pub(super) fn error(&mut self, diagnostic: Diagnostic) {
        if !self.recovering && self.last_error != self.pos {
            self.diagnostics.push(diagnostic);
        }
        self.last_error = self.pos;
        self.recovering = true;
    }

    /// Reports a form that is understood but outside the subset; reading goes on.
    pub(super) fn unsupported(&mut self, code: Code, span: Span, headline: &str, help: &str) {
        if !self.recovering {
            self.diagnostics.push(Diagnostic::error(code, span, headline).help(help));
        }
    }

    /// How a token is spoken of.
    pub(super) fn describe(&self, t: Token) -> String {
        match t.kind {
            Kind::End => "the end of the file".into(),
            Kind::String | Kind::Interpolated => "a text".into(),
            _ => format!("`{}`", self.slice(t.span)),
        }
    }

    /// "expected WHAT, found ..." at the token at hand.
    pub(super) fn expected(&mut self, what: &str) {
        if self.recovering {
            return;
        }
        let t = self.token();
        let offside = t.first && self.cur() == Kind::End;
        let place = if offside || t.kind == Kind::End {
            let end = self.prev_span();
            Span { start: end.end, ..end }
        } else {
            t.span
        };
        let mut d = Diagnostic::error(codes::SYNTAX, place, format!("expected {what}"));
        d = if t.kind == Kind::End {
            d.here("the file ends here")
        } else if offside {
            d.here("the line ends here").note("the next line is not indented far enough to continue this one")
        } else {
            d.here(format!("found {}", self.describe(t)))
        };
        if let Some(&(kind, span)) = self.open.last() {
            d = d.label(span, format!("inside this {}", bracket_name(kind)));
        }
        self.error(d);
    }

    pub(super) fn expect(&mut self, kind: Kind, what: &str) -> bool {
        if self.cur() == kind {
            self.pos += 1;
            return true;
        }
        self.expected(what);
        false
    }

    /// Guards recursion. False at the limit, where the rest of the declaration is given up.
    pub(super) fn enter(&mut self) -> bool {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return true;
        }
        self.too_deep();
        false
    }

    /// Reports that the limit of nesting is passed, and gives the declaration up.
    pub(super) fn too_deep(&mut self) {
        if !self.recovering {
            let span = self.token().span;
            let d = Diagnostic::error(
                codes::TOO_DEEP,
                span,
                format!("this is nested deeper than {MAX_DEPTH} levels"),
            )
            .help("give parts of it names of their own");
            self.error(d);
        }
        self.skip_declaration();
    }

    /// Reports that a chain that nests in the tree has too many links, and gives the declaration up.
    pub(super) fn chain_too_long(&mut self, of: &str, span: Span) {
        let help = if of == "operators" {
            "split it into several bindings, or fold over a list"
        } else {
            "split it into parts with names of their own"
        };
        let d = Diagnostic::error(codes::TOO_DEEP, span, format!("a chain of more than {MAX_CHAIN} {of}"))
            .help(help);
        self.error(d);
        self.skip_declaration();
    }

    /// At an operand: counts the operator before it, if there is one, as a link of its chain. The tree nests to the left
    /// by links and to the right by operands of operands, so both are bounded; false at a bound, where the declaration
    /// was given up.
    pub(super) fn link(&mut self, of: &str) -> bool {
        let Some((pos, (left, right))) = self.operator.take() else { return true };
        if pos != self.pos {
            return true;
        }
        while self.links.last().is_some_and(|l| l.power > left) {
            self.links.pop();
            self.depth -= 1;
        }
        if let Some(link) = self.links.last_mut() {
            link.count += 1;
            if link.count > MAX_CHAIN {
                let span = self.prev_span();
                self.chain_too_long(of, span);
                return false;
            }
        }
        self.links.push(Link { power: right, count: 0 });
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.too_deep();
            return false;
        }
        true
    }

    /// Whether the token at hand is an operand behind an operator.
    pub(super) fn behind_operator(&self) -> bool {
        self.operator.is_some_and(|(pos, _)| pos == self.pos)
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// To the next token at the margin.
    pub(super) fn skip_declaration(&mut self) {
        while let Some(t) = self.tokens.get(self.pos).map(Cell::get) {
            if t.first && t.col == 0 {
                break;
            }
            self.pos += 1;
        }
        self.last_error = self.pos;
    }

    // ---- looking ahead

    /// Whether the argument at hand can only be a measure: it holds `/`, `^` or a number.
    pub(super) fn measure_follows(&self) -> bool {
        let mut depth = 0usize;
        for i in self.pos..self.pos + 64 {
            let t = self.token_at(i);
            match t.kind {
                Kind::Slash | Kind::Caret | Kind::Int => return true,
                Kind::LParen | Kind::Less => depth += 1,
                Kind::RParen | Kind::Greater if depth > 0 => depth -= 1,
                Kind::Ident | Kind::TypeVar | Kind::Dot | Kind::Star | Kind::Minus | Kind::Underscore => {}
                Kind::Comma if depth > 0 => {}
                Kind::Op if self.slice(t.span).starts_with("^-") => return true,
                _ => return false,
            }
        }
        false
    }

    /// Whether `<` at hand, which touches a name, opens type arguments that are closed.
    pub(super) fn type_args_follow(&self) -> bool {
        let mut depth = 0usize;
        let mut brackets = 0usize;
        for i in self.pos..self.pos + 128 {
            let t = self.token_at(i);
            if i > self.pos && t.first && t.col <= self.ctx.col {
                return false;
            }
            match t.kind {
                Kind::Less => depth += 1,
                Kind::Greater => depth -= 1,
                Kind::Op if self.slice(t.span).trim_end_matches('.').bytes().all(|b| b == b'>') => {
                    // `Map<int, Set<int>>.Empty`: the dot behind belongs to what follows.
                    let text = self.slice(t.span);
                    let closed = text.trim_end_matches('.').len();
                    if text.ends_with('.') && closed != depth {
                        return false;
                    }
                    depth = depth.saturating_sub(closed);
                }
                Kind::RAttr if depth == 1 && brackets == 0 => return true,
                Kind::LParen | Kind::LBracket | Kind::LAnon => brackets += 1,
                Kind::RParen | Kind::RBracket | Kind::RAnon if brackets > 0 => brackets -= 1,
                Kind::Semi | Kind::Colon if brackets > 0 => {}
                Kind::Ident
                | Kind::TypeVar
                | Kind::Dot
                | Kind::Comma
                | Kind::Star
                | Kind::Slash
                | Kind::Caret
                | Kind::Arrow
                | Kind::Underscore
                | Kind::Int => {}
                _ => return false,
            }
            if depth == 0 {
                return brackets == 0;
            }
        }
        false
    }

    /// Whether a pattern may begin at the token at hand.
    pub(super) fn starts_pattern(&self) -> bool {
        use Kind::{
            Char, False, Float, Ident, Int, LArray, LBrace, LBracket, LParen, Minus, Null, Question, String,
            True, TypeTest, Underscore,
        };
        matches!(
            self.cur(),
            Char | False
                | Float
                | Ident
                | Int
                | LArray
                | LBrace
                | LBracket
                | LParen
                | Minus
                | Null
                | Question
                | String
                | True
                | TypeTest
                | Underscore
        )
    }

    /// `(+)` and its like at hand.
    pub(super) fn operator_in_parens(&self) -> bool {
        let op = self.kind_at(1);
        self.token().kind == Kind::LParen
            && (op.is_infix() || op == Kind::Op)
            && self.kind_at(2) == Kind::RParen
    }
}

pub(super) fn bracket_name(kind: Kind) -> &'static str {
    match kind {
        Kind::LParen => "parenthesis",
        Kind::LBracket => "list",
        Kind::LArray => "array",
        Kind::LBrace => "brace",
        Kind::LAnon => "anonymous record",
        Kind::LAttr => "attribute list",
        _ => "block",
    }
}

pub(super) fn closer_text(kind: Kind) -> &'static str {
    match kind {
        Kind::RParen => ")",
        Kind::RBracket => "]",
        Kind::RArray => "|]",
        Kind::RBrace => "}",
        Kind::RAnon => "|}",
        Kind::RAttr => ">]",
        _ => "end",
    }
}
