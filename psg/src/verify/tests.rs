//! Each check of the verifier, shown by a graph that breaks it.

use super::verify;
use crate::builder::FuncBuilder;
use crate::graph::Psg;
use crate::id::{FuncId, NodeId, TypeId};
use crate::node::{BinOp, Const, Op};
use crate::ty::Type;
use clef_frontend::ast::IntKind;
use clef_frontend::span::Span;

fn int(psg: &mut Psg) -> TypeId {
    psg.ty(Type::Int(IntKind::I32))
}

/// `add (a: int) (b: int) : int`, changed by `change`.
fn add(change: impl FnOnce(&mut Psg, FuncId, NodeId)) -> Vec<String> {
    let mut psg = Psg::default();
    let int = int(&mut psg);
    psg.ty(Type::Unit);
    psg.ty(Type::Bool);
    let mut b = FuncBuilder::new(&mut psg, Span::default());
    let (x, y) = (b.param(int), b.param(int));
    let sum = b.push(Op::Binary(BinOp::Add), &[x, y], int);
    let func = b.finish("add", int, Some(sum), 0);
    change(&mut psg, func, sum);
    match verify(&psg) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_sound_graph_is_accepted() {
    assert_eq!(add(|_, _, _| ()), Vec::<String>::new());
}

#[test]
fn operands_must_be_in_scope() {
    let errors = add(|psg, _, sum| psg.nodes[sum].operands[1] = sum);
    assert_eq!(errors, ["add, n2: operand n2 is not in scope"]);
}

#[test]
fn operands_must_exist_and_be_as_many_as_asked() {
    let errors = add(|psg, _, sum| psg.nodes[sum].operands[1] = NodeId(99));
    assert_eq!(errors, ["add, n2: operand n99 does not exist"]);
    let errors = add(|psg, _, sum| psg.nodes[sum].operands.truncate(1));
    assert_eq!(errors, ["add, n2: 1 operands, not 2"]);
}

#[test]
fn types_must_agree() {
    let errors = add(|psg, _, sum| psg.nodes[sum].ty = psg.ty(Type::Bool));
    assert_eq!(errors[0], "add, n2: result is `bool`, not `int`");
    let errors = add(|psg, func, _| psg.funcs[func].ret = psg.ty(Type::Bool));
    assert_eq!(errors, ["add, n2: result of r0 is `int`, not `bool`"]);
}

#[test]
fn a_region_must_yield_its_value() {
    let errors = add(|psg, func, _| {
        let body = psg.funcs[func].body;
        psg.regions[body].result = None;
    });
    assert_eq!(errors, ["add, n2: region r0 yields nothing, not `int`"]);
}

#[test]
fn a_node_stands_in_one_place() {
    let errors = add(|psg, func, sum| {
        let body = psg.funcs[func].body;
        psg.regions[body].nodes.push(sum);
    });
    assert_eq!(errors, ["add, n2: stands in two places"]);
}

#[test]
fn calls_are_saturated() {
    let errors = add(|psg, func, _| {
        let int = int(psg);
        let mut b = FuncBuilder::new(psg, Span::default());
        let one = b.constant(Const::Int(1), int);
        let call = b.push(Op::Call { func, tail: false }, &[one], int);
        b.finish("one", int, Some(call), 0);
    });
    assert_eq!(errors, ["one, n4: 1 arguments, not 2"]);
}

#[test]
fn tail_calls_are_last() {
    let errors = add(|psg, func, _| {
        let int = int(psg);
        let mut b = FuncBuilder::new(psg, Span::default());
        let one = b.constant(Const::Int(1), int);
        let call = b.push(Op::Call { func, tail: true }, &[one, one], int);
        let more = b.push(Op::Binary(BinOp::Add), &[call, one], int);
        b.finish("one", int, Some(more), 0);
    });
    assert_eq!(errors, ["one, n4: a tail call with something behind it"]);
}

#[test]
fn values_of_a_branch_stay_in_it() {
    let errors = add(|psg, _, _| {
        let (int, bool, unit) = (int(psg), psg.ty(Type::Bool), psg.ty(Type::Unit));
        let mut b = FuncBuilder::new(psg, Span::default());
        let yes = b.constant(Const::Bool(true), bool);
        b.open();
        let inside = b.constant(Const::Int(1), int);
        let then = b.close(None);
        b.open();
        let otherwise = b.close(None);
        b.push_with(Op::If, &[yes], &[then, otherwise], unit);
        b.finish("leak", int, Some(inside), 0);
    });
    assert_eq!(errors, ["leak, n4: result of r3 is not in scope"]);
}

#[test]
fn names_are_unique_and_constants_fit() {
    let errors = add(|psg, _, _| {
        let bool = psg.ty(Type::Bool);
        let mut b = FuncBuilder::new(psg, Span::default());
        let wrong = b.constant(Const::Int(1), bool);
        b.finish("add", bool, Some(wrong), 0);
    });
    assert_eq!(errors, ["tables: f0 and f1 are both named `add`", "add, n3: constant Int(1) of type Bool"]);
}
