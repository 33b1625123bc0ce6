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
            Op::Unpack(_) => out.push(format!("unpack {:?}", n.operands)),
            Op::Remake(_) => out.push(format!("{node} in {}", n.operands[0])),
            Op::Discard => out.push(format!("discard {}", n.operands[0])),
            Op::Append => out.push(format!("{node} takes {}", n.operands[0])),
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
fn a_parameter_that_is_kept_is_owned_and_duplicated_for_each_further_use() {
    let mut psg = Psg::default();
    let (text, pair) = (psg.ty(Type::String), pair(&mut psg));
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let s = f.param(text);
    let made = f.push(Op::Make(0), &[s, s], pair);
    let func = f.finish("f", pair, Some(made), 0);
    insert(&mut psg);
    assert_eq!(body(&psg, func), [format!("dup {s}"), made.to_string()]);
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

/// `list = Nil | Cons of string * list`.
fn list(psg: &mut Psg) -> crate::id::TypeId {
    let text = psg.ty(Type::String);
    let name = Ustr::from("list");
    let agg = psg.types.aggs.push(Agg { name, kind: AggKind::Union, cases: Vec::new() });
    let ty = psg.ty(Type::Agg(agg));
    let field = |ty| Field { name, ty, is_mutable: false, fixed: None, unit: None };
    psg.types.aggs[agg].cases =
        vec![Case { name, fields: Vec::new() }, Case { name, fields: vec![field(text), field(ty)] }];
    ty
}

/// `fun xs rest -> match xs with Cons(x, more) -> again more (Cons(x, rest)) | Nil -> rest`.
#[test]
fn a_cell_that_is_taken_apart_is_used_again_on_the_path_that_makes_one() {
    let mut psg = Psg::default();
    let (list, text, boolean) = (list(&mut psg), psg.ty(Type::String), psg.ty(Type::Bool));
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let xs = f.param(list);
    let rest = f.param(list);
    let c = f.param(boolean);
    f.open();
    let x = f.push(Op::Field { case: 1, field: 0 }, &[xs], text);
    let more = f.push(Op::Field { case: 1, field: 1 }, &[xs], list);
    f.open();
    let made = f.push(Op::Make(1), &[x, rest], list);
    let one = f.close(Some(made));
    f.open();
    let other = f.close(Some(rest));
    let chosen = f.push_with(Op::If, &[c], &[one, other], list);
    let call = f.push(Op::Call { func: FuncId(0), tail: true }, &[more, chosen, c], list);
    let cons = f.close(Some(call));
    f.open();
    let nil = f.close(Some(rest));
    let result = f.push_with(Op::If, &[c], &[cons, nil], list);
    f.finish("again", list, Some(result), 0);
    insert(&mut psg);
    let ops = operations(&psg, cons);
    assert_eq!(ops[..3], [x.to_string(), more.to_string(), format!("unpack {:?}", [xs, x, more])]);
    let cell = psg.regions[cons].nodes[2];
    assert_eq!(operations(&psg, one), [format!("{made} in {cell}")]);
    assert_eq!(operations(&psg, other), [format!("drop {x}"), format!("discard {cell}")]);
    assert_eq!(operations(&psg, nil), [format!("drop {xs}")]);
}

#[test]
fn a_text_is_appended_to_what_a_variable_gives() {
    let mut psg = Psg::default();
    let (text, unit) = (psg.ty(Type::String), psg.ty(Type::Unit));
    let variable = psg.ty(Type::Var(text));
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let s = f.param(text);
    let var = f.push(Op::Var, &[s], variable);
    let old = f.push(Op::VarGet, &[var], text);
    let longer = f.push(Op::Concat, &[old, s], text);
    let set = f.push(Op::VarSet, &[var, longer], unit);
    let seen = f.push(Op::VarGet, &[var], text);
    let twice = f.push(Op::Concat, &[seen, seen], text);
    let func = f.finish("f", text, Some(twice), 0);
    insert(&mut psg);
    let ops = body(&psg, func);
    // The first read gives what the variable holds, the second counts; the assignment has nothing to drop.
    let expected = [
        format!("dup {s}"),
        var.to_string(),
        old.to_string(),
        format!("{longer} takes {old}"),
        set.to_string(),
        seen.to_string(),
        format!("dup {seen}"),
    ];
    assert_eq!(ops[..7], expected, "{ops:?}");
    assert!(ops.contains(&twice.to_string()), "a text that is used twice is not taken: {ops:?}");
}
