//! Type definitions and their members.

use super::grammar::{Parser, Rule, ahead, ident, next, token};
use super::state::Ctx;
use super::types::postfix_type;
use crate::ast::{
    Attribute, CaseDef, Decl, DeclKind, FieldDef, Ident, LetGroup, Lit, Member, MemberForm, Pattern,
    PatternKind, TypeDef, TypeDefKind, TypeExpr,
};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::lex::Kind;
use crate::span::Span;
use chumsky::{IterParser as _, Parser as _};
use std::cell::Cell;
use ustr::Ustr;

/// `int * radius: float` after `of`.
fn case_fields<'s>() -> impl Rule<'s, Vec<(Option<Ident>, TypeExpr)>> {
    let name = ahead(|s| s.cur_operand() == Kind::Ident && s.kind_at(1) == Kind::Colon)
        .ignore_then(ident("of a field"))
        .then_ignore(next());
    name.or_not().then(postfix_type()).separated_by(token(Kind::Star)).at_least(1).collect()
}

impl Parser<'_, '_, '_> {
    /// `type .. and ..`; the attributes go to the first definition.
    pub(super) fn types(&mut self, attributes: Vec<Attribute>, doc: Option<String>, start: Span) -> Decl {
        let mut defs = Vec::new();
        let (mut attributes, mut own_doc) = (attributes, doc);
        loop {
            let at = self.bump().span;
            let late = self.attributes();
            attributes.extend(late);
            defs.push(self.type_def(std::mem::take(&mut attributes), own_doc.take(), at));
            if self.recovering || !self.continues(Kind::And) {
                break;
            }
            own_doc = self.doc_before(self.pos);
        }
        Decl { kind: DeclKind::Types(defs), attributes: Vec::new(), doc: None, span: self.span_from(start) }
    }

    fn type_def(&mut self, attributes: Vec<Attribute>, doc: Option<String>, start: Span) -> TypeDef {
        while matches!(self.raw(), Kind::Private | Kind::Internal | Kind::Public) {
            self.bump();
        }
        // `type 'T box` is old style; names come first here.
        let name = self.ident("after `type`");
        let params = self.type_params();
        let is_measure = attributes.iter().any(|a| a.path.last().is_some_and(|n| n.name == "Measure"));
        let mut members = Vec::new();
        let kind = if is_measure {
            let formula = self.eat(Kind::Eq).then(|| self.measure());
            TypeDefKind::Measure(formula)
        } else {
            self.type_body(&mut members)
        };
        TypeDef { attributes, doc, name, params, kind, members, span: self.span_from(start) }
    }

    fn type_body(&mut self, members: &mut Vec<Member>) -> TypeDefKind {
        while matches!(self.cur(), Kind::Private | Kind::Internal | Kind::Public) {
            self.bump();
        }
        let constructor = if self.cur() == Kind::LParen { Some(self.atomic_pattern()) } else { None };
        if constructor.is_some() && self.cur() == Kind::As {
            self.bump();
            self.ident("after `as`");
        }
        if self.cur() == Kind::With {
            let span = self.token().span;
            self.unsupported(
                codes::NO_MEMBER_FORM,
                span,
                "adding members to an existing type is outside the subset",
                "write a module of functions with the type's name",
            );
            self.bump();
            self.members_block(members);
            return TypeDefKind::Error(Some("extension".into()));
        }
        if !self.expect(Kind::Eq, "`=` after the type's name") {
            return TypeDefKind::Error(None);
        }
        if let Some(pattern) = constructor {
            let params = constructor_params(pattern);
            let mut lets = Vec::new();
            if self.block_ctx(|p| p.class_body(&mut lets, members)).is_none() {
                self.expected("members after `=`");
            }
            return TypeDefKind::Class { params, lets };
        }
        let kind = self.block_ctx(|p| {
            while matches!(p.raw(), Kind::Private | Kind::Internal | Kind::Public) {
                p.bump();
            }
            let kind = p.type_representation();
            p.anchor = usize::MAX;
            if p.recovering {
                p.sync_to_line();
            }
            p.members(members);
            kind
        });
        let Some(kind) = kind else {
            self.expected("a definition after `=`");
            return TypeDefKind::Error(None);
        };
        // Members may stand left of the representation, at any column right of `type`.
        let t = self.token();
        if !self.recovering && t.first && i64::from(t.col) > self.ctx.floor && begins_member(t.kind) {
            self.members_block(members);
        }
        kind
    }

    fn members_block(&mut self, out: &mut Vec<Member>) {
        self.block_ctx(|p| p.members(out));
    }

    fn type_representation(&mut self) -> TypeDefKind {
        match self.raw() {
            Kind::LBrace => self.record_def(),
            Kind::Bar => self.cases(),
            Kind::Ident if matches!(self.kind_at(1), Kind::Of | Kind::Bar | Kind::Eq) => self.cases(),
            Kind::Class
            | Kind::Interface
            | Kind::Struct
            | Kind::Delegate
            | Kind::Inherit
            | Kind::Abstract => self.unsupported_type(),
            kind if begins_member(kind) || kind == Kind::Let => {
                let span = self.token().span;
                self.error(
                    Diagnostic::error(
                        codes::NO_MEMBER_FORM,
                        span,
                        "a type of members only needs a constructor",
                    )
                    .help("write `type NAME() =` before the members, or use a module of functions"),
                );
                TypeDefKind::Error(None)
            }
            _ => TypeDefKind::Abbreviation(self.type_expr()),
        }
    }

    fn unsupported_type(&mut self) -> TypeDefKind {
        let t = self.token();
        let form = self.slice(t.span).to_string();
        let (code, help) = match t.kind {
            Kind::Delegate => (codes::NO_DELEGATES, "use a function type such as `int -> int`"),
            Kind::Class | Kind::Struct => {
                (codes::NO_MEMBER_FORM, "write a record, or `type NAME(args) =` with members")
            }
            _ => (codes::NO_CLASSES, "use a record of functions, or a union and `match`"),
        };
        self.unsupported(code, t.span, &format!("`{form}` is outside the subset"), help);
        // Lines of the form may stand at its own column; the whole definition is skipped.
        while let Some(t) = self.tokens.get(self.pos).map(Cell::get) {
            if t.first && t.col < self.ctx.col {
                break;
            }
            self.pos += 1;
        }
        TypeDefKind::Error(Some(form))
    }

    fn record_def(&mut self) -> TypeDefKind {
        let fields = self.bracketed(|p| {
            let mut out = Vec::new();
            while !p.recovering && !p.token().kind.is_closer() && p.kind_at(0) != Kind::End {
                let outer = p.ctx;
                p.anchor = p.pos;
                let doc = p.doc_before(p.pos);
                let attributes = p.attributes();
                let is_mutable = p.eat(Kind::Mutable);
                let name = p.ident("of a field");
                p.expect(Kind::Colon, "`:` after the field's name");
                let ty = p.type_expr();
                out.push(FieldDef { attributes, name, ty, is_mutable, doc });
                if p.recovering {
                    p.skip_line(p.pos);
                    if p.token().col < outer.col {
                        break;
                    }
                }
                let mut more = false;
                while p.kind_at(0) == Kind::Semi {
                    p.bump();
                    more = true;
                }
                let t = p.token();
                if !(more || t.first && t.col == p.ctx.col) {
                    break;
                }
            }
            out
        });
        TypeDefKind::Record(fields)
    }

    /// Cases of a union or enum.
    fn cases(&mut self) -> TypeDefKind {
        let mut cases = Vec::new();
        let mut values = Vec::new();
        loop {
            let bar = self.continues(Kind::Bar) || self.pos == self.anchor && self.raw() == Kind::Bar;
            if !(bar || cases.is_empty() && values.is_empty()) {
                break;
            }
            let t = self.token();
            let doc = self.doc_before(self.pos);
            let outer = self.ctx;
            self.ctx = Ctx { col: t.col, floor: i64::from(t.col).min(outer.floor.max(0)), soft: false };
            if bar {
                self.bump();
            } else {
                self.anchor = self.pos;
            }
            self.attributes();
            let name = self.ident("of a case");
            if self.eat(Kind::Eq) {
                values.push((name, self.unary()));
            } else {
                let fields =
                    if self.eat(Kind::Of) { self.run(case_fields()).unwrap_or_default() } else { Vec::new() };
                cases.push(CaseDef { name, fields, doc });
            }
            if self.recovering {
                self.sync_to_line();
            }
            self.ctx = outer;
        }
        if values.is_empty() {
            return TypeDefKind::Union(cases);
        }
        if let Some(case) = cases.first() {
            let span = case.name.span;
            self.diagnostics.push(
                Diagnostic::error(
                    codes::SYNTAX,
                    span,
                    format!("the enum's case `{}` has no value", case.name.name),
                )
                .help("give every case a value, or none for a union"),
            );
        }
        TypeDefKind::Enum(values)
    }

    // ---- members

    fn class_body(&mut self, lets: &mut Vec<LetGroup>, members: &mut Vec<Member>) {
        loop {
            let before = self.pos;
            self.anchor = self.pos;
            match self.raw() {
                Kind::Let => lets.push(self.let_group(Vec::new())),
                Kind::Do => {
                    let span = self.bump().span;
                    self.unsupported(
                        codes::NO_MEMBER_FORM,
                        span,
                        "`do` in a type is outside the subset",
                        "do it where the value is made",
                    );
                    self.block("after `do`");
                }
                _ => break,
            }
            if self.recovering {
                self.skip_line(before);
            }
            let t = self.token();
            if !(t.first && t.col == self.ctx.col) {
                break;
            }
        }
        self.members(members);
    }

    /// Members at the block's column; `with` before the first is allowed.
    fn members(&mut self, out: &mut Vec<Member>) {
        if self.raw() == Kind::With && self.token().first {
            self.bump();
            return self.members_block(out);
        }
        loop {
            let t = self.token();
            if self.recovering || t.kind == Kind::End || t.first && t.col < self.ctx.col {
                return;
            }
            if !begins_member(t.kind) {
                return;
            }
            let before = self.pos;
            let outer = self.ctx;
            self.ctx.floor = i64::from(t.col);
            self.ctx.col = t.col;
            self.anchor = self.pos;
            self.member(out);
            if self.recovering {
                self.skip_line(before);
            }
            self.ctx = outer;
        }
    }

    fn member(&mut self, out: &mut Vec<Member>) {
        let start = self.token().span;
        let doc = self.doc_before(self.pos);
        let attributes = self.attributes();
        let is_static = self.raw() == Kind::Static;
        if is_static {
            self.bump();
        }
        let word = self.token();
        let mut form = MemberForm::Plain;
        match self.raw() {
            Kind::Member if self.kind_at(1) != Kind::Val => {
                self.bump();
            }
            // The one thing that every type has and may replace: its text.
            Kind::Override
                if self.kind_at(2) == Kind::Dot
                    && self.slice(self.token_at(self.pos + 3).span) == "ToString" =>
            {
                self.bump();
                form = MemberForm::Override;
            }
            _ => return self.unsupported_member(),
        }
        while matches!(self.cur(), Kind::Inline | Kind::Private | Kind::Internal | Kind::Public) {
            self.bump();
        }
        let mut this = None;
        if !is_static && matches!(self.cur(), Kind::Ident | Kind::Underscore) && self.kind_at(1) == Kind::Dot
        {
            let t = self.bump();
            this = Some(self.ident_of(t));
            self.bump();
        }
        let name = match self.operator_name() {
            Some(name) => name,
            None => self.ident("of a member"),
        };
        if !is_static && this.is_none() && !self.recovering {
            let d = Diagnostic::error(
                codes::SYNTAX,
                word.span.to(name.span),
                "this member names no value of its type",
            )
            .help(format!("write `member this.{0}`, or `static member {0}`", name.name));
            self.diagnostics.push(d);
        }
        let type_params = self.type_params();
        let params = self.params();
        let ret = if self.eat(Kind::Colon) { Some(self.type_expr()) } else { None };
        let head = Member {
            form,
            attributes,
            doc,
            is_static,
            this,
            name,
            type_params,
            params,
            ret,
            body: self.error_expr(),
            span: start,
        };
        if self.cur() == Kind::With && form == MemberForm::Plain {
            return self.accessors(&head, out);
        }
        let body = if self.expect(Kind::Eq, "`=` after the member's parameters") {
            self.binding_body()
        } else {
            self.error_expr()
        };
        out.push(Member { body, span: self.span_from(start), ..head });
    }

    /// `with get () = .. and set v = ..`: a member that reads, and one that writes.
    fn accessors(&mut self, head: &Member, out: &mut Vec<Member>) {
        self.bump();
        loop {
            let word = self.token();
            let writes = match self.slice(word.span) {
                "get" if self.cur() == Kind::Ident => false,
                "set" if self.cur() == Kind::Ident => true,
                _ => return self.expected("`get` or `set`"),
            };
            self.bump();
            let mut params = self.params();
            if !writes && matches!(params.as_slice(), [p] if p.kind == PatternKind::Lit(Lit::Unit)) {
                params.clear();
            }
            if params.len() > 1 + usize::from(writes) || writes && params.is_empty() {
                self.unsupported(
                    codes::NO_MEMBER_FORM,
                    word.span,
                    "a property takes at most one index, and `set` the value behind it",
                    "write several indices as a tuple: `with get (i, j) = .. and set (i, j) v = ..`",
                );
                return self.skip_rest_of_decl();
            }
            let ret = if self.eat(Kind::Colon) { Some(self.type_expr()) } else { None };
            let body = if self.expect(Kind::Eq, "`=` after the parameters") {
                self.binding_body()
            } else {
                self.error_expr()
            };
            let mut member = Member { params, body, span: self.span_from(head.span), ..head.clone() };
            if writes {
                member.form = MemberForm::Setter;
                member.name.name = Ustr::from(&format!("set_{}", head.name.name));
                member.ret = ret;
            } else {
                member.ret = ret.or_else(|| head.ret.clone());
            }
            out.push(member);
            if self.cur() != Kind::And {
                return;
            }
            self.bump();
        }
    }

    fn unsupported_member(&mut self) {
        let t = self.token();
        let form = self.slice(t.span);
        let (code, help) = match t.kind {
            Kind::Override | Kind::Abstract | Kind::Default | Kind::Interface | Kind::Inherit => {
                (codes::NO_CLASSES, "use a record of functions, or a union and `match`")
            }
            Kind::New => (codes::NO_NEW, "give the type one constructor, and functions that call it"),
            _ => (codes::NO_MEMBER_FORM, "use a record's fields, or `let` in a type with a constructor"),
        };
        self.unsupported(code, t.span, &format!("`{form}` in a type is outside the subset"), help);
        self.skip_rest_of_decl();
    }
}

fn begins_member(kind: Kind) -> bool {
    use Kind::{Abstract, Default, Inherit, Interface, LAttr, Member, New, Override, Static, Val};
    matches!(kind, Abstract | Default | Inherit | Interface | LAttr | Member | New | Override | Static | Val)
}

/// The parameters of a primary constructor from its pattern.
fn constructor_params(pattern: Pattern) -> Vec<Pattern> {
    use crate::ast::{Lit, PatternKind};
    match pattern.kind {
        PatternKind::Lit(Lit::Unit) => Vec::new(),
        PatternKind::Paren(inner) => match inner.kind {
            PatternKind::Tuple(items) => items,
            kind => vec![Pattern { kind, span: inner.span }],
        },
        kind => vec![Pattern { kind, span: pattern.span }],
    }
}
