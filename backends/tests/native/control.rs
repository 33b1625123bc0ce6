//! Loops, tail calls, arithmetic.

use crate::support::*;
use clef_psg::builder::FuncBuilder;
use clef_psg::id::{FuncId, NodeId};
use clef_psg::node::{BinOp, ForKind, Op};
use clef_psg::ty::Type;

#[test]
fn loops_run_as_often_as_they_say() {
    let (mut psg, t) = graph();
    let var = psg.ty(Type::Var(t.int));
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let cases = [
        (ForKind::Up, 1, 3, 0),
        (ForKind::Up, 3, 1, 0),
        (ForKind::Down, 3, 1, 0),
        (ForKind::By, 1, 10, 4),
        (ForKind::By, 10, 1, -4),
        (ForKind::By, 2_147_483_640, 2_147_483_647, 5),
        (ForKind::Up, 2_147_483_646, 2_147_483_647, 0),
    ];
    for (kind, from, to, step) in cases {
        let zero = int(&mut f, t, 0);
        let count = f.push(Op::Var, &[zero], var);
        let mut operands = vec![int(&mut f, t, from), int(&mut f, t, to)];
        if kind == ForKind::By {
            operands.push(int(&mut f, t, step));
        }
        f.open();
        f.region_param(t.int);
        let old = f.push(Op::VarGet, &[count], t.int);
        let one = int(&mut f, t, 1);
        let new = binary(&mut f, BinOp::Add, old, one, t.int);
        f.push(Op::VarSet, &[count, new], t.unit);
        let body = f.close(None);
        f.push_with(Op::For(kind), &operands, &[body], t.unit);
        let n = f.push(Op::VarGet, &[count], t.int);
        print_int(&mut f, t, n);
    }
    let zero = int(&mut f, t, 0);
    let main = f.finish("Main.main", t.int, Some(zero), 0);
    psg.entry = Some(main);
    expect(&psg, "3\n0\n3\n3\n3\n2\n2\n", 0);
}

/// `even n = if n = 0 then yes else odd (n - 1)`; `other` is the function called.
fn half(f: &mut FuncBuilder, t: T, other: FuncId, at_zero: i64) -> NodeId {
    let n = f.param(t.int);
    let extra: Vec<NodeId> = (0..9).map(|_| f.param(t.int)).collect();
    let zero = int(f, t, 0);
    let done = binary(f, BinOp::Eq, n, zero, t.bool);
    f.open();
    let v = int(f, t, at_zero);
    let yes = f.close(Some(v));
    f.open();
    let one = int(f, t, 1);
    let less = binary(f, BinOp::Sub, n, one, t.int);
    let mut args = vec![less];
    args.extend(extra);
    let rest = f.push(Op::Call { func: other, tail: true }, &args, t.int);
    let no = f.close(Some(rest));
    f.push_with(Op::If, &[done], &[yes, no], t.int)
}

#[test]
fn mutual_tail_calls_do_not_grow_the_stack() {
    let (mut psg, t) = graph();
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let result = half(&mut f, t, FuncId(1), 1);
    f.finish("Main.even", t.int, Some(result), 0);
    let mut f = FuncBuilder::new(&mut psg, on_line(2));
    let result = half(&mut f, t, FuncId(0), 0);
    f.finish("Main.odd", t.int, Some(result), 0);
    let mut f = FuncBuilder::new(&mut psg, on_line(3));
    let args: Vec<NodeId> = (0..10).map(|_| int(&mut f, t, 10_000_001)).collect();
    let v = f.push(Op::Call { func: FuncId(0), tail: false }, &args, t.int);
    let main = f.finish("Main.main", t.int, Some(v), 0);
    psg.entry = Some(main);
    expect(&psg, "", 0);
}

#[test]
fn division_wraps_and_stops() {
    let (mut psg, t) = graph();
    let var = psg.ty(Type::Var(t.int));
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let minimum = int(&mut f, t, -2_147_483_648);
    let minus_one = int(&mut f, t, -1);
    let v = f.push(Op::Var, &[minus_one], var);
    let divisor = f.push(Op::VarGet, &[v], t.int);
    for op in [BinOp::Div, BinOp::Rem] {
        let q = binary(&mut f, op, minimum, divisor, t.int);
        print_int(&mut f, t, q);
    }
    let zero = int(&mut f, t, 0);
    f.push(Op::VarSet, &[v, zero], t.unit);
    f.span = on_line(2);
    let divisor = f.push(Op::VarGet, &[v], t.int);
    let q = binary(&mut f, BinOp::Div, minimum, divisor, t.int);
    let main = f.finish("Main.main", t.int, Some(q), 0);
    psg.entry = Some(main);
    expect_stop(&psg, "test.clef:2:1: division by zero");
}

#[test]
fn floats_saturate_to_integers() {
    let (mut psg, t) = graph();
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    for value in [3.9, -3.9, 1e20, f64::NAN] {
        let v = f.constant(clef_psg::node::Const::Float(value), t.float);
        let i = f.push(Op::Convert, &[v], t.int);
        print_int(&mut f, t, i);
    }
    let zero = int(&mut f, t, 0);
    let main = f.finish("Main.main", t.int, Some(zero), 0);
    psg.entry = Some(main);
    expect(&psg, "3\n-3\n2147483647\n0\n", 0);
}
