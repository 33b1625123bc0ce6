//! The names that an expression mentions and that may mean members: behind dots, as operators, by syntax.
//!
//! More than are meant is fine (a record's field, another type's member): a member then becomes generic later than it
//! could. Fewer is not.

use crate::ast::{Arm, Binding, Expr, ExprKind as E, IndexArg, InterpPart};
use ustr::Ustr;

/// What a builder's syntax calls.
const BUILDER: [&str; 14] = [
    "Bind",
    "Return",
    "ReturnFrom",
    "Yield",
    "YieldFrom",
    "Zero",
    "Combine",
    "Delay",
    "Run",
    "For",
    "While",
    "Using",
    "Source",
    "MergeSources",
];

/// The names, in the order of their appearance, with repetitions.
pub(crate) fn names(e: &Expr) -> Vec<Ustr> {
    let mut out = Vec::new();
    collect(e, &mut out);
    out
}

fn collect(e: &Expr, out: &mut Vec<Ustr>) {
    match &e.kind {
        E::Name(i) | E::OpName(i) => out.push(i.name),
        E::Dot(base, i) => {
            collect(base, out);
            out.push(i.name);
        }
        E::Prefix(op, x) => {
            out.push(op.name);
            out.push(Ustr::from(&format!("~{}", op.name)));
            collect(x, out);
        }
        E::Infix(op, a, b) => {
            out.push(op.name);
            collect(a, out);
            collect(b, out);
        }
        E::Index(base, args) => {
            out.push(Ustr::from("Item"));
            collect(base, out);
            args.iter().for_each(|a| match a {
                IndexArg::At(e) => collect(e, out),
                IndexArg::Slice(from, to) => from.iter().chain(to).for_each(|e| collect(e, out)),
            });
        }
        E::App(f, args) => {
            collect(f, out);
            args.iter().for_each(|a| collect(a, out));
        }
        E::Tuple(items) | E::List(items) | E::Array(items) | E::Seq(items) => {
            items.iter().for_each(|i| collect(i, out));
        }
        E::Range { from, step, to } => {
            [Some(from), step.as_ref(), Some(to)].into_iter().flatten().for_each(|e| collect(e, out));
        }
        E::Record(fields) => fields.iter().for_each(|f| collect(&f.1, out)),
        E::With(base, fields) => {
            collect(base, out);
            fields.iter().for_each(|f| collect(&f.1, out));
        }
        E::AnonRecord(fields) => fields.iter().for_each(|f| collect(&f.1, out)),
        E::Function(arms) => of_arms(arms, out),
        E::Match { scrutinee, arms } | E::MatchBang { scrutinee, arms } => {
            collect(scrutinee, out);
            of_arms(arms, out);
        }
        E::If { cond, then, otherwise } => {
            [Some(cond), Some(then), otherwise.as_ref()].into_iter().flatten().for_each(|e| collect(e, out));
        }
        E::Let { group, body } => {
            group.bindings.iter().for_each(|b: &Binding| collect(&b.body, out));
            // `use` calls it.
            if group.bindings.iter().any(|b| b.is_use) {
                out.push(Ustr::from("Dispose"));
            }
            collect(body, out);
        }
        E::ForTo { from, to, body, .. } => [from, to, body].into_iter().for_each(|e| collect(e, out)),
        E::Computation { builder, body } => {
            out.extend(BUILDER.iter().map(|n| Ustr::from(n)));
            collect(builder, out);
            collect(body, out);
        }
        E::LetBang { value: a, body: b, .. }
        | E::ForIn { source: a, body: b, .. }
        | E::While { cond: a, body: b }
        | E::Assign(a, b) => {
            collect(a, out);
            collect(b, out);
        }
        E::TypeApp(e, _)
        | E::Paren(e)
        | E::Comprehension { body: e, .. }
        | E::Lambda { body: e, .. }
        | E::Typed(e, _)
        | E::Cast(e, _)
        | E::DoBang(e)
        | E::Return { value: e, .. }
        | E::Yield { value: e, .. }
        | E::Lazy(e)
        | E::Assert(e) => collect(e, out),
        E::Interpolated(parts) => parts.iter().for_each(|p| {
            if let InterpPart::Hole { expr, .. } = p {
                collect(expr, out);
            }
        }),
        E::Unsupported { inner, .. } => inner.iter().for_each(|e| collect(e, out)),
        E::Lit(_) | E::Error => {}
    }
}

fn of_arms(arms: &[Arm], out: &mut Vec<Ustr>) {
    for arm in arms {
        arm.guard.iter().for_each(|g| collect(g, out));
        collect(&arm.body, out);
    }
}
