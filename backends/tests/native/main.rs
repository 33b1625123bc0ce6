//! Hand-built graphs through the back end, linked with a stub and run.

mod agents;
mod control;
mod foreign;
mod memory;
mod support;

use clef_backends::job::Want;
use clef_psg::builder::FuncBuilder;
use clef_psg::id::{FuncId, NodeId};
use clef_psg::node::{BinOp, Const, Op};
use support::*;

/// `main` whose body `build` gives; its result is the exit code.
fn program(build: impl FnOnce(&mut FuncBuilder, T) -> NodeId) -> clef_psg::graph::Psg {
    let (mut psg, t) = graph();
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let code = build(&mut f, t);
    let main = f.finish("Main.main", t.int, Some(code), 0);
    psg.entry = Some(main);
    psg
}

#[test]
fn hello() {
    let psg = program(|f, t| {
        let text = f.constant(Const::String("Hello, \u{e9}!\n".into()), t.string);
        f.push(Op::Print { to_stderr: false }, &[text], t.unit);
        int(f, t, 3)
    });
    expect(&psg, "Hello, \u{e9}!\n", 3);
}

#[test]
fn recursion() {
    let (mut psg, t) = graph();
    let fib = FuncId(0);
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let n = f.param(t.int);
    let two = int(&mut f, t, 2);
    let small = binary(&mut f, BinOp::Lt, n, two, t.bool);
    f.open();
    let yes = f.close(Some(n));
    f.open();
    let one = int(&mut f, t, 1);
    let a = binary(&mut f, BinOp::Sub, n, one, t.int);
    let b = binary(&mut f, BinOp::Sub, n, two, t.int);
    let x = f.push(Op::Call { func: fib, tail: false }, &[a], t.int);
    let y = f.push(Op::Call { func: fib, tail: false }, &[b], t.int);
    let sum = binary(&mut f, BinOp::Add, x, y, t.int);
    let no = f.close(Some(sum));
    let result = f.push_with(Op::If, &[small], &[yes, no], t.int);
    f.finish("Main.fib", t.int, Some(result), 0);
    let mut f = FuncBuilder::new(&mut psg, on_line(2));
    let n = int(&mut f, t, 20);
    let v = f.push(Op::Call { func: fib, tail: false }, &[n], t.int);
    print_int(&mut f, t, v);
    let zero = int(&mut f, t, 0);
    let main = f.finish("Main.main", t.int, Some(zero), 0);
    psg.entry = Some(main);
    expect(&psg, "6765\n", 0);
}

#[test]
fn the_same_job_gives_the_same_bytes() {
    let psg = program(|f, t| {
        let v = int(f, t, 7);
        print_int(f, t, v);
        v
    });
    for want in [Want::Object, Want::Mlir] {
        let job = job(psg.clone(), 2, want);
        assert_eq!(answer(&job).files, answer(&job).files);
    }
}
