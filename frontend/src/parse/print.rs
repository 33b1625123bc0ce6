//! Prints a tree back as source that parses to the same tree, spans aside.
//!
//! The layout is always one that the offside rule reads back: what fits a line is put on it, everything else goes to
//! lines of its own, four columns deeper. Comments other than documentation are not in the tree and are lost; forms
//! outside the subset and errors print as `()`.

mod expr;
mod leaf;

use crate::ast::{
    Attribute, Binding, BindingHead, Decl, DeclKind, Expr, ExprKind, File, Ident, LetGroup, Member,
    MemberForm, TypeDef, TypeDefKind, TypeParam,
};
use std::fmt::Write as _;
use ustr::Ustr;

/// The file as source text.
pub fn print(file: &File) -> String {
    let mut p = Printer { out: String::new() };
    if let Some(h) = &file.header {
        p.doc(h.doc.as_deref(), 0);
        p.attributes(&h.attributes, 0);
        p.line(0);
        p.out.push_str(if h.is_namespace { "namespace " } else { "module " });
        p.path(&h.path);
        p.out.push('\n');
    }
    p.decls(&file.decls, 0);
    p.out
}

struct Printer {
    out: String,
}

impl Printer {
    /// A new line, indented.
    fn line(&mut self, indent: usize) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        let _ = write!(self.out, "{:indent$}", "");
    }

    fn doc(&mut self, doc: Option<&str>, indent: usize) {
        for text in doc.into_iter().flat_map(|d| d.split('\n')) {
            self.line(indent);
            self.out.push_str(if text.is_empty() { "///" } else { "/// " });
            self.out.push_str(text);
        }
    }

    fn attributes(&mut self, attributes: &[Attribute], indent: usize) {
        if !attributes.is_empty() {
            self.line(indent);
            self.attribute_list(attributes);
            self.out.push('\n');
        }
    }

    fn attribute_list(&mut self, attributes: &[Attribute]) {
        self.out.push_str("[<");
        for (i, a) in attributes.iter().enumerate() {
            self.out.push_str(if i > 0 { "; " } else { "" });
            self.path(&a.path);
            if a.args.is_empty() {
                continue;
            }
            self.out.push('(');
            for (i, arg) in a.args.iter().enumerate() {
                self.out.push_str(if i > 0 { ", " } else { "" });
                if let Some(name) = &arg.name {
                    self.ident(name);
                    self.out.push_str(" = ");
                }
                self.expr(&arg.value, 0);
            }
            self.out.push(')');
        }
        self.out.push_str(">]");
    }

    fn decls(&mut self, decls: &[Decl], indent: usize) {
        for d in decls {
            self.doc(d.doc.as_deref(), indent);
            self.attributes(&d.attributes, indent);
            self.line(indent);
            self.decl(&d.kind, indent);
        }
        self.out.push('\n');
    }

    fn decl(&mut self, kind: &DeclKind, indent: usize) {
        match kind {
            DeclKind::Open(path) => {
                self.out.push_str("open ");
                self.path(path);
            }
            DeclKind::Module { name, decls } => {
                self.out.push_str("module ");
                self.ident(name);
                self.out.push_str(" =\n");
                self.decls(decls, indent + 4);
            }
            DeclKind::ModuleAlias { name, target } => {
                self.out.push_str("module ");
                self.ident(name);
                self.out.push_str(" = ");
                self.path(target);
            }
            DeclKind::Let(group) => self.let_group(group, indent),
            DeclKind::Types(defs) => {
                for (i, def) in defs.iter().enumerate() {
                    self.type_def(def, i > 0, indent);
                }
            }
            DeclKind::Extern(e) => {
                self.out.push_str("extern ");
                self.ty(&e.ret);
                self.out.push(' ');
                self.ident(&e.name);
                self.out.push('(');
                for (i, p) in e.params.iter().enumerate() {
                    self.out.push_str(if i > 0 { ", " } else { "" });
                    if !p.attributes.is_empty() {
                        self.attribute_list(&p.attributes);
                        self.out.push(' ');
                    }
                    if let Some(name) = &p.name {
                        self.ident(name);
                        self.out.push_str(": ");
                    }
                    self.ty(&p.ty);
                }
                self.out.push(')');
            }
            DeclKind::Do(e) => {
                // `do` keeps what begins like a declaration of another kind apart.
                if matches!(e.kind, ExprKind::Let { .. } | ExprKind::Seq(_) | ExprKind::LetBang { .. }) {
                    self.out.push_str("do");
                    self.block(e, indent);
                } else {
                    self.lines(e, indent);
                }
            }
            DeclKind::Error => self.out.push_str("()"),
        }
    }

    fn let_group(&mut self, group: &LetGroup, indent: usize) {
        for (i, b) in group.bindings.iter().enumerate() {
            if i > 0 {
                self.line(indent);
                self.out.push_str("and ");
                if !b.attributes.is_empty() {
                    self.attribute_list(&b.attributes);
                    self.out.push(' ');
                }
            } else {
                if !b.attributes.is_empty() {
                    self.attribute_list(&b.attributes);
                    self.line(indent);
                }
                self.out.push_str(if b.is_use { "use " } else { "let " });
                self.out.push_str(if group.is_rec { "rec " } else { "" });
            }
            self.binding(b, indent);
        }
    }

    fn binding(&mut self, b: &Binding, indent: usize) {
        for (set, word) in [(b.is_inline, "inline "), (b.is_mutable, "mutable "), (b.is_private, "private ")]
        {
            self.out.push_str(if set { word } else { "" });
        }
        let params = match &b.head {
            BindingHead::Name { name, type_params, params } => {
                self.name(name);
                self.type_params(type_params);
                params.as_slice()
            }
            BindingHead::ActivePattern { cases, partial, params, .. } => {
                self.out.push_str("(|");
                for c in cases {
                    self.ident(c);
                    self.out.push('|');
                }
                self.out.push_str(if *partial { "_|)" } else { ")" });
                params.as_slice()
            }
            BindingHead::Pattern(p) => {
                self.pattern(p);
                &[]
            }
        };
        for p in params {
            self.out.push(' ');
            self.pattern(p);
        }
        if let Some(ty) = &b.ret {
            self.out.push_str(" : ");
            self.ty(ty);
        }
        self.out.push_str(" =");
        self.block(&b.body, indent);
    }

    fn type_params(&mut self, params: &[TypeParam]) {
        for (i, p) in params.iter().enumerate() {
            self.out.push_str(if i > 0 { ", " } else { "<" });
            let _ = write!(self.out, "{}'{}", if p.is_measure { "[<Measure>] " } else { "" }, p.name.name);
        }
        self.out.push_str(if params.is_empty() { "" } else { ">" });
    }

    fn type_def(&mut self, def: &TypeDef, is_and: bool, indent: usize) {
        if !is_and {
            self.doc(def.doc.as_deref(), indent);
            self.attributes(&def.attributes, indent);
        } else {
            self.doc(def.doc.as_deref(), indent);
        }
        self.line(indent);
        self.out.truncate(self.out.trim_end_matches(' ').len());
        self.line(indent);
        self.out.push_str(if is_and { "and " } else { "type " });
        if is_and && !def.attributes.is_empty() {
            self.attribute_list(&def.attributes);
            self.out.push(' ');
        }
        self.ident(&def.name);
        self.type_params(&def.params);
        match &def.kind {
            TypeDefKind::Abbreviation(ty) => {
                self.out.push_str(" = ");
                self.ty(ty);
            }
            TypeDefKind::Measure(formula) => {
                if let Some(m) = formula {
                    self.out.push_str(" = ");
                    self.measure(m);
                }
            }
            TypeDefKind::Record(fields) => {
                self.out.push_str(" =");
                self.line(indent + 4);
                self.out.push('{');
                for f in fields {
                    self.doc(f.doc.as_deref(), indent + 8);
                    self.line(indent + 8);
                    if !f.attributes.is_empty() {
                        self.attribute_list(&f.attributes);
                        self.out.push(' ');
                    }
                    self.out.push_str(if f.is_mutable { "mutable " } else { "" });
                    self.ident(&f.name);
                    self.out.push_str(": ");
                    self.ty(&f.ty);
                }
                self.line(indent + 4);
                self.out.push('}');
            }
            TypeDefKind::Union(cases) => {
                self.out.push_str(" =");
                for c in cases {
                    self.doc(c.doc.as_deref(), indent + 4);
                    self.line(indent + 4);
                    self.out.push_str("| ");
                    self.ident(&c.name);
                    for (i, (name, ty)) in c.fields.iter().enumerate() {
                        self.out.push_str(if i > 0 { " * " } else { " of " });
                        if let Some(name) = name {
                            self.ident(name);
                            self.out.push_str(": ");
                        }
                        self.tight_type(ty);
                    }
                }
            }
            TypeDefKind::Enum(cases) => {
                self.out.push_str(" =");
                for (name, value) in cases {
                    self.line(indent + 4);
                    self.out.push_str("| ");
                    self.ident(name);
                    self.out.push_str(" = ");
                    self.expr(value, indent + 4);
                }
            }
            TypeDefKind::Class { params, lets } => {
                self.out.push('(');
                for (i, p) in params.iter().enumerate() {
                    self.out.push_str(if i > 0 { ", " } else { "" });
                    self.pattern(p);
                }
                self.out.push_str(") =");
                for group in lets {
                    self.line(indent + 4);
                    self.let_group(group, indent + 4);
                }
            }
            TypeDefKind::Error(_) => self.out.push_str(" = unit"),
        }
        for m in &def.members {
            self.member(m, indent + 4);
        }
    }

    fn member(&mut self, m: &Member, indent: usize) {
        self.doc(m.doc.as_deref(), indent);
        self.line(indent);
        if !m.attributes.is_empty() {
            self.attribute_list(&m.attributes);
            self.out.push(' ');
        }
        let word = if m.form == MemberForm::Override { "override " } else { "member " };
        self.out.push_str(if m.is_static { "static " } else { "" });
        self.out.push_str(word);
        if let Some(this) = &m.this {
            self.ident(this);
            self.out.push('.');
        }
        match m.name.name.strip_prefix("set_") {
            Some(name) if m.form == MemberForm::Setter => {
                self.name(&Ident { name: Ustr::from(name), span: m.name.span });
                self.out.push_str(" with set");
            }
            _ => self.name(&m.name),
        }
        self.type_params(&m.type_params);
        for p in &m.params {
            self.out.push(' ');
            self.pattern(p);
        }
        if let Some(ty) = &m.ret {
            self.out.push_str(" : ");
            self.ty(ty);
        }
        self.out.push_str(" =");
        self.block(&m.body, indent);
    }

    /// A name where it is bound: operators in parentheses.
    fn name(&mut self, name: &Ident) {
        let text = name.name.as_str();
        if text.starts_with(|c: char| c.is_alphabetic() || c == '_') || text.contains(' ') {
            return self.ident(name);
        }
        let gap = if text.starts_with('*') || text.ends_with('*') { " " } else { "" };
        let _ = write!(self.out, "({gap}{text}{gap})");
    }

    /// What follows a word or sign: on the line if it fits there, else on lines of its own.
    fn block(&mut self, e: &Expr, indent: usize) {
        if expr::is_flat(e) {
            self.out.push(' ');
            self.expr(e, indent);
        } else {
            self.line(indent + 4);
            self.lines(e, indent + 4);
        }
    }
}
