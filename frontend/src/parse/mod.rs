//! The parser: tokens to [`ast::File`], total, with recovery at statements and declarations.
//!
//! Descent by hand over the token list, with precedence climbing for operators. Every function returns a node; at the
//! first thing that fits nowhere it reports once and `recovering` makes the rest of the input look empty, so that all
//! functions return; the nearest block then skips to its next line or to the bracket that encloses it. So one mistake
//! gives one diagnostic, and the next statement is read as usual.
//!
//! The offside rule lives in [`Ctx`]: the column at which a block's lines begin, and the column that a nested block
//! must be right of.

mod bracket;
mod decl;
mod expr;
mod flow;
mod literal;
mod pattern;
pub mod print;
mod typedef;
mod types;

use crate::ast::{self, Ident, Path};
use crate::codes::{self, Code};
use crate::diagnostic::Diagnostic;
use crate::layout::{self, Layout};
use crate::lex::{self, Kind, Token};
use crate::span::{FileId, Span};
use ustr::Ustr;

/// Deepest nesting of expressions, patterns and types.
const MAX_DEPTH: u32 = 400;
/// From this nesting of brackets or indentation on, parsing gets a thread with a stack of its own.
const DEEP: usize = 24;
/// Most operators in one chain, and statements after each other's `let`.
const MAX_CHAIN: usize = 1000;

/// Parses a file. Never fails: where the text fits nothing, the tree holds an `Error` and the list a diagnostic.
pub fn parse(file: FileId, text: &str) -> (ast::File, Vec<Diagnostic>) {
    parse_lexed(file, text, lex::lex(file, text))
}

/// The same for a file whose tokens are at hand.
pub fn parse_lexed(file: FileId, text: &str, lexed: lex::Lexed) -> (ast::File, Vec<Diagnostic>) {
    let (tokens, mut diagnostics) = lexed;
    let (layout, more) = layout::layout(tokens);
    diagnostics.extend(more);
    let work = move || {
        let mut p = Parser::new(file, text, layout, diagnostics);
        let tree = p.file();
        (tree, p.finish())
    };
    if !is_deep(text) {
        return work();
    }
    crate::deep::run(work).unwrap_or_else(|_| {
        let span = Span::new(file, 0, 0);
        let tree = ast::File { header: None, decls: Vec::new(), span };
        (tree, vec![Diagnostic::error(codes::TOO_DEEP, span, "this file is nested too deeply to be read")])
    })
}

/// Whether the text nests far enough to ask for a larger stack. Rough: strings and comments count too.
fn is_deep(text: &str) -> bool {
    let (mut depth, mut run, mut most, mut words) = (0usize, 0usize, 0usize, 0usize);
    for &b in text.as_bytes() {
        match b {
            b'(' | b'[' | b'{' => {
                depth += 1;
                most = most.max(depth);
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'\n' => {
                words = 0;
                run = 0;
            }
            b' ' => run += 1,
            // One line of many words can nest without brackets: `fun a -> fun b -> ..`, `- - - x`.
            _ => words += 1,
        }
        most = most.max(run / 8).max(words / 128);
    }
    most > DEEP
}

/// The file's bytes as text, or where they stop being text.
pub fn bytes_to_text(file: FileId, bytes: &[u8]) -> Result<&str, Diagnostic> {
    std::str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to();
        let shown = bytes.get(at).copied().unwrap_or(0);
        Diagnostic::error(codes::NOT_UTF8, Span::new(file, at, at + 1), "this file is not UTF-8 text")
            .here(format!("byte 0x{shown:02x} at offset {at}"))
            .help("save the file as UTF-8")
    })
}

/// A block's layout: lines begin at `col`; what a line inside opens must begin right of `floor`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ctx {
    pub col: u32,
    pub floor: i64,
    /// A binding's body that begins on the binding's line: an operator may continue it from anywhere right of the floor.
    pub soft: bool,
}

pub(crate) struct Parser<'a> {
    file: FileId,
    text: &'a str,
    tokens: Vec<Token>,
    docs: Vec<(u32, Span)>,
    pos: usize,
    diagnostics: Vec<Diagnostic>,
    /// After an error, until the nearest block has found its next line.
    recovering: bool,
    /// Token at which the last error was reported.
    last_error: usize,
    ctx: Ctx,
    depth: u32,
    /// The token that begins a line of the innermost block: it belongs to it whatever its column.
    anchor: usize,
    /// Whether `;` separates lines of the innermost block (it does not inside lists and records).
    semi: bool,
    /// Brackets open at this point, outermost first: their token and kind.
    open: Vec<(Kind, Span)>,
}

impl<'a> Parser<'a> {
    fn new(file: FileId, text: &'a str, layout: Layout, diagnostics: Vec<Diagnostic>) -> Self {
        let Layout { tokens, docs } = layout;
        Self {
            file,
            text,
            tokens,
            docs,
            pos: 0,
            diagnostics,
            recovering: false,
            last_error: usize::MAX,
            ctx: Ctx { col: 0, floor: -1, soft: false },
            depth: 0,
            anchor: 0,
            semi: true,
            open: Vec::new(),
        }
    }

    fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|d| d.span().map_or(0, |s| s.start));
        self.diagnostics
    }

    // ---- tokens

    /// The token at hand, whatever the layout says; `End` past the last.
    fn token(&self) -> Token {
        self.token_at(self.pos)
    }

    fn token_at(&self, pos: usize) -> Token {
        self.tokens.get(pos).copied().unwrap_or_else(|| {
            let end = self.text.len();
            Token { kind: Kind::End, span: Span::new(self.file, end, end), col: 0, first: true, glued: false }
        })
    }

    /// Kind of the token at hand, without regard to layout; `End` while recovering.
    fn raw(&self) -> Kind {
        if self.recovering { Kind::End } else { self.kind_at(0) }
    }

    fn kind_at(&self, ahead: usize) -> Kind {
        self.tokens.get(self.pos + ahead).map_or(Kind::End, |t| t.kind)
    }

    /// Kind of the token at hand if it still belongs to the expression being read, else `End`.
    fn cur(&self) -> Kind {
        if self.recovering {
            return Kind::End;
        }
        match self.tokens.get(self.pos) {
            Some(t) if !t.first || t.col > self.ctx.col || self.pos == self.anchor => t.kind,
            Some(t) if t.kind.is_infix() => {
                // An operator at a line's head may undent by its own width and a space.
                let width = t.span.end - t.span.start + 1;
                let is_prefix = matches!(t.kind, Kind::Minus | Kind::Plus | Kind::Amp | Kind::Op)
                    && self.tokens.get(self.pos + 1).is_some_and(|n| n.glued)
                    && t.col == self.ctx.col
                    && self.prefix_text(t);
                let undents = t.col + width >= self.ctx.col && i64::from(t.col) >= self.ctx.floor;
                let continues = (undents || self.ctx.soft && i64::from(t.col) > self.ctx.floor) && !is_prefix;
                if continues { t.kind } else { Kind::End }
            }
            _ => Kind::End,
        }
    }

    /// Whether an operator can begin an expression.
    fn prefix_text(&self, t: &Token) -> bool {
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
    fn cur_operand(&self) -> Kind {
        if self.recovering {
            return Kind::End;
        }
        match self.tokens.get(self.pos) {
            Some(t) if !t.first || i64::from(t.col) > self.ctx.floor || self.pos == self.anchor => t.kind,
            _ => Kind::End,
        }
    }

    /// A word that continues a construct (`then`, `else`, `|`, `with` ...) may stand at the construct's own column.
    fn continues(&self, kind: Kind) -> bool {
        if self.recovering {
            return false;
        }
        self.tokens.get(self.pos).is_some_and(|t| {
            t.kind == kind && (!t.first || t.col >= self.ctx.col || i64::from(t.col) > self.ctx.floor)
        })
    }

    fn bump(&mut self) -> Token {
        let t = self.token();
        if self.pos < self.tokens.len() {
            self.pos += 1;
        }
        t
    }

    fn eat(&mut self, kind: Kind) -> bool {
        let hit = self.cur() == kind;
        if hit {
            self.pos += 1;
        }
        hit
    }

    /// The end of the last token taken.
    fn prev_span(&self) -> Span {
        self.pos
            .checked_sub(1)
            .and_then(|i| self.tokens.get(i))
            .map_or_else(|| self.token().span.at_start(), |t| t.span)
    }

    fn span_from(&self, start: Span) -> Span {
        let end = self.prev_span();
        if end.end < start.start { start.at_start() } else { start.to(end) }
    }

    fn slice(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or("")
    }

    fn ident_of(&self, t: Token) -> Ident {
        let text = self.slice(t.span);
        let name = text.strip_prefix("``").and_then(|s| s.strip_suffix("``")).unwrap_or(text);
        Ident { name: Ustr::from(name), span: t.span }
    }

    fn missing_ident(&self) -> Ident {
        Ident { name: Ustr::from("_error"), span: self.token().span.at_start() }
    }

    /// A name, or an error that says where it was wanted.
    fn ident(&mut self, place: &str) -> Ident {
        if self.cur() == Kind::Ident {
            let t = self.bump();
            return self.ident_of(t);
        }
        self.expected(&format!("a name {place}"));
        self.missing_ident()
    }

    /// `A.B.C`.
    fn path(&mut self, place: &str) -> Path {
        let mut parts = vec![self.ident(place)];
        while self.cur() == Kind::Dot && self.kind_at(1) == Kind::Ident {
            self.bump();
            let t = self.bump();
            parts.push(self.ident_of(t));
        }
        Path { parts }
    }

    /// Text of the documentation lines before a token.
    fn doc_before(&self, pos: usize) -> Option<String> {
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

    fn error(&mut self, diagnostic: Diagnostic) {
        if !self.recovering && self.last_error != self.pos {
            self.diagnostics.push(diagnostic);
        }
        self.last_error = self.pos;
        self.recovering = true;
    }

    /// Reports a form that is understood but outside the subset; reading goes on.
    fn unsupported(&mut self, code: Code, span: Span, headline: &str, help: &str) {
        if !self.recovering {
            self.diagnostics.push(Diagnostic::error(code, span, headline).help(help));
        }
    }

    /// How a token is spoken of.
    fn describe(&self, t: Token) -> String {
        match t.kind {
            Kind::End => "the end of the file".into(),
            Kind::String | Kind::Interpolated => "a text".into(),
            _ => format!("`{}`", self.slice(t.span)),
        }
    }

    /// "expected WHAT, found ..." at the token at hand.
    fn expected(&mut self, what: &str) {
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

    fn expect(&mut self, kind: Kind, what: &str) -> bool {
        if self.cur() == kind {
            self.pos += 1;
            return true;
        }
        self.expected(what);
        false
    }

    /// Guards recursion. False at the limit, where the rest of the declaration is given up.
    fn enter(&mut self) -> bool {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return true;
        }
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
        false
    }

    /// Counts a link of a chain that nests in the tree; true at the limit, where the declaration is given up.
    fn too_long(&mut self, count: &mut usize, of: &str) -> bool {
        *count += 1;
        if *count <= MAX_CHAIN {
            return false;
        }
        let span = self.token().span;
        let d = Diagnostic::error(codes::TOO_DEEP, span, format!("a chain of more than {MAX_CHAIN} {of}"))
            .help("split it into parts with names of their own");
        self.error(d);
        self.skip_declaration();
        true
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// To the next token at the margin.
    fn skip_declaration(&mut self) {
        while let Some(t) = self.tokens.get(self.pos) {
            if t.first && t.col == 0 {
                break;
            }
            self.pos += 1;
        }
        self.last_error = self.pos;
    }

    // ---- brackets and blocks

    /// Reads `inside` between brackets; the opening one is at hand. Lines inside may undent to the enclosing floor.
    fn bracketed<T>(&mut self, inside: impl FnOnce(&mut Self) -> T) -> T {
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
        while let Some(t) = self.tokens.get(pos) {
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
    fn sync_to_line(&mut self) {
        let mut depth = 0usize;
        while let Some(t) = self.tokens.get(self.pos) {
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
    fn block_ctx<T>(&mut self, inside: impl FnOnce(&mut Self) -> T) -> Option<T> {
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

fn bracket_name(kind: Kind) -> &'static str {
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

fn closer_text(kind: Kind) -> &'static str {
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
