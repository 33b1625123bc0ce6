//! Printing of expressions.

use super::Printer;
use crate::ast::{Arm, Collection, Expr, ExprKind, IndexArg, InterpPart, Lit};
use std::fmt::Write as _;

/// Whether the expression can stand on one line, with nothing after it on that line that it would take.
pub(super) fn is_flat(e: &Expr) -> bool {
    use ExprKind as K;
    let opt = |e: &Option<Box<Expr>>| e.as_deref().is_none_or(is_flat);
    match &e.kind {
        K::Lit(_) | K::Name(_) | K::OpName(_) | K::Error | K::Interpolated(_) => true,
        K::Dot(e, _) | K::TypeApp(e, _) | K::Prefix(_, e) | K::Paren(e) | K::Lazy(e) | K::Assert(e) => {
            is_flat(e)
        }
        K::Typed(e, _) | K::Cast(e, _) => is_flat(e) && !is_open(e),
        K::Yield { value: e, .. } | K::Return { value: e, .. } | K::DoBang(e) | K::Lambda { body: e, .. } => {
            is_flat(e)
        }
        K::Index(e, args) => {
            is_flat(e)
                && args.iter().all(|a| match a {
                    IndexArg::At(e) => is_flat(e),
                    IndexArg::Slice(a, b) => a.as_ref().is_none_or(is_flat) && b.as_ref().is_none_or(is_flat),
                })
        }
        K::App(f, args) => is_flat(f) && args.iter().all(is_flat),
        K::Infix(_, a, b) => is_flat(a) && is_flat(b) && !is_open(a),
        K::Tuple(items) => items.iter().all(is_flat) && items.iter().rev().skip(1).all(|e| !is_open(e)),
        K::List(items) | K::Array(items) => items.iter().all(is_flat) && items.iter().all(|e| !is_open(e)),
        K::Range { from, step, to } => is_flat(from) && opt(step) && is_flat(to),
        K::Comprehension { body, .. } => is_flat(body),
        K::Computation { builder, body } => is_flat(builder) && is_flat(body),
        K::Record(fields) | K::With(_, fields) => fields.iter().all(|f| is_flat(&f.1) && !is_open(&f.1)),
        K::AnonRecord(fields) => fields.iter().all(|f| is_flat(&f.1) && !is_open(&f.1)),
        K::If { cond, then, otherwise } => {
            is_flat(cond) && is_flat(then) && !is_open(then) && opt(otherwise)
                // A missing `else` could take that of a construct around it.
                && otherwise.as_deref().is_none_or(|e| !matches!(e.kind, K::If { otherwise: None, .. }))
        }
        K::ForTo { from, to, body, .. } => is_flat(from) && is_flat(to) && is_flat(body),
        K::ForIn { source, body, .. } => is_flat(source) && is_flat(body),
        K::While { cond, body } => is_flat(cond) && is_flat(body),
        K::Assign(a, b) => is_flat(a) && is_flat(b),
        K::Function(_)
        | K::Match { .. }
        | K::MatchBang { .. }
        | K::Let { .. }
        | K::LetBang { .. }
        | K::Seq(_) => false,
        K::Unsupported { .. } => true,
    }
}

/// Whether the expression ends in a block, which would take what follows on the line.
fn is_open(e: &Expr) -> bool {
    use ExprKind as K;
    match &e.kind {
        K::If { .. }
        | K::Match { .. }
        | K::MatchBang { .. }
        | K::Function(_)
        | K::Lambda { .. }
        | K::ForTo { .. }
        | K::ForIn { .. }
        | K::While { .. }
        | K::Let { .. }
        | K::LetBang { .. }
        | K::Seq(_)
        | K::Yield { .. }
        | K::Return { .. }
        | K::DoBang(_)
        | K::Typed(..)
        | K::Assign(..) => true,
        K::Infix(_, _, b) => is_open(b),
        K::Prefix(_, e) => is_open(e),
        K::Tuple(items) => items.last().is_some_and(is_open),
        _ => false,
    }
}

impl Printer {
    /// The lines of a block; the indentation of the first one is printed already.
    pub(super) fn lines(&mut self, e: &Expr, indent: usize) {
        match &e.kind {
            ExprKind::Let { group, body } => {
                self.let_group(group, indent);
                self.line(indent);
                self.lines(body, indent);
            }
            ExprKind::LetBang { pattern, value, body } => {
                self.out.push_str("let! ");
                self.pattern(pattern);
                self.out.push_str(" =");
                self.block(value, indent);
                self.line(indent);
                self.lines(body, indent);
            }
            ExprKind::Seq(items) => {
                for (i, e) in items.iter().enumerate() {
                    if i > 0 {
                        self.line(indent);
                    }
                    self.lines(e, indent);
                }
            }
            _ => self.expr(e, indent),
        }
    }

    /// Between brackets: on the line, or on lines of its own and the closing bracket after the last.
    fn inside(&mut self, e: &Expr, indent: usize) {
        let starts_block = matches!(e.kind, ExprKind::Lambda { .. } | ExprKind::Function(_));
        if is_flat(e) || starts_block {
            self.expr(e, indent);
        } else {
            self.line(indent + 4);
            self.lines(e, indent + 4);
        }
    }

    pub(super) fn expr(&mut self, e: &Expr, indent: usize) {
        match &e.kind {
            ExprKind::Infix(op, a, b) => {
                self.expr(a, indent);
                if is_open(a) {
                    self.line(indent);
                } else {
                    self.out.push(' ');
                }
                let _ = write!(self.out, "{} ", op.name);
                self.expr(b, indent);
            }
            ExprKind::Prefix(op, e) => {
                self.out.push_str(&op.name);
                let number = matches!(
                    e.kind,
                    ExprKind::Lit(Lit::Int { .. } | Lit::Float { .. }) | ExprKind::Prefix(..)
                );
                self.out.push_str(if number && op.name.len() == 1 { " " } else { "" });
                self.expr(e, indent);
            }
            ExprKind::App(f, args) => {
                self.postfix(f, indent);
                for a in args {
                    self.out.push(' ');
                    self.postfix(a, indent);
                }
            }
            ExprKind::Tuple(items) => self.separated(items, ", ", indent),
            ExprKind::Range { from, step, to } => {
                self.expr(from, indent);
                self.out.push_str(" .. ");
                if let Some(step) = step {
                    self.expr(step, indent);
                    self.out.push_str(" .. ");
                }
                self.expr(to, indent);
            }
            ExprKind::Typed(inner, ty) | ExprKind::Cast(inner, ty) => {
                self.expr(inner, indent);
                self.out.push_str(if matches!(e.kind, ExprKind::Cast(..)) { " :> " } else { " : " });
                self.ty(ty);
            }
            ExprKind::Lambda { params, body } => {
                self.out.push_str("fun");
                for p in params {
                    self.out.push(' ');
                    self.pattern(p);
                }
                self.out.push_str(" ->");
                self.block(body, indent);
            }
            ExprKind::Lazy(e) => {
                self.out.push_str("lazy ");
                self.expr(e, indent);
            }
            ExprKind::Assert(e) => {
                self.out.push_str("assert ");
                self.expr(e, indent);
            }
            _ => self.statement(e, indent),
        }
    }

    fn statement(&mut self, e: &Expr, indent: usize) {
        match &e.kind {
            ExprKind::If { cond, then, otherwise } => self.if_expr(cond, then, otherwise.as_deref(), indent),
            ExprKind::Match { scrutinee, arms } => self.match_expr("match", scrutinee, arms, indent),
            ExprKind::MatchBang { scrutinee, arms } => self.match_expr("match!", scrutinee, arms, indent),
            ExprKind::Function(arms) => {
                self.out.push_str("function");
                self.arms(arms, indent + 4);
            }
            ExprKind::ForTo { var, from, down, to, body } => {
                self.out.push_str("for ");
                self.ident(var);
                self.out.push_str(" = ");
                self.expr(from, indent + 4);
                self.out.push_str(if *down { " downto " } else { " to " });
                self.expr(to, indent + 4);
                self.out.push_str(" do");
                self.block(body, indent);
            }
            ExprKind::ForIn { pattern, source, body } => {
                self.out.push_str("for ");
                self.pattern(pattern);
                self.out.push_str(" in ");
                self.expr(source, indent + 4);
                self.out.push_str(" do");
                self.block(body, indent);
            }
            ExprKind::While { cond, body } => {
                self.out.push_str("while ");
                self.expr(cond, indent + 4);
                self.out.push_str(" do");
                self.block(body, indent);
            }
            ExprKind::Assign(a, b) => {
                self.expr(a, indent);
                self.out.push_str(" <-");
                self.block(b, indent);
            }
            ExprKind::Yield { value, bang } => {
                self.after_word(if *bang { "yield!" } else { "yield" }, value, indent)
            }
            ExprKind::Return { value, bang } => {
                self.after_word(if *bang { "return!" } else { "return" }, value, indent);
            }
            ExprKind::DoBang(e) => self.after_word("do!", e, indent),
            ExprKind::Let { .. } | ExprKind::LetBang { .. } | ExprKind::Seq(_) => {
                self.line(indent + 4);
                self.lines(e, indent + 4);
            }
            _ => self.postfix(e, indent),
        }
    }

    fn after_word(&mut self, word: &str, e: &Expr, indent: usize) {
        self.out.push_str(word);
        self.block(e, indent);
    }

    fn if_expr(&mut self, cond: &Expr, then: &Expr, otherwise: Option<&Expr>, indent: usize) {
        self.out.push_str("if ");
        self.expr(cond, indent + 4);
        self.out.push_str(" then");
        let flat = is_flat(then) && !is_open(then) && otherwise.is_none_or(is_flat);
        if flat {
            self.out.push(' ');
            self.expr(then, indent);
        } else {
            self.line(indent + 4);
            self.lines(then, indent + 4);
        }
        let Some(other) = otherwise else { return };
        if flat {
            self.out.push_str(" else ");
            return self.expr(other, indent);
        }
        self.line(indent);
        self.out.push_str("else");
        if let ExprKind::If { cond, then, otherwise } = &other.kind {
            self.out.push(' ');
            return self.if_expr(cond, then, otherwise.as_deref(), indent);
        }
        self.line(indent + 4);
        self.lines(other, indent + 4);
    }

    fn match_expr(&mut self, word: &str, scrutinee: &Expr, arms: &[Arm], indent: usize) {
        let _ = write!(self.out, "{word} ");
        if is_flat(scrutinee) {
            self.expr(scrutinee, indent + 4);
            self.out.push_str(" with");
        } else {
            self.line(indent + 4);
            self.lines(scrutinee, indent + 4);
            self.line(indent);
            self.out.push_str("with");
        }
        self.arms(arms, indent);
    }

    fn arms(&mut self, arms: &[Arm], indent: usize) {
        for arm in arms {
            self.line(indent);
            self.out.push_str("| ");
            self.pattern(&arm.pattern);
            if let Some(guard) = &arm.guard {
                self.out.push_str(" when ");
                self.expr(guard, indent + 4);
            }
            self.out.push_str(" ->");
            self.block(&arm.body, indent);
        }
    }

    fn separated(&mut self, items: &[Expr], by: &str, indent: usize) {
        for (i, e) in items.iter().enumerate() {
            self.out.push_str(if i > 0 { by } else { "" });
            self.expr(e, indent);
        }
    }

    /// An expression that something clings to or that is an argument.
    fn postfix(&mut self, e: &Expr, indent: usize) {
        match &e.kind {
            ExprKind::Lit(lit) => self.lit(lit),
            ExprKind::Name(name) => self.ident(name),
            ExprKind::OpName(name) => self.name(name),
            ExprKind::Dot(e, name) => {
                self.postfix(e, indent);
                self.out.push('.');
                self.ident(name);
            }
            ExprKind::Index(e, args) => {
                self.postfix(e, indent);
                self.out.push_str(".[");
                for (i, a) in args.iter().enumerate() {
                    self.out.push_str(if i > 0 { ", " } else { "" });
                    self.index_arg(a, indent);
                }
                self.out.push(']');
            }
            // In this place an application touches its only argument.
            ExprKind::App(f, args) => {
                self.postfix(f, indent);
                for a in args {
                    self.postfix(a, indent);
                }
            }
            ExprKind::TypeApp(e, args) => {
                self.postfix(e, indent);
                self.type_args(args);
            }
            ExprKind::Prefix(op, e) => {
                self.out.push_str(&op.name);
                self.postfix(e, indent);
            }
            ExprKind::Paren(e) => {
                self.out.push('(');
                self.inside(e, indent);
                self.out.push(')');
            }
            ExprKind::List(items) => self.collection("[", "]", items, indent),
            ExprKind::Array(items) => self.collection("[|", "|]", items, indent),
            ExprKind::Comprehension { kind, body } => {
                let (open, close) = match kind {
                    Collection::List => ("[ ", " ]"),
                    Collection::Array => ("[| ", " |]"),
                    Collection::Seq => ("seq { ", " }"),
                };
                self.out.push_str(open);
                self.inside(body, indent);
                self.out.push_str(close);
            }
            ExprKind::Computation { builder, body } => {
                self.postfix(builder, indent);
                self.out.push_str(" { ");
                self.inside(body, indent);
                self.out.push_str(" }");
            }
            ExprKind::Record(fields) => {
                self.fields("{", "}", fields, is_flat(e), indent, |p, path| p.path(path));
            }
            ExprKind::AnonRecord(fields) => {
                self.fields("{|", "|}", fields, is_flat(e), indent, |p, name| p.ident(name));
            }
            ExprKind::With(base, fields) => {
                self.out.push_str("{ ");
                self.expr(base, indent + 4);
                self.fields(" with", "}", fields, is_flat(e), indent, |p, path| p.path(path));
            }
            ExprKind::Interpolated(parts) => self.interpolated(parts),
            ExprKind::Error | ExprKind::Unsupported { .. } => self.out.push_str("()"),
            _ => {
                // Only a tree that no source has puts another form here.
                self.out.push('(');
                self.inside(e, indent);
                self.out.push(')');
            }
        }
    }

    fn index_arg(&mut self, arg: &IndexArg, indent: usize) {
        match arg {
            IndexArg::At(e) => self.expr(e, indent),
            IndexArg::Slice(None, None) => self.out.push('*'),
            IndexArg::Slice(from, to) => {
                if let Some(e) = from {
                    self.expr(e, indent);
                    self.out.push(' ');
                }
                self.out.push_str("..");
                if let Some(e) = to {
                    self.out.push(' ');
                    self.expr(e, indent);
                }
            }
        }
    }

    fn collection(&mut self, open: &str, close: &str, items: &[Expr], indent: usize) {
        self.out.push_str(open);
        if items.iter().all(|e| is_flat(e) && !is_open(e)) {
            self.separated(items, "; ", indent);
        } else {
            for e in items {
                self.line(indent + 4);
                self.expr(e, indent + 4);
            }
            self.line(indent);
        }
        self.out.push_str(close);
    }

    fn fields<N>(
        &mut self,
        open: &str,
        close: &str,
        fields: &[(N, Expr)],
        flat: bool,
        indent: usize,
        name: impl Fn(&mut Self, &N),
    ) {
        self.out.push_str(open);
        for (i, (n, value)) in fields.iter().enumerate() {
            if flat {
                self.out.push_str(if i > 0 { "; " } else { " " });
            } else {
                self.line(indent + 4);
            }
            name(self, n);
            self.out.push_str(" =");
            self.block(value, indent + 4);
        }
        if flat {
            self.out.push(' ');
        } else {
            self.line(indent);
        }
        self.out.push_str(close);
    }

    fn interpolated(&mut self, parts: &[InterpPart]) {
        let mut inner = String::new();
        let holes: Vec<String> = parts
            .iter()
            .filter_map(|p| match p {
                InterpPart::Hole { expr, .. } => {
                    let mut p = Printer { out: String::new() };
                    p.expr(expr, 0);
                    Some(p.out)
                }
                InterpPart::Text(_) => None,
            })
            .collect();
        let triple = holes.iter().any(|h| h.contains('"'));
        let mut next = holes.into_iter();
        for part in parts {
            match part {
                InterpPart::Text(text) => {
                    let text = text.replace('{', "{{").replace('}', "}}").replace('%', "%%");
                    inner.push_str(&if triple { text } else { super::leaf::escape(&text, '"') });
                }
                InterpPart::Hole { format, .. } => {
                    let hole = next.next().unwrap_or_default();
                    let _ = match format {
                        Some(f) if f.starts_with('%') => write!(inner, "{f}{{{hole}}}"),
                        Some(f) => write!(inner, "{{{hole}:{f}}}"),
                        None => write!(inner, "{{{hole}}}"),
                    };
                }
            }
        }
        let quote = if triple { "\"\"\"" } else { "\"" };
        let _ = write!(self.out, "${quote}{inner}{quote}");
    }
}
