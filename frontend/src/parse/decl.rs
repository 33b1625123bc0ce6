//! Declarations: the file's head, modules, bindings, externs, attributes. Types are in [`super::typedef`].

use super::{Ctx, Parser};
use crate::ast::{
    Attribute, AttributeArg, Binding, BindingHead, Decl, DeclKind, Expr, ExprKind, ExternDecl, ExternParam,
    File, Ident, LetGroup, ModuleHeader, Pattern,
};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::lex::Kind;
use crate::span::Span;
use ustr::Ustr;

impl Parser<'_> {
    pub(super) fn file(&mut self) -> File {
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
                self.error(
                    Diagnostic::error(codes::SYNTAX, self.token().span, "a member stands outside a type")
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
        while let Some(t) = self.tokens.get(self.pos) {
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
        self.bump();
        if self.cur() == Kind::Type {
            self.bump();
        }
        DeclKind::Open(self.path("after `open`"))
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
            self.bracketed(|p| {
                while p.raw() == Kind::Ident {
                    let start = p.token().span;
                    p.anchor = p.pos;
                    let mut path = p.path("of an attribute");
                    // `[<assembly: X>]` and the like: the target says nothing here.
                    if p.cur() == Kind::Colon {
                        p.bump();
                        path = p.path("of an attribute");
                    }
                    let args = if p.cur() == Kind::LParen { p.attribute_args() } else { Vec::new() };
                    out.push(Attribute { path, args, span: p.span_from(start) });
                    while matches!(p.raw(), Kind::Semi | Kind::Comma) {
                        p.bump();
                    }
                }
            });
            self.anchor = self.pos;
        }
        out
    }

    fn attribute_args(&mut self) -> Vec<AttributeArg> {
        self.bracketed(|p| {
            let mut out = Vec::new();
            while !p.recovering && !p.token().kind.is_closer() && p.kind_at(0) != Kind::End {
                let name = if p.kind_at(0) == Kind::Ident && p.kind_at(1) == Kind::Eq {
                    let name = p.ident("of an argument");
                    p.bump();
                    Some(name)
                } else {
                    None
                };
                out.push(AttributeArg { name, value: p.binary(0) });
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
        let (mut is_inline, mut is_mutable, mut is_private) = (false, false, false);
        loop {
            match self.cur() {
                Kind::Inline => is_inline = true,
                Kind::Mutable => is_mutable = true,
                Kind::Private => is_private = true,
                Kind::Internal | Kind::Public => {}
                _ => break,
            }
            self.bump();
        }
        let head = self.binding_head();
        let ret = if self.eat(Kind::Colon) { Some(self.type_expr()) } else { None };
        let body = if self.eat(Kind::Eq) {
            self.binding_body()
        } else {
            self.expected(&equals_after(&head));
            self.error_expr()
        };
        Binding {
            attributes,
            is_inline,
            is_mutable,
            is_private,
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

    /// `(+)`, `(|A|_|)` or nothing, at `(`.
    pub(super) fn operator_name(&mut self) -> Option<Ident> {
        let t = self.token();
        if t.kind == Kind::ParenStar {
            self.bump();
            return Some(Ident { name: Ustr::from("*"), span: t.span });
        }
        let op = self.token_at(self.pos + 1);
        let is_op = op.kind.is_infix() || op.kind == Kind::Op;
        if t.kind != Kind::LParen || !is_op || self.kind_at(2) != Kind::RParen {
            return None;
        }
        self.pos += 3;
        Some(Ident { name: Ustr::from(self.slice(op.span)), span: op.span })
    }

    fn binding_head(&mut self) -> BindingHead {
        let start = self.token().span;
        match self.cur() {
            Kind::LParen if self.kind_at(1) == Kind::Bar => return self.active_pattern(start),
            Kind::LParen | Kind::ParenStar => {
                if let Some(name) = self.operator_name() {
                    return self.named_head(name);
                }
            }
            Kind::Ident => {
                let pattern = matches!(
                    self.kind_at(1),
                    Kind::Comma | Kind::Cons | Kind::As | Kind::Bar | Kind::Amp | Kind::Dot
                );
                if !pattern {
                    let t = self.bump();
                    let name = self.ident_of(t);
                    return self.named_head(name);
                }
            }
            Kind::End | Kind::Eq | Kind::Colon => {
                self.expected("a name or pattern after `let`");
                let name = self.missing_ident();
                return BindingHead::Name { name, type_params: Vec::new(), params: Vec::new() };
            }
            _ => {}
        }
        BindingHead::Pattern(self.pattern())
    }

    fn named_head(&mut self, name: Ident) -> BindingHead {
        let type_params = self.type_params();
        BindingHead::Name { name, type_params, params: self.params() }
    }

    pub(super) fn params(&mut self) -> Vec<Pattern> {
        let mut params = Vec::new();
        while self.starts_pattern() {
            params.push(self.atomic_pattern());
        }
        params
    }

    fn active_pattern(&mut self, start: Span) -> BindingHead {
        self.bump();
        self.bump();
        let mut cases = Vec::new();
        let mut partial = false;
        loop {
            match self.cur() {
                Kind::Ident => {
                    let t = self.bump();
                    cases.push(self.ident_of(t));
                }
                Kind::Underscore => {
                    self.bump();
                    partial = true;
                }
                Kind::Bar => {
                    self.bump();
                }
                Kind::RParen => {
                    self.bump();
                    break;
                }
                _ => {
                    self.expected("`|)` after the cases of an active pattern");
                    break;
                }
            }
        }
        let span = self.span_from(start);
        BindingHead::ActivePattern { cases, partial, params: self.params(), span }
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
