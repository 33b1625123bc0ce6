//! Declarations: the file's head, modules, bindings, externs, attributes. Types are in [`super::typedef`].

use super::grammar::{
    Parser, Rule, ahead, anchored, by_hand, expected, ident, next, path, place, text, token, token_if,
};
use super::operators::binary;
use super::pattern::{atomic_patterns, pattern};
use super::state::Ctx;
use super::state::State;
use super::types::{type_expr, type_params};
use crate::ast::{
    Attribute, AttributeArg, Binding, BindingHead, Decl, DeclKind, Expr, ExprKind, ExternDecl, ExternParam,
    File, Ident, LetGroup, ModuleHeader, Pattern, TypeExpr,
};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::lex::Kind;
use crate::span::Span;
use chumsky::primitive::{choice, empty};
use chumsky::{IterParser as _, Parser as _};
use std::cell::Cell;
use ustr::Ustr;

/// A whole file: the entry of the grammar.
pub(super) fn file<'s>() -> impl Rule<'s, File> {
    by_hand(|p| p.file())
}

// ---- attributes

/// `A`, `B("x", Name = 1)`, `assembly: X`, and the signs that separate it from the next.
fn attribute<'s>() -> impl Rule<'s, Attribute> {
    // A target before `:` says nothing here.
    let target = path("of an attribute")
        .foldl(token(Kind::Colon).ignore_then(path("of an attribute")).repeated().at_most(1), |_, path| path);
    let args = ahead(|s| s.cur() == Kind::LParen).ignore_then(by_hand(|p| p.attribute_args()));
    let sign = token_if(|s| matches!(s.raw(), Kind::Semi | Kind::Comma));
    ahead(|s| s.raw() == Kind::Ident)
        .ignore_then(anchored())
        .ignore_then(target.then(args.or_not()))
        .map_with(|(path, args), at| Attribute { path, args: args.unwrap_or_default(), span: place(at) })
        .then_ignore(sign.repeated())
}

fn attribute_arg<'s>() -> impl Rule<'s, AttributeArg> {
    let name = ahead(|s| s.kind_at(0) == Kind::Ident && s.kind_at(1) == Kind::Eq)
        .ignore_then(ident("of an argument"))
        .then_ignore(next());
    name.or_not().then(binary()).map(|(name, value)| AttributeArg { name, value })
}

// ---- heads of bindings

/// Words between `let` and the name.
#[derive(Clone, Copy, Default)]
struct Words {
    is_inline: bool,
    is_mutable: bool,
    is_private: bool,
}

/// Everything of a binding before its `=`.
fn binding_head<'s>() -> impl Rule<'s, (Words, BindingHead, Option<TypeExpr>)> {
    let word = token_if(|s| {
        use Kind::{Inline, Internal, Mutable, Private, Public};
        matches!(s.cur(), Inline | Mutable | Private | Internal | Public)
    });
    let words = empty().map(|()| Words::default()).foldl(word.repeated(), |words, token| Words {
        is_inline: words.is_inline || token.kind == Kind::Inline,
        is_mutable: words.is_mutable || token.kind == Kind::Mutable,
        is_private: words.is_private || token.kind == Kind::Private,
    });
    let nothing = ahead(|s| matches!(s.cur(), Kind::End | Kind::Eq | Kind::Colon))
        .ignore_then(expected("a name or pattern after `let`", |_| ()))
        .ignore_then(by_hand(|p| p.missing_ident()))
        .map(|name| BindingHead::Name { name, type_params: Vec::new(), params: Vec::new() });
    let by_pattern = pattern(false, true).map(BindingHead::Pattern);
    let head = choice((named_head(), active_pattern(), nothing, by_pattern));
    let ret = token(Kind::Colon).ignore_then(type_expr()).or_not();
    words.then(head).then(ret).map(|((words, head), ret)| (words, head, ret))
}

/// `f<'a> x y`, `(+) a b`, `x`.
fn named_head<'s>() -> impl Rule<'s, BindingHead> {
    let begins_pattern =
        |kind| matches!(kind, Kind::Comma | Kind::Cons | Kind::As | Kind::Bar | Kind::Amp | Kind::Dot);
    let name = ahead(move |s| s.cur() == Kind::Ident && !begins_pattern(s.kind_at(1))).ignore_then(ident(""));
    name.or(operator_name())
        .then(type_params())
        .then(atomic_patterns())
        .map(|((name, type_params), params)| BindingHead::Name { name, type_params, params })
}

/// `(+)`, `(*)`.
fn operator_name<'s>() -> impl Rule<'s, Ident> {
    let star = token(Kind::ParenStar).map(|t| Ident { name: Ustr::from("*"), span: t.span });
    let other = token_if(State::operator_in_parens)
        .ignore_then(next())
        .then_ignore(next())
        .map_with(|op, at| Ident { name: Ustr::from(text(at, op)), span: op.span });
    star.or(other)
}

/// `(|Even|Odd|) n`, `(|Int|_|) text`.
fn active_pattern<'s>() -> impl Rule<'s, BindingHead> {
    let opens = token_if(|s| s.cur() == Kind::LParen && s.kind_at(1) == Kind::Bar);
    let part = token_if(|s| matches!(s.cur(), Kind::Ident | Kind::Underscore | Kind::Bar));
    let parts =
        empty().map(|()| (Vec::new(), false)).foldl_with(part.repeated(), |(mut cases, open), part, at| {
            if part.kind == Kind::Ident {
                let name = Ustr::from(text(at, part).trim_matches('`'));
                cases.push(Ident { name, span: part.span });
            }
            (cases, open || part.kind == Kind::Underscore)
        });
    let closes =
        token(Kind::RParen).ignored().or(expected("`|)` after the cases of an active pattern", |_| ()));
    opens
        .ignore_then(parts)
        .then_ignore(closes)
        .map_with(|(cases, partial), at| (cases, partial, place(at)))
        .then(atomic_patterns())
        .map(|((cases, partial, span), params)| BindingHead::ActivePattern { cases, partial, params, span })
}

impl Parser<'_, '_, '_> {
    fn file(&mut self) -> File {
        let span = Span::new(self.file, 0, self.text.len());
        let header = self.header_of_file();
        let mut decls = Vec::new();
        while self.token().kind != Kind::End {
            // A file's margin is where its first declaration stands; normally column 0.
            let t = self.token();
            self.ctx = Ctx { col: t.col, floor: i64::from(t.col), soft: false };
            self.decls(&mut decls);
        }
        File { header, decls, span }
    }

    fn header_of_file(&mut self) -> Option<ModuleHeader> {
        let start = self.pos;
        let doc = self.doc_before(start);
        // Attributes may belong to the header or to the first declaration; look past them.
        let mut ahead = self.pos;
        while self.token_at(ahead).kind == Kind::LAttr {
            while !matches!(self.token_at(ahead).kind, Kind::RAttr | Kind::End) {
                ahead += 1;
            }
            ahead += 1;
        }
        let mut after = ahead + 1;
        while matches!(
            self.token_at(after).kind,
            Kind::Ident | Kind::Dot | Kind::Rec | Kind::Private | Kind::Internal | Kind::Public
        ) && !(self.token_at(after).first && self.token_at(after).col == 0)
        {
            after += 1;
        }
        let is_namespace = match self.token_at(ahead).kind {
            Kind::Namespace => true,
            Kind::Module if self.token_at(after).kind != Kind::Eq => false,
            _ => return None,
        };
        self.anchor = self.pos;
        let attributes = self.attributes();
        self.anchor = self.pos;
        self.bump();
        while matches!(self.raw(), Kind::Rec | Kind::Private | Kind::Internal | Kind::Public) {
            self.bump();
        }
        let path = self.path(if is_namespace { "after `namespace`" } else { "after `module`" });
        self.end_of_decl(start);
        Some(ModuleHeader { path, is_namespace, attributes, doc })
    }

    /// Declarations at the column of the context.
    fn decls(&mut self, out: &mut Vec<Decl>) {
        let block = self.ctx;
        loop {
            let t = self.token();
            if t.kind == Kind::End || t.first && t.col < block.col {
                return;
            }
            self.ctx = Ctx { floor: i64::from(block.col), ..block };
            let before = self.pos;
            let start = t.span;
            out.push(self.decl());
            self.end_of_decl(before);
            if let Some(last) = out.last_mut() {
                last.span = self.span_from(start);
            }
        }
    }

    /// Reports what follows a declaration on its lines, and moves to the next one.
    fn end_of_decl(&mut self, before: usize) {
        while !self.recovering && self.kind_at(0) == Kind::Semi && !self.token().first {
            self.bump();
        }
        let t = self.token();
        if t.kind == Kind::End {
            self.recovering = false;
            return;
        }
        let at_margin = t.first && t.col <= self.ctx.col;
        if !self.recovering && at_margin && self.pos > before {
            return;
        }
        if !self.recovering {
            self.unexpected();
        }
        if self.pos == before {
            self.pos += 1;
        }
        self.sync_to_line();
    }

    fn decl(&mut self) -> Decl {
        let start = self.token().span;
        let doc = self.doc_before(self.pos);
        self.anchor = self.pos;
        let attributes = self.attributes();
        let doc = doc.or_else(|| self.doc_before(self.pos));
        self.anchor = self.pos;
        let mut own = Vec::new();
        let kind = match self.raw() {
            Kind::Open => self.open_decl(),
            Kind::Module => self.module(),
            Kind::Let | Kind::Use => {
                own = attributes;
                let group = self.let_group(Vec::new());
                self.let_in(group)
            }
            Kind::Type => return self.types(attributes, doc, start),
            Kind::Extern => {
                own = attributes;
                self.extern_decl()
            }
            Kind::Do => {
                own = attributes;
                self.bump();
                DeclKind::Do(self.block("after `do`"))
            }
            Kind::Namespace => {
                self.error(
                    Diagnostic::error(codes::SYNTAX, start, "`namespace` stands at the head of a file only")
                        .help("use `module NAME =` for a part of a file"),
                );
                DeclKind::Error
            }
            Kind::Exception => {
                self.unsupported(
                    codes::NO_EXCEPTIONS,
                    start,
                    "`exception` is outside the subset",
                    "describe failures by a union and return them in a `Result`",
                );
                self.skip_rest_of_decl();
                DeclKind::Error
            }
            Kind::Hash => {
                self.unsupported(
                    codes::NO_DIRECTIVES,
                    start,
                    "compiler directives are outside the subset",
                    "choose files and targets in the project file",
                );
                self.skip_rest_of_decl();
                DeclKind::Error
            }
            Kind::Member | Kind::Static | Kind::Override | Kind::Abstract => {
                let span = self.token().span;
                self.error(
                    Diagnostic::error(codes::SYNTAX, span, "a member stands outside a type")
                        .help("indent it under its `type`"),
                );
                DeclKind::Error
            }
            kind if super::expr::starts_expr(kind) || self.prefix_text(&self.token()) => {
                own = attributes;
                DeclKind::Do(self.full_expr())
            }
            _ => {
                self.expected("a declaration");
                DeclKind::Error
            }
        };
        Decl { kind, attributes: own, doc, span: self.span_from(start) }
    }

    /// Skips a form that has been reported to the next line at its margin.
    pub(super) fn skip_rest_of_decl(&mut self) {
        self.bump();
        while let Some(t) = self.tokens.get(self.pos).map(Cell::get) {
            if t.first && t.col <= self.ctx.col {
                break;
            }
            self.pos += 1;
        }
    }

    /// `let x = a in e` at top level is an expression.
    fn let_in(&mut self, group: LetGroup) -> DeclKind {
        if !self.continues(Kind::In) {
            return DeclKind::Let(group);
        }
        self.bump();
        let body = Box::new(self.block("after `in`"));
        let span = group.bindings.first().map_or(body.span, |b| b.span.to(body.span));
        DeclKind::Do(Expr { kind: ExprKind::Let { group, body }, span })
    }

    fn open_decl(&mut self) -> DeclKind {
        let open = next().ignore_then(token(Kind::Type).or_not()).ignore_then(path("after `open`"));
        self.run(open).map_or(DeclKind::Error, DeclKind::Open)
    }

    fn module(&mut self) -> DeclKind {
        self.bump();
        while matches!(self.raw(), Kind::Rec | Kind::Private | Kind::Internal | Kind::Public) {
            self.bump();
        }
        let name = self.ident("after `module`");
        if !self.expect(Kind::Eq, "`=` after the module's name") {
            return DeclKind::Module { name, decls: Vec::new() };
        }
        let t = self.token();
        if !t.first && t.kind == Kind::Ident {
            return DeclKind::ModuleAlias { name, target: self.path("of a module") };
        }
        let begin = !t.first && t.kind == Kind::Begin;
        if begin {
            self.bump();
        }
        let mut decls = Vec::new();
        let inner = self.block_ctx(|p| {
            p.decls(&mut decls);
        });
        if inner.is_none() {
            self.expected("declarations after `module NAME =`");
        }
        if begin && self.kind_at(0) == Kind::EndWord {
            self.bump();
        }
        DeclKind::Module { name, decls }
    }

    // ---- attributes

    /// `[<A; B("x", Name = 1)>]`, any number of lists.
    pub(super) fn attributes(&mut self) -> Vec<Attribute> {
        let mut out = Vec::new();
        while self.raw() == Kind::LAttr && (self.cur() == Kind::LAttr || self.token().col == self.ctx.col) {
            let list = self.bracketed(|p| p.run(attribute().repeated().collect::<Vec<_>>()));
            out.extend(list.into_iter().flatten());
            self.anchor = self.pos;
        }
        out
    }

    fn attribute_args(&mut self) -> Vec<AttributeArg> {
        self.bracketed(|p| {
            let mut out = Vec::new();
            while !p.recovering && !p.token().kind.is_closer() && p.kind_at(0) != Kind::End {
                out.extend(p.run(attribute_arg()));
                if !p.eat(Kind::Comma) {
                    break;
                }
            }
            out
        })
    }

    // ---- bindings

    /// `let [rec] .. and ..`; the word is at hand.
    pub(super) fn let_group(&mut self, attributes: Vec<Attribute>) -> LetGroup {
        let word = self.bump();
        let is_use = word.kind == Kind::Use;
        let is_rec = self.eat(Kind::Rec);
        // Nearly always one; a vector that grows by itself starts with room for four, of 400 bytes each.
        let mut bindings = Vec::with_capacity(1);
        let mut attributes = attributes;
        loop {
            bindings.push(self.binding(std::mem::take(&mut attributes), is_use));
            if self.recovering || !self.continues(Kind::And) {
                break;
            }
            self.bump();
            attributes = self.attributes();
        }
        LetGroup { is_rec, bindings }
    }

    fn binding(&mut self, attributes: Vec<Attribute>, is_use: bool) -> Binding {
        let start = self.prev_span();
        let (words, head, ret) = self.run(binding_head()).unwrap_or_else(|| {
            let name = self.missing_ident();
            (Words::default(), BindingHead::Name { name, type_params: Vec::new(), params: Vec::new() }, None)
        });
        let body = if self.eat(Kind::Eq) {
            self.binding_body()
        } else {
            self.expected(&equals_after(&head));
            self.error_expr()
        };
        Binding {
            attributes,
            is_inline: words.is_inline,
            is_mutable: words.is_mutable,
            is_private: words.is_private,
            is_use,
            head,
            ret,
            body,
            span: self.span_from(start),
        }
    }

    /// The body after `=`, which an operator on a later line may continue.
    pub(super) fn binding_body(&mut self) -> Expr {
        let soft = !self.token().first;
        let body = self.block_ctx(|p| {
            p.ctx.soft = soft;
            p.lines()
        });
        match body {
            Some(e) => e,
            None => {
                self.expected("an expression after `=`");
                self.error_expr()
            }
        }
    }

    /// `(+)` or nothing.
    pub(super) fn operator_name(&mut self) -> Option<Ident> {
        self.run(operator_name())
    }

    pub(super) fn params(&mut self) -> Vec<Pattern> {
        self.run(atomic_patterns()).unwrap_or_default()
    }

    // ---- externs

    fn extern_decl(&mut self) -> DeclKind {
        self.bump();
        let mut ret = self.atomic_type();
        while self.cur() == Kind::LBracket && self.kind_at(1) == Kind::RBracket {
            self.pos += 2;
            let span = self.span_from(ret.span);
            ret = crate::ast::TypeExpr { kind: crate::ast::TypeExprKind::Array(Box::new(ret)), span };
        }
        let name = self.ident("of the function after the result's type");
        let params = if self.cur() == Kind::LParen {
            self.bracketed(|p| {
                let mut out = Vec::new();
                while !p.recovering && p.kind_at(0) != Kind::RParen && p.kind_at(0) != Kind::End {
                    out.push(p.extern_param());
                    if !p.eat(Kind::Comma) {
                        break;
                    }
                }
                out
            })
        } else {
            self.expected("`(` before the parameters of an extern");
            Vec::new()
        };
        DeclKind::Extern(ExternDecl { ret, name, params })
    }

    /// `name: type`, `type name` or `type`.
    fn extern_param(&mut self) -> ExternParam {
        if self.token().first {
            self.anchor = self.pos;
        }
        let attributes = self.attributes();
        if self.kind_at(0) == Kind::Ident && self.kind_at(1) == Kind::Colon {
            let name = self.ident("of a parameter");
            self.bump();
            return ExternParam { attributes, name: Some(name), ty: self.type_expr() };
        }
        let ty = self.atomic_type();
        let name = if self.cur() == Kind::Ident { Some(self.ident("of a parameter")) } else { None };
        ExternParam { attributes, name, ty }
    }
}

/// What stands between a binding's head and its body, for the message that it is missing.
fn equals_after(head: &BindingHead) -> String {
    match head {
        BindingHead::Name { name, params, .. } if params.is_empty() => format!("`=` after `{}`", name.name),
        BindingHead::Name { name, .. } => format!("`=` after the parameters of `{}`", name.name),
        _ => "`=` after the pattern".to_string(),
    }
}
