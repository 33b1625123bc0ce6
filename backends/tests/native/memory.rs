//! Aggregates, closures and counts.

use crate::support::*;
use clef_psg::builder::FuncBuilder;
use clef_psg::graph::Psg;
use clef_psg::id::{FuncId, NodeId, TypeId};
use clef_psg::node::{BinOp, Op};
use clef_psg::ty::{Agg, AggKind, Case, Field, Type};

pub fn agg(psg: &mut Psg, name: &str, kind: AggKind, cases: &[(&str, &[(TypeId, bool)])]) -> TypeId {
    let cases = cases
        .iter()
        .map(|(name, fields)| Case {
            name: (*name).into(),
            fields: fields
                .iter()
                .enumerate()
                .map(|(i, &(ty, is_mutable))| Field {
                    name: format!("F{i}").into(),
                    ty,
                    is_mutable,
                    fixed: None,
                    unit: None,
                })
                .collect(),
        })
        .collect();
    let id = psg.types.aggs.push(Agg { name: name.into(), kind, cases });
    psg.ty(Type::Agg(id))
}

/// A union whose own type occurs in its fields, as `None`.
pub fn recursive(psg: &mut Psg, name: &str, cases: &[(&str, &[Option<TypeId>])]) -> TypeId {
    let next = clef_psg::id::AggId(psg.types.aggs.len() as u32);
    let own = psg.ty(Type::Agg(next));
    let cases: Vec<(&str, Vec<(TypeId, bool)>)> =
        cases.iter().map(|(n, f)| (*n, f.iter().map(|t| (t.unwrap_or(own), false)).collect())).collect();
    let borrowed: Vec<(&str, &[(TypeId, bool)])> = cases.iter().map(|(n, f)| (*n, f.as_slice())).collect();
    agg(psg, name, AggKind::Union, &borrowed)
}

/// `build acc n = if n = 0 then acc else build (Make case [fields before; acc]) (n - 1)`
fn chain(
    psg: &mut Psg,
    t: T,
    ty: TypeId,
    fields: impl Fn(&mut FuncBuilder, NodeId, NodeId) -> Vec<NodeId>,
) -> FuncId {
    let id = FuncId(psg.funcs.len() as u32);
    let mut f = FuncBuilder::new(psg, on_line(1));
    let acc = f.param(ty);
    let n = f.param(t.int);
    let zero = int(&mut f, t, 0);
    let done = binary(&mut f, BinOp::Eq, n, zero, t.bool);
    f.open();
    let yes = f.close(Some(acc));
    f.open();
    let parts = fields(&mut f, n, acc);
    let cell = f.push(Op::Make(1), &parts, ty);
    let one = int(&mut f, t, 1);
    let less = binary(&mut f, BinOp::Sub, n, one, t.int);
    let rest = f.push(Op::Call { func: id, tail: true }, &[cell, less], ty);
    let no = f.close(Some(rest));
    let result = f.push_with(Op::If, &[done], &[yes, no], ty);
    f.finish("Main.build", ty, Some(result), 0)
}

fn build_and_drop(psg: &mut Psg, t: T, ty: TypeId, build: FuncId, n: i64) {
    let mut f = FuncBuilder::new(psg, on_line(2));
    let nil = f.push(Op::Make(0), &[], ty);
    let n = int(&mut f, t, n);
    let list = f.push(Op::Call { func: build, tail: false }, &[nil, n], ty);
    let tag = f.push(Op::Tag, &[list], t.int);
    print_int(&mut f, t, tag);
    f.push(Op::Drop, &[list], t.unit);
    let zero = int(&mut f, t, 0);
    let main = f.finish("Main.main", t.int, Some(zero), 0);
    psg.entry = Some(main);
}

#[test]
fn a_long_list_is_freed_without_stack() {
    let (mut psg, t) = graph();
    let list = recursive(&mut psg, "list<int>", &[("Nil", &[]), ("Cons", &[Some(t.int), None])]);
    let build = chain(&mut psg, t, list, |_, n, acc| vec![n, acc]);
    build_and_drop(&mut psg, t, list, build, 1_000_000);
    expect(&psg, "1\n", 0);
}

#[test]
fn a_tree_that_leans_to_the_wrong_side_is_freed_without_stack() {
    let (mut psg, t) = graph();
    let tree = recursive(&mut psg, "Tree", &[("Leaf", &[]), ("Node", &[None, Some(t.int), None])]);
    let build = chain(&mut psg, t, tree, |f, n, acc| {
        let leaf = f.push(Op::Make(0), &[], tree);
        vec![acc, n, leaf]
    });
    build_and_drop(&mut psg, t, tree, build, 1_000_000);
    expect(&psg, "1\n", 0);
}

#[test]
fn unions_by_value_keep_their_parts() {
    let (mut psg, t) = graph();
    let shape = agg(
        &mut psg,
        "Result",
        AggKind::Union,
        &[("Ok", &[(t.int, false)]), ("Error", &[(t.string, false)])],
    );
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let spec = clef_frontend::typed::FormatSpec { conversion: 'd', ..Default::default() };
    let seven = int(&mut f, t, 7);
    let text = f.push(Op::FormatValue(spec), &[seven], t.string);
    let error = f.push(Op::Make(1), &[text], shape);
    let ok = f.push(Op::Make(0), &[seven], shape);
    for v in [error, ok] {
        let tag = f.push(Op::Tag, &[v], t.int);
        print_int(&mut f, t, tag);
    }
    let back = f.push(Op::Field { case: 1, field: 0 }, &[error], t.string);
    f.push(Op::Print { to_stderr: false }, &[back], t.unit);
    f.push(Op::Dup, &[error], t.unit);
    for v in [error, error, ok] {
        f.push(Op::Drop, &[v], t.unit);
    }
    let code = f.push(Op::Field { case: 0, field: 0 }, &[ok], t.int);
    let main = f.finish("Main.main", t.int, Some(code), 0);
    psg.entry = Some(main);
    expect(&psg, "1\n0\n7", 7);
}

#[test]
fn shared_records_see_assignments() {
    let (mut psg, t) = graph();
    let cell = agg(&mut psg, "Counter", AggKind::Record, &[("Counter", &[(t.int, true), (t.string, false)])]);
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let one = int(&mut f, t, 1);
    let name = f.constant(clef_psg::node::Const::String("n".into()), t.string);
    let a = f.push(Op::Make(0), &[one, name], cell);
    f.push(Op::Dup, &[a], t.unit);
    let five = int(&mut f, t, 5);
    f.push(Op::SetField(0), &[a, five], t.unit);
    let v = f.push(Op::Field { case: 0, field: 0 }, &[a], t.int);
    f.push(Op::Drop, &[a], t.unit);
    f.push(Op::Drop, &[a], t.unit);
    let main = f.finish("Main.main", t.int, Some(v), 0);
    psg.entry = Some(main);
    expect(&psg, "", 5);
}

#[test]
fn closures_carry_their_captures() {
    let (mut psg, t) = graph();
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let x = f.param(t.int);
    let offset = f.param(t.int);
    let _text = f.param(t.string);
    let sum = binary(&mut f, BinOp::Add, x, offset, t.int);
    let lambda = f.finish("Main.main.lambda", t.int, Some(sum), 2);
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let x = f.param(t.int);
    let plain = f.finish("Main.id", t.int, Some(x), 0);
    let closure = psg.ty(Type::Closure { params: vec![t.int], ret: t.int });
    let mut f = FuncBuilder::new(&mut psg, on_line(2));
    let forty = int(&mut f, t, 40);
    let spec = clef_frontend::typed::FormatSpec { conversion: 'd', ..Default::default() };
    let text = f.push(Op::FormatValue(spec), &[forty], t.string);
    let made = f.push(Op::Closure(lambda), &[forty, text], closure);
    let fixed = f.push(Op::Closure(plain), &[], closure);
    let two = int(&mut f, t, 2);
    let a = f.push(Op::CallClosure { tail: false }, &[made, two], t.int);
    let b = f.push(Op::CallClosure { tail: false }, &[fixed, a], t.int);
    f.push(Op::Drop, &[made], t.unit);
    f.push(Op::Drop, &[fixed], t.unit);
    let main = f.finish("Main.main", t.int, Some(b), 0);
    psg.entry = Some(main);
    expect(&psg, "", 42);
}

#[test]
fn arrays_are_filled_and_checked() {
    let (mut psg, t) = graph();
    let array = psg.ty(Type::Array(t.int));
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let (n, seven, five) = (int(&mut f, t, 10), int(&mut f, t, 7), int(&mut f, t, 5));
    let a = f.push(Op::ArrayNew, &[n, seven], array);
    f.push(Op::ArraySet { checked: true }, &[a, five, n], t.unit);
    for i in [five, seven] {
        let v = f.push(Op::ArrayGet { checked: true }, &[a, i], t.int);
        print_int(&mut f, t, v);
    }
    let length = f.push(Op::Length, &[a], t.int);
    print_int(&mut f, t, length);
    f.span = on_line(3);
    let v = f.push(Op::ArrayGet { checked: true }, &[a, n], t.int);
    let main = f.finish("Main.main", t.int, Some(v), 0);
    psg.entry = Some(main);
    expect_stop(&psg, "test.clef:3:1: index 10 of 10");
}
