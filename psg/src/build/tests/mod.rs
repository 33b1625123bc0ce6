//! Construction from typed trees made by hand: what becomes of functions, closures and matches.

mod make;
mod patterns;

use crate::graph::Psg;
use crate::node::Op;
use crate::text;
use clef_frontend::typed::{Arm, DefId, ExprKind, PatKind, Prim, TypeDefId};
use make::Make;

fn count(psg: &Psg, is: impl Fn(&Op) -> bool) -> usize {
    psg.nodes.iter().filter(|(_, n)| is(&n.op)).count()
}

fn closures(psg: &Psg) -> usize {
    count(psg, |op| matches!(op, Op::Closure(_) | Op::CallClosure { .. }))
}

/// `twice (f: int -> int) (x: int) = f (f x)`
fn twice(m: &mut Make) -> DefId {
    let def = m.reserve("twice", 0);
    let fun = m.fun(&[m.int], m.int);
    let (f, x) = (m.local("f", fun), m.local("x", m.int));
    let (f1, f2, x1) = (m.get(f), m.get(f), m.get(x));
    let inner = m.app(f1, &[x1], m.int);
    let outer = m.app(f2, &[inner], m.int);
    m.function(def, &[f, x], outer);
    def
}

/// `add a b = a + b`
fn add(m: &mut Make) -> DefId {
    let def = m.reserve("add", 0);
    let (a, b) = (m.local("a", m.int), m.local("b", m.int));
    let (a1, b1) = (m.get(a), m.get(b));
    let sum = m.prim(Prim::Add, &[a1, b1], m.int);
    m.function(def, &[a, b], sum);
    def
}

#[test]
fn a_lambda_given_to_a_function_makes_a_version_of_it_without_closures() {
    let mut m = Make::new();
    let twice = twice(&mut m);
    let root = m.reserve("root", 0);
    let (k, y) = (m.local("k", m.int), m.local("y", m.int));
    let (k1, y1, k2) = (m.get(k), m.get(y), m.get(k));
    let body = m.prim(Prim::Add, &[y1, k1], m.int);
    let lambda = m.lambda(&[y], body);
    let fun = m.fun(&[m.int], m.int);
    let ty = m.fun(&[fun, m.int], m.int);
    let callee = m.def(twice, &[], ty);
    let call = m.app(callee, &[lambda, k2], m.int);
    m.function(root, &[k], call);
    let psg = m.build(root);
    assert_eq!(closures(&psg), 0, "{}", text::print(&psg));
    assert_eq!(psg.funcs.len(), 3);
}

#[test]
fn a_partial_application_is_known_until_it_escapes() {
    let mut m = Make::new();
    let twice = twice(&mut m);
    let add = add(&mut m);
    let root = m.reserve("root", 0);
    let fun = m.fun(&[m.int], m.int);
    let k = m.local("k", m.int);
    let add_ty = m.fun(&[m.int, m.int], m.int);
    let twice_ty = m.fun(&[fun, m.int], m.int);
    let (k1, three) = (m.get(k), m.num(3));
    let add1 = m.def(add, &[], add_ty);
    let part = m.app(add1, &[k1], fun);
    let callee = m.def(twice, &[], twice_ty);
    let call = m.app(callee, &[part, three], m.int);
    m.function(root, &[k], call);
    assert_eq!(closures(&m.build(root)), 0);

    let escaping = m.reserve("escaping", 0);
    let k = m.local("k", m.int);
    let k1 = m.get(k);
    let add1 = m.def(add, &[], add_ty);
    let part = m.app(add1, &[k1], fun);
    m.function(escaping, &[k], part);
    let psg = m.build(escaping);
    assert_eq!(count(&psg, |op| matches!(op, Op::Closure(_))), 1);
}

#[test]
fn function_values_have_maximal_arity() {
    // `choose b = if b then add else add`: the closure takes two arguments; `choose b 1 2` is over-application.
    let mut m = Make::new();
    let add = add(&mut m);
    let add_ty = m.fun(&[m.int, m.int], m.int);
    let choose = m.reserve("choose", 0);
    let b = m.local("b", m.bool);
    let cond = m.get(b);
    let (then, otherwise) = (m.def(add, &[], add_ty), m.def(add, &[], add_ty));
    let body = m.e(ExprKind::If { cond, then, otherwise }, add_ty);
    m.function(choose, &[b], body);
    let root = m.reserve("root", 0);
    let b = m.local("b", m.bool);
    let (b1, one, two) = (m.get(b), m.num(1), m.num(2));
    let ty = m.fun(&[m.bool, m.int, m.int], m.int);
    let callee = m.def(choose, &[], ty);
    let call = m.app(callee, &[b1, one, two], m.int);
    m.function(root, &[b], call);
    let psg = m.build(root);
    assert_eq!(count(&psg, |op| matches!(op, Op::CallClosure { tail: true })), 1);
}

#[test]
fn a_local_recursive_function_calls_itself_directly_and_in_tail_position() {
    // `let rec loop i = if i = n then i else loop (i + 1) in loop 0`
    let mut m = Make::new();
    let root = m.reserve("root", 0);
    let fun = m.fun(&[m.int], m.int);
    let (n, own, i) = (m.local("n", m.int), m.local("loop", fun), m.local("i", m.int));
    let (i1, n1, i2, i3, one) = (m.get(i), m.get(n), m.get(i), m.get(i), m.num(1));
    let cond = m.prim(Prim::Eq, &[i1, n1], m.bool);
    let next = m.prim(Prim::Add, &[i3, one], m.int);
    let f = m.get(own);
    let again = m.app(f, &[next], m.int);
    let body = m.e(ExprKind::If { cond, then: i2, otherwise: again }, m.int);
    let lambda = m.lambda(&[i], body);
    let (f, zero) = (m.get(own), m.num(0));
    let start = m.app(f, &[zero], m.int);
    let all = m.e(ExprKind::LetRec { bindings: vec![(own, lambda)], body: start }, m.int);
    m.function(root, &[n], all);
    let psg = m.build(root);
    assert_eq!(closures(&psg), 0);
    assert_eq!(count(&psg, |op| matches!(op, Op::Call { tail: true, .. })), 2);
}

#[test]
fn a_captured_mutable_local_lives_in_a_box() {
    // `let mutable n = 0 in let bump = fun () -> n <- n + 1 in bump (); n`
    let mut m = Make::new();
    let root = m.reserve("root", 0);
    let fun = m.fun(&[m.unit], m.unit);
    let (u, n, bump, v) =
        (m.local("u", m.unit), m.mutable("n", m.int), m.local("bump", fun), m.local("v", m.unit));
    let (n1, one) = (m.get(n), m.num(1));
    let sum = m.prim(Prim::Add, &[n1, one], m.int);
    let assign = m.e(ExprKind::Assign(n, sum), m.unit);
    let lambda = m.lambda(&[v], assign);
    let (f, arg, n2, zero) = (m.get(bump), m.e(ExprKind::Unit, m.unit), m.get(n), m.num(0));
    let call = m.app(f, &[arg], m.unit);
    let seq = m.e(ExprKind::Seq(vec![call, n2]), m.int);
    let inner = m.let_in(bump, lambda, seq);
    let all = m.let_in(n, zero, inner);
    m.function(root, &[u], all);
    let psg = m.build(root);
    assert_eq!(count(&psg, |op| matches!(op, Op::Var)), 0);
    assert_eq!(count(&psg, |op| matches!(op, Op::SetField(0))), 1);
}

fn list(m: &mut Make) -> TypeDefId {
    let def = m.reserve_type("list", 1);
    let item = m.param(0);
    let own = m.named(def, &[item]);
    m.union(def, &[("Nil", &[]), ("Cons", &[item, own])]);
    def
}

#[test]
fn equality_of_lists_is_one_function_that_calls_itself_in_tail_position() {
    let mut m = Make::new();
    let list = list(&mut m);
    let ints = m.named(list, &[m.int]);
    let root = m.reserve("root", 0);
    let (a, b) = (m.local("a", ints), m.local("b", ints));
    let (a1, b1) = (m.get(a), m.get(b));
    let same = m.prim(Prim::Eq, &[a1, b1], m.bool);
    m.function(root, &[a, b], same);
    let psg = m.build(root);
    assert_eq!(psg.funcs.len(), 2);
    assert_eq!(count(&psg, |op| matches!(op, Op::Call { tail: true, .. })), 1, "{}", text::print(&psg));
}

#[test]
fn every_structural_operation_verifies_on_every_kind_of_type() {
    let mut m = Make::new();
    let list = list(&mut m);
    let ints = m.named(list, &[m.int]);
    let nested = m.named(list, &[ints]);
    let pair = m.ty(clef_frontend::typed::Type::Tuple(vec![m.string, nested]));
    let array = m.ty(clef_frontend::typed::Type::Array(pair));
    for prim in [Prim::Eq, Prim::Lt, Prim::Compare, Prim::Hash, Prim::Max] {
        let root = m.reserve(&format!("root{prim:?}"), 0);
        let (a, b) = (m.local("a", array), m.local("b", array));
        let (a1, b1) = (m.get(a), m.get(b));
        let args = if prim == Prim::Hash { vec![a1] } else { vec![a1, b1] };
        let ty = match prim {
            Prim::Eq | Prim::Lt => m.bool,
            Prim::Max => array,
            _ => m.int,
        };
        let value = m.prim(prim, &args, ty);
        m.function(root, &[a, b], value);
        m.build(root);
    }
    let root = m.reserve("show", 0);
    let a = m.local("a", array);
    let value = m.get(a);
    let spec = clef_frontend::typed::FormatSpec { conversion: 'A', ..Default::default() };
    let parts = vec![clef_frontend::typed::FormatPart::Hole { value, spec }];
    let body = m.e(ExprKind::Format { sink: clef_frontend::typed::FormatSink::String, parts }, m.string);
    m.function(root, &[a], body);
    m.build(root);
}

#[test]
fn a_shared_arm_is_made_once_and_or_patterns_bind_by_variant() {
    // match xs, ys with
    // | Cons (x, Nil), _ | _, Cons (x, Nil) -> x + x + x
    // | _ -> 0
    let mut m = Make::new();
    let list = list(&mut m);
    let ints = m.named(list, &[m.int]);
    let pair = m.ty(clef_frontend::typed::Type::Tuple(vec![ints, ints]));
    let root = m.reserve("root", 0);
    let (xs, ys, x) = (m.local("xs", ints), m.local("ys", ints), m.local("x", m.int));
    let one = |m: &mut Make| {
        let nil = m.p(PatKind::Case { case: 0, fields: vec![] }, ints);
        let bind = m.p(PatKind::Bind(x), m.int);
        m.p(PatKind::Case { case: 1, fields: vec![bind, nil] }, ints)
    };
    let (left, right) = (one(&mut m), one(&mut m));
    let first = m.p(PatKind::Fields(vec![(0, left)]), pair);
    let second = m.p(PatKind::Fields(vec![(1, right)]), pair);
    let either = m.p(PatKind::Or(first, second), pair);
    let wild = m.p(PatKind::Wild, pair);
    let (x1, x2) = (m.get(x), m.get(x));
    let body = m.prim(Prim::Mul, &[x1, x2], m.int);
    let (zero, xs1, ys1) = (m.num(0), m.get(xs), m.get(ys));
    let scrutinee = m.e(ExprKind::Tuple(vec![xs1, ys1]), pair);
    let arms = vec![Arm { pat: either, guard: None, body }, Arm { pat: wild, guard: None, body: zero }];
    let all = m.e(ExprKind::Match { scrutinee, arms }, m.int);
    m.function(root, &[xs, ys], all);
    let psg = m.build(root);
    let is_mul = |op: &Op| matches!(op, Op::Binary(crate::node::BinOp::Mul));
    assert_eq!(count(&psg, is_mul), 1, "{}", text::print(&psg));
    assert_eq!(count(&psg, |op| matches!(op, Op::Make(_))), 0, "the tuple is not made");
}

#[test]
fn polymorphic_recursion_is_reported_and_ends() {
    // let rec nest (x: 'T) : int = nest<list<'T>> Nil
    let mut m = Make::new();
    let list = list(&mut m);
    let nest = m.reserve("nest", 1);
    let t = m.param(0);
    let lists = m.named(list, &[t]);
    let x = m.local("x", t);
    let nil = m.e(ExprKind::Union { case: 0, fields: vec![] }, lists);
    let ty = m.fun(&[lists], m.int);
    let callee = m.def(nest, &[lists], ty);
    let call = m.app(callee, &[nil], m.int);
    m.function(nest, &[x], call);
    let root = m.reserve("root", 0);
    let (u, int) = (m.local("u", m.unit), m.int);
    let (ty, one) = (m.fun(&[int], int), m.num(1));
    let callee = m.def(nest, &[int], ty);
    let call = m.app(callee, &[one], int);
    m.function(root, &[u], call);
    m.prog.roots = vec![root];
    let (_, diags) = super::build(&m.prog, Vec::new(), super::Options::default());
    assert_eq!(diags.len(), 1, "{diags:?}");
    assert_eq!(diags[0].code, clef_frontend::codes::BUILD_LIMIT);
}

#[test]
fn long_chains_do_not_recurse() {
    let mut m = Make::new();
    let root = m.reserve("root", 0);
    let u = m.local("u", m.unit);
    let mut body = m.num(0);
    for i in 0..100_000 {
        let x = m.local("x", m.int);
        let value = m.num(i);
        body = m.let_in(x, value, body);
    }
    m.function(root, &[u], body);
    let psg = m.build(root);
    assert_eq!(psg.nodes.len(), 100_002);
}
