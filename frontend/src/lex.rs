//! Tokens: text in, a flat list of [`Token`]s out (logos).
//!
//! Total: every input gives tokens and diagnostics, in time linear in its length. Tokens carry no text; whoever needs
//! it slices the source by the token's span. Comments are dropped, except `///` lines, which are tokens. Each token
//! knows its column and whether it begins a line or touches its predecessor; [`crate::layout`] builds on that.
//! Literals are only delimited here; their values are computed by the parser.

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::{FileId, Span};
use logos::{Lexer, Logos};

/// One token. `col` counts characters from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub span: Span,
    pub col: u32,
    /// First token of its line.
    pub first: bool,
    /// Touches the token before it.
    pub glued: bool,
}

/// What kind of token; the names follow the spelling.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[logos(skip r"[ \t\r\n\u{feff}\f]+")]
#[logos(extras = bool)]
pub enum Kind {
    #[regex(r"///[^\n]*", priority = 10, allow_greedy = true)]
    Doc,
    #[regex(r"//[^\n]*", priority = 5, allow_greedy = true)]
    #[regex(r"////[^\n]*", priority = 20, allow_greedy = true)]
    LineComment,
    #[token("(*", block_comment)]
    BlockComment,
    #[regex(r"[\p{XID_Start}_][\p{XID_Continue}']*")]
    #[regex(r"``[^`\r\n]+``")]
    Ident,
    #[token("_", priority = 10)]
    Underscore,
    #[regex(r"'[\p{XID_Start}_][\p{XID_Continue}]*")]
    TypeVar,
    #[regex(r"[0-9][0-9_]*(uy|y|us|s|ul|u|l|UL|L|un|n|I)?")]
    #[regex(r"0[xX][0-9a-fA-F_]+(uy|y|us|s|ul|u|l|UL|L|un|n|LF|lf)?")]
    #[regex(r"0[oO][0-7_]+(uy|y|us|s|ul|u|l|UL|L|un|n)?")]
    #[regex(r"0[bB][01_]+(uy|y|us|s|ul|u|l|UL|L|un|n)?")]
    Int,
    #[regex(r"[0-9][0-9_]*\.\.")]
    IntDotDot,
    #[regex(r"[0-9][0-9_]*\.([0-9][0-9_]*)?([eE][+-]?[0-9]+)?[fFmM]?")]
    #[regex(r"[0-9][0-9_]*[eE][+-]?[0-9]+[fFmM]?")]
    #[regex(r"[0-9][0-9_]*[fFmM]")]
    Float,
    #[regex(
        r"'([^'\\\r\n]|\\[^\r\nux0-9]|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\x[0-9a-fA-F]{2}|\\[0-9]{3})'B?"
    )]
    Char,
    #[token("\"", string)]
    #[token("@\"", verbatim)]
    #[token("\"\"\"", triple)]
    String,
    #[token("$\"", interpolated)]
    #[token("$@\"", interpolated)]
    #[token("@$\"", interpolated)]
    #[token("$\"\"\"", interpolated_triple)]
    Interpolated,

    #[token("(")]
    LParen,
    #[token(")")]
    RParen,
    #[token("(*)")]
    ParenStar,
    #[token("[")]
    LBracket,
    #[token("]")]
    RBracket,
    #[token("[|")]
    LArray,
    #[token("|]")]
    RArray,
    #[token("{")]
    LBrace,
    #[token("}")]
    RBrace,
    #[token("{|")]
    LAnon,
    #[token("|}")]
    RAnon,
    #[token("[<")]
    LAttr,
    #[token(">]")]
    RAttr,

    #[token(",")]
    Comma,
    #[token(";")]
    #[token(";;")]
    Semi,
    #[token(":")]
    Colon,
    #[token("::")]
    Cons,
    #[token(":=")]
    ColonEq,
    #[token(":>")]
    Upcast,
    #[token(":?>")]
    Downcast,
    #[token(":?")]
    TypeTest,
    #[token(".")]
    Dot,
    #[token("..")]
    DotDot,
    #[token("|")]
    Bar,
    #[token("->")]
    Arrow,
    #[token("<-")]
    LArrow,
    #[token("=")]
    Eq,
    #[token("<")]
    Less,
    #[token(">")]
    Greater,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("-")]
    Minus,
    #[token("+")]
    Plus,
    #[token("^")]
    Caret,
    #[token("&")]
    Amp,
    #[token("?")]
    Question,
    #[token("#")]
    Hash,
    /// Every other operator.
    #[regex(r"[!%&*+\-/<=>?@^|~]+", priority = 1)]
    #[regex(r"[!%&*+\-/<=>?@^|~]+\.", priority = 1)]
    #[regex(r"\.[+*\-/=<>|&^%]+[!%&*+\-/<=>?@^|~]*\.?", priority = 1)]
    Op,

    #[token("abstract")]
    Abstract,
    #[token("and")]
    And,
    #[token("and!")]
    AndBang,
    #[token("as")]
    As,
    #[token("assert")]
    Assert,
    #[token("base")]
    Base,
    #[token("begin")]
    Begin,
    #[token("class")]
    Class,
    #[token("default")]
    Default,
    #[token("delegate")]
    Delegate,
    #[token("do")]
    Do,
    #[token("do!")]
    DoBang,
    #[token("done")]
    Done,
    #[token("downcast")]
    DowncastWord,
    #[token("downto")]
    Downto,
    #[token("elif")]
    Elif,
    #[token("else")]
    Else,
    #[token("end")]
    EndWord,
    #[token("exception")]
    Exception,
    #[token("extern")]
    Extern,
    #[token("false")]
    False,
    #[token("finally")]
    Finally,
    #[token("for")]
    For,
    #[token("fun")]
    Fun,
    #[token("function")]
    Function,
    #[token("if")]
    If,
    #[token("in")]
    In,
    #[token("inherit")]
    Inherit,
    #[token("inline")]
    Inline,
    #[token("interface")]
    Interface,
    #[token("internal")]
    Internal,
    #[token("lazy")]
    Lazy,
    #[token("let")]
    Let,
    #[token("let!")]
    LetBang,
    #[token("match")]
    Match,
    #[token("match!")]
    MatchBang,
    #[token("member")]
    Member,
    #[token("module")]
    Module,
    #[token("mutable")]
    Mutable,
    #[token("namespace")]
    Namespace,
    #[token("new")]
    New,
    #[token("null")]
    Null,
    #[token("of")]
    Of,
    #[token("open")]
    Open,
    #[token("or")]
    Or,
    #[token("override")]
    Override,
    #[token("private")]
    Private,
    #[token("public")]
    Public,
    #[token("rec")]
    Rec,
    #[token("return")]
    Return,
    #[token("return!")]
    ReturnBang,
    #[token("static")]
    Static,
    #[token("struct")]
    Struct,
    #[token("then")]
    Then,
    #[token("to")]
    To,
    #[token("true")]
    True,
    #[token("try")]
    Try,
    #[token("type")]
    Type,
    #[token("upcast")]
    UpcastWord,
    #[token("use")]
    Use,
    #[token("use!")]
    UseBang,
    #[token("val")]
    Val,
    #[token("void")]
    Void,
    #[token("when")]
    When,
    #[token("while")]
    While,
    #[token("with")]
    With,
    #[token("yield")]
    Yield,
    #[token("yield!")]
    YieldBang,

    /// The end of the input, or of what the layout lets an expression see.
    End,
}

impl Kind {
    /// The kind that closes this bracket, if it opens one.
    pub fn closer(self) -> Option<Kind> {
        Some(match self {
            Kind::LParen => Kind::RParen,
            Kind::LBracket => Kind::RBracket,
            Kind::LArray => Kind::RArray,
            Kind::LBrace => Kind::RBrace,
            Kind::LAnon => Kind::RAnon,
            Kind::LAttr => Kind::RAttr,
            Kind::Begin => Kind::EndWord,
            _ => return None,
        })
    }

    pub fn is_closer(self) -> bool {
        use Kind::{EndWord, RAnon, RArray, RAttr, RBrace, RBracket, RParen};
        matches!(self, RParen | RBracket | RArray | RBrace | RAnon | RAttr | EndWord)
    }

    /// Operators that stand between operands.
    pub fn is_infix(self) -> bool {
        use Kind::{
            Amp, Caret, ColonEq, Cons, Downcast, Eq, Greater, Less, Minus, Op, Or, Plus, Slash, Star,
            TypeTest, Upcast,
        };
        matches!(
            self,
            Amp | Caret
                | ColonEq
                | Cons
                | Downcast
                | Eq
                | Greater
                | Less
                | Minus
                | Op
                | Or
                | Plus
                | Slash
                | Star
                | TypeTest
                | Upcast
        )
    }
}

/// Skips to the end of a nested comment; `extras` says that it is not closed.
fn block_comment(lex: &mut Lexer<Kind>) {
    let rest = lex.remainder().as_bytes();
    let (mut depth, mut i) = (1usize, 0);
    while i < rest.len() {
        match (rest[i], rest.get(i + 1)) {
            (b'(', Some(b'*')) if rest.get(i + 2) != Some(&b')') => {
                depth += 1;
                i += 2;
            }
            (b'*', Some(b')')) => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return lex.bump(i);
                }
            }
            _ => i += 1,
        }
    }
    lex.extras = true;
    lex.bump(rest.len());
}

/// Where a text that has no closing quote is cut: at the end of its first line, so that the rest of the file is read.
fn cut(lex: &mut Lexer<Kind>) {
    let rest = lex.remainder();
    let end = rest.find('\n').unwrap_or(rest.len());
    lex.extras = true;
    lex.bump(rest[..end].trim_end_matches('\r').len());
}

/// Closes a text at `end` (the offset after the closing quote), unless the closing quote is more likely the opening
/// one of a later line's text: the text spans lines and an odd number of quotes follows on the closing line.
fn close(lex: &mut Lexer<Kind>, end: usize) {
    let rest = lex.remainder();
    let line_end = rest[end..].find('\n').map_or(rest.len(), |n| end + n);
    let spans_lines = rest.as_bytes()[..end].contains(&b'\n');
    if spans_lines && rest.as_bytes()[end..line_end].iter().filter(|&&b| b == b'"').count() % 2 == 1 {
        return cut(lex);
    }
    let suffix = usize::from(rest.as_bytes().get(end) == Some(&b'B'));
    lex.bump(end + suffix);
}

fn string(lex: &mut Lexer<Kind>) {
    let rest = lex.remainder().as_bytes();
    let mut i = 0;
    while i < rest.len() {
        match rest[i] {
            b'\\' => i += 2,
            b'"' => return close(lex, i + 1),
            _ => i += 1,
        }
    }
    cut(lex);
}

fn verbatim(lex: &mut Lexer<Kind>) {
    let rest = lex.remainder().as_bytes();
    let mut i = 0;
    while i < rest.len() {
        match (rest[i], rest.get(i + 1)) {
            (b'"', Some(b'"')) => i += 2,
            (b'"', _) => return close(lex, i + 1),
            _ => i += 1,
        }
    }
    cut(lex);
}

fn triple(lex: &mut Lexer<Kind>) {
    match lex.remainder().find("\"\"\"") {
        Some(end) => lex.bump(end + 3),
        None => cut(lex),
    }
}

fn interpolated(lex: &mut Lexer<Kind>) {
    let is_verbatim = lex.slice().contains('@');
    let rest = lex.remainder().as_bytes();
    let (mut i, mut depth) = (0, 0usize);
    while i < rest.len() {
        match (rest[i], rest.get(i + 1)) {
            (b'\\', _) if depth == 0 && !is_verbatim => i += 2,
            (b'{', Some(b'{')) if depth == 0 => i += 2,
            (b'{', _) => {
                depth += 1;
                i += 1;
            }
            (b'}', _) => {
                depth = depth.saturating_sub(1);
                i += 1;
            }
            // A text inside a hole: the language of F# forbids it here, so it must be the end of this text.
            (b'"', _) => return close(lex, i + 1),
            _ => i += 1,
        }
    }
    cut(lex);
}

fn interpolated_triple(lex: &mut Lexer<Kind>) {
    triple(lex);
}

/// The tokens of a text, and what is wrong with it.
pub type Lexed = (Vec<Token>, Vec<Diagnostic>);

/// Splits a file's text into tokens. The list does not hold an end token.
pub fn lex(file: FileId, text: &str) -> Lexed {
    lex_part(file, text, 0, text.len())
}

/// Splits `text[start..end]`; spans are those of the whole text.
pub(crate) fn lex_part(file: FileId, text: &str, start: usize, end: usize) -> Lexed {
    let part = &text[start..end];
    // Programs have a token for about three bytes; a list that has to grow is copied and takes twice the room.
    let tokens = Vec::with_capacity(part.len() / 8 * 3);
    let mut out = Builder { file, part, base: start, tokens, ..Builder::default() };
    let mut lexer = Kind::lexer(part);
    while let Some(kind) = lexer.next() {
        let range = lexer.span();
        match kind {
            Ok(Kind::BlockComment) if lexer.extras => {
                lexer.extras = false;
                let at = out.span(range.start, range.start + 2);
                out.diagnostics.push(
                    Diagnostic::error(codes::UNTERMINATED, at, "this comment is not closed")
                        .here("begins here")
                        .help("close it with `*)`"),
                );
            }
            Ok(Kind::BlockComment | Kind::LineComment) => {}
            Ok(Kind::IntDotDot) => {
                out.push(Kind::Int, range.start, range.end - 2);
                out.push(Kind::DotDot, range.end - 2, range.end);
            }
            Ok(kind) => {
                if lexer.extras {
                    lexer.extras = false;
                    out.unterminated(range.clone());
                }
                out.push(kind, range.start, range.end);
            }
            Err(()) => out.bad_character(range),
        }
    }
    (out.tokens, out.diagnostics)
}

#[derive(Default)]
struct Builder<'a> {
    file: FileId,
    part: &'a str,
    base: usize,
    tokens: Vec<Token>,
    diagnostics: Vec<Diagnostic>,
    /// End of the last token, and the place up to which `col` is known.
    last_end: usize,
    col_at: usize,
    col: u32,
    tab_reported: bool,
}

impl Builder<'_> {
    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, self.base + start, self.base + end)
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let bytes = self.part.as_bytes();
        let mut first = self.tokens.is_empty();
        // Newlines inside a token (a text over several lines) move the column too, but do not make the next one first.
        if let Some(n) = bytes[self.col_at..start].iter().rposition(|&b| b == b'\n') {
            let line = self.col_at + n + 1;
            first |= line > self.last_end;
            self.col_at = line;
            self.col = 0;
        }
        let between = &bytes[self.col_at..start];
        self.col += between.iter().filter(|&&b| b & 0xC0 != 0x80).count() as u32;
        if self.col_at == 0 && between.starts_with("\u{feff}".as_bytes()) {
            self.col -= 1;
        }
        self.col_at = start;
        if first && between.contains(&b'\t') && !self.tab_reported && kind != Kind::Doc {
            self.tab_reported = true;
            let span = self.span(start - between.len(), start);
            self.diagnostics.push(
                Diagnostic::error(codes::TAB_INDENT, span, "this line is indented with a tab")
                    .note("a tab has no agreed width, so the offside rule cannot compare it with spaces")
                    .help("indent with spaces; only the file's first tab is reported"),
            );
        }
        let glued = !self.tokens.is_empty() && start == self.last_end;
        let number = matches!(kind, Kind::Int | Kind::Float);
        if glued
            && kind == Kind::Ident
            && self.tokens.last().is_some_and(|t| matches!(t.kind, Kind::Int | Kind::Float))
        {
            self.bad_suffix(end);
            self.last_end = end;
            return;
        }
        let _ = number;
        self.last_end = end;
        self.tokens.push(Token { kind, span: self.span(start, end), col: self.col, first, glued });
    }

    /// `12abc`: the letters become part of the number's token, which the parser then need not report.
    fn bad_suffix(&mut self, end: usize) {
        let Some(last) = self.tokens.last().map(|t| t.span) else { return };
        let span = Span::new(self.file, last.start as usize, self.base + end);
        let letters = &self.part[last.end as usize - self.base..end];
        self.diagnostics.push(
            Diagnostic::error(codes::BAD_LITERAL, span, format!("`{letters}` is no suffix of a number"))
                .help("suffixes are y uy s us l u ul L UL n un for integers, f for float32; put a space before a name"),
        );
    }

    fn unterminated(&mut self, range: std::ops::Range<usize>) {
        let span = self.span(range.start, range.end);
        self.diagnostics.push(
            Diagnostic::error(codes::UNTERMINATED, span, "this text is not closed")
                .here("begins here")
                .help("close it with `\"` (or `\"\"\"` for a text that began so)"),
        );
    }

    fn bad_character(&mut self, range: std::ops::Range<usize>) {
        let slice = &self.part[range.clone()];
        let span = self.span(range.start, range.end);
        // A run of them is one problem.
        if let Some(last) = self.diagnostics.last_mut()
            && last.code == codes::BAD_CHARACTER
            && let Some(label) = last.labels.first_mut()
            && label.span.end == span.start
        {
            label.span.end = span.end;
            return;
        }
        let (headline, help) = match slice {
            "'" => {
                ("this character is not closed".to_string(), "a character is written `'a'`, a text `\"a\"`")
            }
            "`" => ("a lone backquote".to_string(), "a quoted name is written between double backquotes"),
            _ => (format!("`{}` begins nothing in Clef", slice.escape_debug()), "remove it"),
        };
        let code = if slice == "'" { codes::UNTERMINATED } else { codes::BAD_CHARACTER };
        self.diagnostics.push(Diagnostic::error(code, span, headline).help(help));
    }
}
