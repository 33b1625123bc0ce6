//! The pass on small functions: what is moved, duplicated, dropped, and where.

use super::insert;
use crate::builder::FuncBuilder;
use crate::graph::Psg;
use crate::id::{FuncId, NodeId, RegionId};
use crate::node::{Const, Op};
use crate::ty::{Agg, AggKind, Case, Field, Type};
use clef_frontend::span::Span;
use ustr::Ustr;

fn operations(psg: &Psg, region: RegionId) -> Vec<String> {
    let mut out = Vec::new();
    for &node in &psg.regions[region].nodes {
        let n = &psg.nodes[node];
        match n.op {
            Op::Dup => out.push(format!("dup {}", n.operands[0])),
            Op::Drop => out.push(format!("drop {}", n.operands[0])),
            _ => out.push(node.to_string()),
        }
    }
    out
}

fn body(psg: &Psg, func: FuncId) -> Vec<String> {
    operations(psg, psg.funcs[func].body)
}

/// A pair of strings, which is managed.
fn pair(psg: &mut Psg) -> crate::id::TypeId {
    let text = psg.ty(Type::String);
    let field =
        |name: &str| Field { name: Ustr::from(name), ty: text, is_mutable: false, fixed: None, unit: None };
    let cases = vec![Case { name: Ustr::from("Pair"), fields: vec![field("a"), field("b")] }];
    let agg = psg.types.aggs.push(Agg { name: Ustr::from("Pair"), kind: AggKind::Record, cases });
    psg.ty(Type::Agg(agg))
}

#[test]
fn a_borrowed_parameter_is_duplicated_where_it_is_kept() {
    let mut psg = Psg::default();
    let (text, pair) = (psg.ty(Type::String), pair(&mut psg));
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let s = f.param(text);
    let made = f.push(Op::Make(0), &[s, s], pair);
    let func = f.finish("f", pair, Some(made), 0);
    insert(&mut psg);
    assert_eq!(body(&psg, func), [format!("dup {s}"), format!("dup {s}"), made.to_string()]);
}

#[test]
fn the_last_use_takes_the_reference_and_an_unused_value_is_dropped() {
    let mut psg = Psg::default();
    let (text, pair) = (psg.ty(Type::String), pair(&mut psg));
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let s = f.param(text);
    let a = f.push(Op::Concat, &[s, s], text);
    let b = f.push(Op::Concat, &[a, s], text);
    let unused = f.push(Op::Concat, &[s, s], text);
    let made = f.push(Op::Make(0), &[a, b], pair);
    let func = f.finish("f", pair, Some(made), 0);
    insert(&mut psg);
    let expected =
        [a.to_string(), b.to_string(), unused.to_string(), format!("drop {unused}"), made.to_string()];
    assert_eq!(body(&psg, func), expected);
}

#[test]
fn a_branch_that_does_not_use_a_value_drops_it_first() {
    let mut psg = Psg::default();
    let (text, boolean) = (psg.ty(Type::String), psg.ty(Type::Bool));
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let s = f.param(text);
    let c = f.param(boolean);
    let a = f.push(Op::Concat, &[s, s], text);
    f.open();
    let then = f.close(Some(a));
    f.open();
    let empty = f.constant(Const::String(Ustr::from("")), text);
    let otherwise = f.close(Some(empty));
    let chosen = f.push_with(Op::If, &[c], &[then, otherwise], text);
    let func = f.finish("f", text, Some(chosen), 0);
    insert(&mut psg);
    assert_eq!(body(&psg, func), [a.to_string(), chosen.to_string()]);
    assert!(operations(&psg, then).is_empty());
    assert_eq!(operations(&psg, otherwise), [format!("drop {a}"), empty.to_string()]);
}

#[test]
fn a_tail_called_function_owns_its_parameters() {
    let mut psg = Psg::default();
    let text = psg.ty(Type::String);
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let s = f.param(text);
    let twice = f.push(Op::Concat, &[s, s], text);
    let call = f.push(Op::Call { func: FuncId(0), tail: true }, &[twice], text);
    let func = f.finish("f", text, Some(call), 0);
    insert(&mut psg);
    assert_eq!(body(&psg, func), [twice.to_string(), format!("drop {s}"), call.to_string()]);
}

#[test]
fn an_assignment_drops_what_it_overwrites() {
    let mut psg = Psg::default();
    let (text, unit) = (psg.ty(Type::String), psg.ty(Type::Unit));
    let variable = psg.ty(Type::Var(text));
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let s = f.param(text);
    let var = f.push(Op::Var, &[s], variable);
    let fresh = f.push(Op::Concat, &[s, s], text);
    let set: NodeId = f.push(Op::VarSet, &[var, fresh], unit);
    let func = f.finish("f", unit, None, 0);
    insert(&mut psg);
    let ops = body(&psg, func);
    assert_eq!(ops[..3], [format!("dup {s}"), var.to_string(), fresh.to_string()]);
    assert_eq!(ops[4], set.to_string());
    assert_eq!(ops[5], format!("drop {}", ops[3]), "the old value");
    assert_eq!(ops[7], format!("drop {}", ops[6]), "what the variable holds at its end");
    assert_eq!(ops.len(), 8);
}
