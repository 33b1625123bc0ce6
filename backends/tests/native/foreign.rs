//! Foreign functions: structs by value, text.

use crate::memory::agg;
use crate::support::*;
use clef_frontend::ast::{FloatKind, IntKind};
use clef_psg::builder::FuncBuilder;
use clef_psg::graph::{Extern, Psg};
use clef_psg::id::{ExternId, TypeId};
use clef_psg::node::{Const, Op};
use clef_psg::ty::{AggKind, Type};

fn external(psg: &mut Psg, entry: &str, params: &[TypeId], ret: TypeId) -> ExternId {
    let params = params.iter().map(|&t| ("p".into(), t, None)).collect();
    psg.externs.push(Extern { library: "c".into(), entry: entry.into(), params, ret, span: on_line(1) })
}

#[test]
fn structs_travel_as_c_passes_them() {
    let (mut psg, t) = graph();
    let single = psg.ty(Type::Float(FloatKind::F32));
    let tiny = psg.ty(Type::Int(IntKind::I8));
    let long = psg.ty(Type::Int(IntKind::I64));
    let mixed = agg(&mut psg, "Mixed", AggKind::Record, &[("Mixed", &[(t.float, false), (t.int, false)])]);
    let small = agg(
        &mut psg,
        "Small",
        AggKind::Record,
        &[("Small", &[(single, false), (single, false), (tiny, false)])],
    );
    // Mutable fields: a cell here, a struct in C all the same.
    let three =
        agg(&mut psg, "Three", AggKind::Record, &[("Three", &[(long, true), (long, false), (long, false)])]);
    let f_mixed = external(&mut psg, "mixed", &[mixed, t.int], mixed);
    let f_small = external(&mut psg, "small", &[small], t.int);
    let f_three = external(&mut psg, "three", &[three], three);
    let f_length = external(&mut psg, "text_length", &[t.string], t.int);
    let f_name = external(&mut psg, "name_of", &[t.int], t.string);
    let mut f = FuncBuilder::new(&mut psg, on_line(1));
    let (half, nine) = (f.constant(Const::Float(2.5), t.float), int(&mut f, t, 9));
    let m = f.push(Op::Make(0), &[half, nine], mixed);
    let four = int(&mut f, t, 4);
    let r = f.push(Op::CallExtern(f_mixed), &[m, four], mixed);
    let a = f.push(Op::Field { case: 0, field: 0 }, &[r], t.float);
    let a = f.push(Op::Convert, &[a], t.int);
    let b = f.push(Op::Field { case: 0, field: 1 }, &[r], t.int);
    let (x, y) = (f.constant(Const::Float(1.0), single), f.constant(Const::Float(2.0), single));
    let c = f.constant(Const::Int(-3), tiny);
    let s = f.push(Op::Make(0), &[x, y, c], small);
    let s = f.push(Op::CallExtern(f_small), &[s], t.int);
    let (p, q) = (f.constant(Const::Int(1), long), f.constant(Const::Int(20), long));
    let v = f.push(Op::Make(0), &[p, q, q], three);
    let back = f.push(Op::CallExtern(f_three), &[v], three);
    let q = f.push(Op::Field { case: 0, field: 1 }, &[back], long);
    let text = f.constant(Const::String("f\u{fc}nf".into()), t.string);
    let n = f.push(Op::CallExtern(f_length), &[text], t.int);
    for i in [1, 0] {
        let i = int(&mut f, t, i);
        let name = f.push(Op::CallExtern(f_name), &[i], t.string);
        f.push(Op::Print { to_stderr: false }, &[name], t.unit);
        f.push(Op::Drop, &[name], t.unit);
    }
    for v in [a, b, s, n] {
        print_int(&mut f, t, v);
    }
    print_int(&mut f, t, q);
    f.push(Op::Drop, &[v], t.unit);
    f.push(Op::Drop, &[back], t.unit);
    let zero = int(&mut f, t, 0);
    let main = f.finish("Main.main", t.int, Some(zero), 0);
    psg.entry = Some(main);
    expect(&psg, "named10\n13\n117\n5\n21\n", 0);
}
