//! Decision trees against the definition of matching: random patterns, all small values.

use super::make::Make;
use crate::graph::Psg;
use crate::id::{FuncId, IdVec, NodeId, RegionId};
use crate::node::{BinOp, Const, FailKind, Op};
use clef_frontend::typed::{Arm, ExprKind, LocalId, PatId, PatKind, Prim, TyId, Type};

/// Deterministic random numbers.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Unit,
    Int(i64),
    Agg(u32, Vec<Value>),
}

/// A pattern as data, to be matched by definition.
#[derive(Clone, Debug)]
enum Model {
    Wild,
    Bind,
    Int(i64),
    Bool(bool),
    Case(u32, Vec<Model>),
    Tuple(Vec<Model>),
    Or(Box<Model>, Box<Model>),
    As(Box<Model>),
}

/// Shape of the matched types: tree = A | B of int | C of tree * bool; pair = tree * tree.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Tree,
    Int,
    Bool,
    Pair,
}

/// Whether the value fits, and the last number bound.
fn matches(model: &Model, value: &Value, bound: &mut i64) -> bool {
    match (model, value) {
        (Model::Wild, _) => true,
        (Model::Bind, Value::Int(i)) => {
            *bound = *i;
            true
        }
        (Model::Bind, _) => true,
        (Model::Int(a), Value::Int(b)) => a == b,
        (Model::Bool(a), Value::Int(b)) => i64::from(*a) == *b,
        (Model::Case(c, parts), Value::Agg(v, values)) => {
            c == v && parts.iter().zip(values).all(|(p, v)| matches(p, v, bound))
        }
        (Model::Tuple(parts), Value::Agg(_, values)) => {
            parts.iter().zip(values).all(|(p, v)| matches(p, v, bound))
        }
        (Model::Or(a, b), v) => {
            let mut inner = *bound;
            if matches(a, v, &mut inner) {
                *bound = inner;
                return true;
            }
            matches(b, v, bound)
        }
        (Model::As(a), v) => matches(a, v, bound),
        _ => false,
    }
}

/// No `as` inside an or-pattern: both sides of one bind the same names.
fn random(rng: &mut Rng, kind: Kind, depth: u32, named: bool) -> Model {
    if depth == 0 || rng.below(4) == 0 {
        return Model::Wild;
    }
    if rng.below(5) == 0 {
        return Model::Or(
            Box::new(random(rng, kind, depth - 1, false)),
            Box::new(random(rng, kind, depth - 1, false)),
        );
    }
    if named && rng.below(8) == 0 {
        return Model::As(Box::new(random(rng, kind, depth - 1, named)));
    }
    match kind {
        Kind::Int => Model::Int(rng.below(3) as i64),
        Kind::Bool => Model::Bool(rng.below(2) == 0),
        Kind::Pair => Model::Tuple(vec![
            random(rng, Kind::Tree, depth - 1, named),
            random(rng, Kind::Tree, depth - 1, named),
        ]),
        Kind::Tree => match rng.below(3) {
            0 => Model::Case(0, vec![]),
            1 => Model::Case(1, vec![random(rng, Kind::Int, depth - 1, named)]),
            _ => Model::Case(
                2,
                vec![random(rng, Kind::Tree, depth - 1, named), random(rng, Kind::Bool, depth - 1, named)],
            ),
        },
    }
}

/// Puts one binding of a number into each side, where all sides have a place for it.
fn with_binding(model: &Model, kind: Kind) -> Option<Model> {
    match (model, kind) {
        (Model::Wild, Kind::Int) => Some(Model::Bind),
        (Model::Or(a, b), k) => Some(Model::Or(Box::new(with_binding(a, k)?), Box::new(with_binding(b, k)?))),
        (Model::As(a), k) => Some(Model::As(Box::new(with_binding(a, k)?))),
        (Model::Case(1, parts), _) => Some(Model::Case(1, vec![with_binding(&parts[0], Kind::Int)?])),
        (Model::Case(2, parts), _) => {
            Some(Model::Case(2, vec![with_binding(&parts[0], Kind::Tree)?, parts[1].clone()]))
        }
        (Model::Tuple(parts), _) => match with_binding(&parts[0], Kind::Tree) {
            Some(first) => Some(Model::Tuple(vec![first, parts[1].clone()])),
            None => Some(Model::Tuple(vec![parts[0].clone(), with_binding(&parts[1], Kind::Tree)?])),
        },
        _ => None,
    }
}

struct Types {
    tree: TyId,
    pair: TyId,
}

fn pattern(m: &mut Make, t: &Types, model: &Model, kind: Kind, bind: LocalId) -> PatId {
    let ty = match kind {
        Kind::Tree => t.tree,
        Kind::Int => m.int,
        Kind::Bool => m.bool,
        Kind::Pair => t.pair,
    };
    let kind = match model {
        Model::Wild => PatKind::Wild,
        Model::Bind => PatKind::Bind(bind),
        Model::Int(i) => PatKind::Int(*i),
        Model::Bool(b) => PatKind::Bool(*b),
        Model::Case(case, parts) => {
            let kinds = [Kind::Tree, Kind::Bool];
            let fields = parts
                .iter()
                .enumerate()
                .map(|(i, p)| pattern(m, t, p, if *case == 1 { Kind::Int } else { kinds[i] }, bind))
                .collect();
            PatKind::Case { case: *case, fields }
        }
        Model::Tuple(parts) => {
            let mut fields = Vec::new();
            for (i, p) in parts.iter().enumerate() {
                fields.push((i as u32, pattern(m, t, p, Kind::Tree, bind)));
            }
            PatKind::Fields(fields)
        }
        Model::Or(a, b) => PatKind::Or(pattern(m, t, a, kind, bind), pattern(m, t, b, kind, bind)),
        Model::As(a) => {
            let whole = m.local("whole", ty);
            PatKind::As(pattern(m, t, a, kind, bind), whole)
        }
    };
    m.p(kind, ty)
}

fn trees(depth: u32) -> Vec<Value> {
    let mut all = vec![Value::Agg(0, vec![])];
    all.extend((0..3).map(|i| Value::Agg(1, vec![Value::Int(i)])));
    if depth > 0 {
        for inner in trees(depth - 1) {
            for b in 0..2 {
                all.push(Value::Agg(2, vec![inner.clone(), Value::Int(b)]));
            }
        }
    }
    all
}

#[test]
fn decision_trees_agree_with_the_definition_of_matching() {
    let mut rng = Rng(7);
    for round in 0..300 {
        let mut m = Make::new();
        let def = m.reserve_type("Tree", 0);
        let tree = m.named(def, &[]);
        let (int, bool) = (m.int, m.bool);
        m.union(def, &[("A", &[]), ("B", &[int]), ("C", &[tree, bool])]);
        let pair = m.ty(Type::Tuple(vec![tree, tree]));
        let types = Types { tree, pair };
        let root = m.reserve("root", 0);
        let (a, b) = (m.local("a", tree), m.local("b", tree));
        let mut models = Vec::new();
        let mut arms = Vec::new();
        for arm in 0..1 + rng.below(5) {
            let model = random(&mut rng, Kind::Pair, 4, true);
            let bound = with_binding(&model, Kind::Pair);
            let bind = m.local("x", int);
            let model = bound.clone().unwrap_or(model);
            let pat = pattern(&mut m, &types, &model, Kind::Pair, bind);
            let number = m.num(100 * (arm as i64 + 1));
            // Arms that bind are larger than those that may be repeated.
            let body = if bound.is_some() {
                let x = m.get(bind);
                m.prim(Prim::Add, &[number, x], int)
            } else if rng.below(2) == 0 {
                m.prim(Prim::Neg, &[number], int)
            } else {
                number
            };
            let guard =
                if rng.below(4) == 0 { Some(m.e(ExprKind::Bool(rng.below(2) == 0), bool)) } else { None };
            models.push((model, bound.is_some(), body, guard));
            arms.push(Arm { pat, guard, body });
        }
        let bodies: Vec<(bool, Option<bool>)> = models
            .iter()
            .map(|(_, _, body, guard)| {
                let negative = matches!(m.kind(*body), ExprKind::Prim(Prim::Neg, _));
                let guard = guard.map(|g| matches!(m.kind(g), ExprKind::Bool(true)));
                (negative, guard)
            })
            .collect();
        let (a1, b1) = (m.get(a), m.get(b));
        let scrutinee = m.e(ExprKind::Tuple(vec![a1, b1]), pair);
        let all = m.e(ExprKind::Match { scrutinee, arms }, int);
        m.function(root, &[a, b], all);
        let psg = m.build(root);
        let func = psg.roots[0];
        for x in trees(2) {
            for y in trees(1) {
                let value = Value::Agg(0, vec![x.clone(), y.clone()]);
                let mut expected = None;
                for (i, (model, binds, _, _)) in models.iter().enumerate() {
                    let mut bound = 0;
                    if matches(model, &value, &mut bound) && bodies[i].1 != Some(false) {
                        let number = 100 * (i as i64 + 1);
                        expected = Some(match (binds, bodies[i].0) {
                            (true, _) => number + bound,
                            (false, true) => -number,
                            (false, false) => number,
                        });
                        break;
                    }
                }
                let found = run(&psg, func, &[x.clone(), y.clone()]);
                assert_eq!(
                    found,
                    expected,
                    "round {round}: {models:?}\n{value:?}\n{}",
                    crate::text::print(&psg)
                );
            }
        }
    }
}

/// Evaluates the few operations that matches are made of; nothing where the match fails.
fn run(psg: &Psg, func: FuncId, args: &[Value]) -> Option<i64> {
    let mut values = IdVec::filled(psg.nodes.len(), Value::Unit);
    for (param, arg) in psg.funcs[func].params.iter().zip(args) {
        values[*param] = arg.clone();
    }
    match region(psg, psg.funcs[func].body, &mut values)? {
        Value::Int(i) => Some(i),
        _ => None,
    }
}

fn region(psg: &Psg, id: RegionId, values: &mut IdVec<NodeId, Value>) -> Option<Value> {
    for &n in &psg.regions[id].nodes {
        let node = &psg.nodes[n];
        let int = |i: usize| match &values[node.operands[i]] {
            Value::Int(v) => *v,
            _ => panic!("not a number"),
        };
        values[n] = match &node.op {
            Op::Const(Const::Int(i)) => Value::Int(*i),
            Op::Const(Const::Bool(b)) => Value::Int(i64::from(*b)),
            Op::Const(_) => Value::Unit,
            Op::Make(case) => Value::Agg(*case, node.operands.iter().map(|o| values[*o].clone()).collect()),
            Op::Tag => match &values[node.operands[0]] {
                Value::Agg(case, _) => Value::Int(i64::from(*case)),
                _ => panic!("not a union"),
            },
            Op::Field { case, field } => match &values[node.operands[0]] {
                Value::Agg(c, fields) if c == case => fields[*field as usize].clone(),
                other => panic!("field of case {case} of {other:?}"),
            },
            Op::Binary(BinOp::Eq) => Value::Int(i64::from(int(0) == int(1))),
            Op::Binary(BinOp::Add) => Value::Int(int(0) + int(1)),
            Op::Binary(BinOp::BitAnd) => Value::Int(int(0) & int(1)),
            Op::Unary(_) => Value::Int(-int(0)),
            Op::If => region(psg, node.regions[usize::from(int(0) == 0)], values)?,
            Op::Switch(keys) => {
                let at = keys.iter().position(|k| *k == int(0)).unwrap_or(keys.len());
                region(psg, node.regions[at], values)?
            }
            Op::Fail(FailKind::Match) => return None,
            other => panic!("{other:?} in a match"),
        };
    }
    Some(psg.regions[id].result.map_or(Value::Unit, |r| values[r].clone()))
}
