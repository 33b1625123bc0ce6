//! Matches, first half: patterns to a decision tree.
//!
//! A match is a list of [`Row`]s, each a list of tests that must all hold. The tree tests the first open question of
//! the first row and sorts the rows by the answer; rows that do not ask it go to every answer. Places inside the
//! matched value are symbolic ([`Occ`]) until code is made ([`super::decide`]), so a place is read only where needed.

use super::Builder;
use super::decide::Mode;
use super::shape::Val;
use crate::id::{Id, TypeId};
use crate::ty::Type;
use clef_frontend::span::Span;
use clef_frontend::typed::{self, Arm, DefId, ExprId, ExprKind, LocalId, PatId, PatKind};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use ustr::Ustr;

/// A place in the matched value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Occ(pub u32);

#[derive(Clone, Debug)]
pub enum OccDef {
    Root(Val),
    /// A tuple that is matched without being made: its parts.
    Parts(Vec<Occ>),
    Field {
        parent: Occ,
        case: u32,
        field: u32,
    },
    Element {
        parent: Occ,
        index: u32,
    },
    /// The result of an active pattern's function.
    Active {
        parent: Occ,
        call: ExprId,
    },
}

pub struct OccData {
    pub def: OccDef,
    pub ty: TypeId,
}

#[derive(PartialEq, Eq, Hash)]
enum Child {
    Field(Occ, u32, u32),
    Element(Occ, u32),
    ActiveDef(Occ, DefId),
    ActiveExpr(Occ, ExprId),
}

#[derive(Clone, Debug)]
enum Test {
    Key(Key),
    Case(u32, SmallVec<[(u32, PatId); 3]>),
    Length(Vec<PatId>),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Key {
    /// A case, an integer, a character, a boolean, a length.
    Int(i64),
    Text(Ustr),
    /// Bits.
    Float(u64),
}

/// What a switch looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    Tag,
    Int,
    Char,
    Bool,
    Length,
    Equal,
}

#[derive(Clone, Debug)]
struct Row {
    tests: SmallVec<[(Occ, Test); 4]>,
    binds: SmallVec<[(LocalId, Occ); 4]>,
    arm: u32,
}

pub enum Tree {
    Fail,
    /// Index into [`Cx::variants`].
    Leaf(usize),
    Guard {
        variant: usize,
        otherwise: Box<Tree>,
    },
    Switch {
        occ: Occ,
        question: Question,
        cases: Vec<(Key, Tree)>,
        default: Option<Box<Tree>>,
    },
}

/// An arm with the places of its names.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Variant {
    pub arm: u32,
    pub binds: Vec<(LocalId, Occ)>,
}

/// State of one match.
pub struct Cx<'p> {
    pub occs: Vec<OccData>,
    children: FxHashMap<Child, Occ>,
    pub arms: &'p [Arm],
    pub variants: Vec<Variant>,
    variant_ids: FxHashMap<Variant, usize>,
    /// By arm: leaves that reach it.
    pub reached: Vec<u32>,
    pub ty: TypeId,
    pub tail: bool,
    pub span: Span,
}

pub enum Matched {
    Done(Val),
    /// The match only bound names; its value is this expression.
    Continue(ExprId),
}

impl<'p> Builder<'p> {
    pub(super) fn match_expr(
        &mut self,
        x: &'p typed::Expr,
        scrutinee: ExprId,
        arms: &'p [Arm],
        tail: bool,
    ) -> Matched {
        let ty = self.ty(x.ty);
        let mut cx = Cx {
            occs: Vec::new(),
            children: FxHashMap::default(),
            arms,
            variants: Vec::new(),
            variant_ids: FxHashMap::default(),
            reached: vec![0; arms.len()],
            ty,
            tail,
            span: x.span,
        };
        let root = self.scrutinee(&mut cx, scrutinee);
        let mut rows = Vec::with_capacity(arms.len());
        for (i, arm) in arms.iter().enumerate() {
            let row = Row { tests: SmallVec::new(), binds: SmallVec::new(), arm: i as u32 };
            self.expand(&mut cx, row, vec![(root, arm.pat)], &mut rows);
        }
        let tree = self.tree_of(&mut cx, rows);
        if let Tree::Leaf(variant) = tree {
            let mut emit = super::decide::Emit::new(cx, Mode::Value);
            let arm = self.bind_variant(&mut emit, variant);
            return Matched::Continue(arms[arm].body);
        }
        Matched::Done(self.emit_match(cx, &tree))
    }

    /// A tuple written in place is not made.
    fn scrutinee(&mut self, cx: &mut Cx, e: ExprId) -> Occ {
        let tree = self.tree();
        let ty = self.ty(tree[e].ty);
        if let ExprKind::Tuple(parts) = &tree[e].kind {
            let parts = parts
                .iter()
                .map(|p| {
                    let val = self.expr(*p, false);
                    let ty = self.ty(tree[*p].ty);
                    new_occ(cx, OccDef::Root(val), ty)
                })
                .collect();
            return new_occ(cx, OccDef::Parts(parts), ty);
        }
        let val = self.expr(e, false);
        new_occ(cx, OccDef::Root(val), ty)
    }

    /// Takes a row's patterns apart until only tests are left. Or-patterns make several rows.
    fn expand(&mut self, cx: &mut Cx, mut row: Row, mut todo: Vec<(Occ, PatId)>, out: &mut Vec<Row>) {
        let tree = self.tree();
        let mut tests: SmallVec<[(Occ, Test); 4]> = SmallVec::new();
        while let Some((occ, id)) = todo.pop() {
            let pat = &tree[id];
            match &pat.kind {
                PatKind::Wild | PatKind::Unit | PatKind::Error => {}
                PatKind::Bind(local) => row.binds.push((*local, occ)),
                PatKind::As(inner, local) => {
                    row.binds.push((*local, occ));
                    todo.push((occ, *inner));
                }
                PatKind::And(a, b) => todo.extend([(occ, *b), (occ, *a)]),
                PatKind::Or(a, b) => {
                    let mut first = row.clone();
                    first.tests = tests.iter().cloned().chain(row.tests.iter().cloned()).collect();
                    let mut left = todo.clone();
                    left.push((occ, *a));
                    self.expand_more(cx, first, tests.len(), left, out);
                    todo.push((occ, *b));
                }
                PatKind::Fields(fields) => {
                    for (field, inner) in fields.iter().rev() {
                        let child = self.child(cx, occ, 0, *field);
                        todo.push((child, *inner));
                    }
                }
                PatKind::Case { case, fields } => {
                    let subs = fields.iter().enumerate().map(|(i, p)| (i as u32, *p)).collect();
                    self.case_test(cx, occ, pat.ty, *case, subs, &mut tests, &mut todo);
                }
                PatKind::Array(items) => tests.push((occ, Test::Length(items.clone()))),
                PatKind::Bool(b) => tests.push((occ, Test::Key(Key::Int(i64::from(*b))))),
                PatKind::Char(c) => tests.push((occ, Test::Key(Key::Int(i64::from(u32::from(*c)))))),
                PatKind::Int(i) => tests.push((occ, Test::Key(Key::Int(*i)))),
                PatKind::String(s) => tests.push((occ, Test::Key(Key::Text(*s)))),
                PatKind::Float(f) => tests.push((occ, Test::Key(Key::Float(f.to_bits())))),
                PatKind::Active { call, case, pat } => {
                    self.active_test(cx, occ, *call, *case, *pat, &mut tests, &mut todo);
                }
            }
        }
        tests.extend(row.tests);
        row.tests = tests;
        out.push(row);
    }

    /// Goes on with one side of an or-pattern; the first `done` tests of the row come before those still to be found.
    fn expand_more(
        &mut self,
        cx: &mut Cx,
        mut row: Row,
        done: usize,
        todo: Vec<(Occ, PatId)>,
        out: &mut Vec<Row>,
    ) {
        let rest: SmallVec<[(Occ, Test); 4]> = row.tests.drain(done..).collect();
        let before = std::mem::replace(&mut row.tests, rest);
        let from = out.len();
        self.expand(cx, row, todo, out);
        for row in &mut out[from..] {
            row.tests.insert_many(0, before.iter().cloned());
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn case_test(
        &mut self,
        cx: &mut Cx,
        occ: Occ,
        pat_ty: typed::TyId,
        case: u32,
        subs: SmallVec<[(u32, PatId); 3]>,
        tests: &mut SmallVec<[(Occ, Test); 4]>,
        todo: &mut Vec<(Occ, PatId)>,
    ) {
        if let Some(value) = self.enum_value(pat_ty, case) {
            return tests.push((occ, Test::Key(Key::Int(value))));
        }
        let cases = self.psg.types.agg(cx.occs[occ.0 as usize].ty).map_or(1, |a| a.cases.len());
        if cases > 1 {
            return tests.push((occ, Test::Case(case, subs)));
        }
        for (field, pat) in subs.into_iter().rev() {
            let child = self.child(cx, occ, case, field);
            todo.push((child, pat));
        }
    }

    /// An active pattern asks for the case of its function's result.
    #[allow(clippy::too_many_arguments)]
    fn active_test(
        &mut self,
        cx: &mut Cx,
        occ: Occ,
        call: ExprId,
        case: Option<u32>,
        pat: PatId,
        tests: &mut SmallVec<[(Occ, Test); 4]>,
        todo: &mut Vec<(Occ, PatId)>,
    ) {
        let tree = self.tree();
        let key = match &tree[call].kind {
            ExprKind::Def(def, _) => Child::ActiveDef(occ, *def),
            _ => Child::ActiveExpr(occ, call),
        };
        let result = match cx.children.get(&key) {
            Some(child) => *child,
            None => {
                let ty = self.ty(tree[call].ty);
                let ret = match self.psg.types.get(ty) {
                    Type::Closure { ret, .. } => *ret,
                    _ => ty,
                };
                let child = new_occ(cx, OccDef::Active { parent: occ, call }, ret);
                cx.children.insert(key, child);
                child
            }
        };
        let ty = cx.occs[result.0 as usize].ty;
        // Only where one total case stands for the whole result are the types the same: no choice holds itself.
        let is_whole = self.ty(tree[pat].ty) == ty;
        let (cases, some) = match self.psg.types.agg(ty) {
            Some(agg) if agg.kind == crate::ty::AggKind::Union && !is_whole => {
                let some = agg.cases.iter().position(|c| c.name.as_str() == "Some").unwrap_or(0) as u32;
                (agg.cases.len(), some)
            }
            _ if ty == self.types.common.bool && case.is_none() => {
                return tests.push((result, Test::Key(Key::Int(1))));
            }
            // One total case gives its value itself.
            _ => return todo.push((result, pat)),
        };
        let case = case.unwrap_or(some);
        let fields = self.case_types(ty).get(case as usize).map_or(0, Vec::len);
        let subs: SmallVec<[(u32, PatId); 3]> = match (fields, &tree[pat].kind) {
            (0, _) => SmallVec::new(),
            (1, _) => SmallVec::from_slice(&[(0, pat)]),
            (_, PatKind::Fields(list)) => list.iter().copied().collect(),
            _ => SmallVec::new(),
        };
        if cases > 1 {
            return tests.push((result, Test::Case(case, subs)));
        }
        for (field, pat) in subs.into_iter().rev() {
            let child = self.child(cx, result, case, field);
            todo.push((child, pat));
        }
    }

    fn child(&mut self, cx: &mut Cx, parent: Occ, case: u32, field: u32) -> Occ {
        if let OccDef::Parts(parts) = &cx.occs[parent.0 as usize].def
            && let Some(part) = parts.get(field as usize)
        {
            return *part;
        }
        let key = Child::Field(parent, case, field);
        if let Some(child) = cx.children.get(&key) {
            return *child;
        }
        let ty = match self.psg.types.agg(cx.occs[parent.0 as usize].ty) {
            Some(agg) => {
                agg.cases.get(case as usize).and_then(|c| c.fields.get(field as usize)).map(|f| f.ty)
            }
            None => None,
        };
        let ty = ty.unwrap_or(self.types.common.unit);
        let child = new_occ(cx, OccDef::Field { parent, case, field }, ty);
        cx.children.insert(key, child);
        child
    }

    fn element_occ(&mut self, cx: &mut Cx, parent: Occ, index: u32) -> Occ {
        let key = Child::Element(parent, index);
        if let Some(child) = cx.children.get(&key) {
            return *child;
        }
        let ty = match self.psg.types.get(cx.occs[parent.0 as usize].ty) {
            Type::Array(t) => *t,
            _ => TypeId::from_index(0),
        };
        let child = new_occ(cx, OccDef::Element { parent, index }, ty);
        cx.children.insert(key, child);
        child
    }

    fn tree_of(&mut self, cx: &mut Cx, mut rows: Vec<Row>) -> Tree {
        let Some(first) = rows.first() else { return Tree::Fail };
        let Some((occ, test)) = first.tests.first() else {
            let first = rows.remove(0);
            let arm = first.arm as usize;
            let variant = variant(cx, first);
            cx.reached[arm] += 1;
            if cx.arms[arm].guard.is_none() {
                return Tree::Leaf(variant);
            }
            return Tree::Guard { variant, otherwise: Box::new(self.tree_of(cx, rows)) };
        };
        let occ = *occ;
        let question = self.question(cx, occ, test);
        let (buckets, rest) = self.sort_rows(cx, occ, rows);
        let total = match question {
            Question::Tag => self.psg.types.agg(cx.occs[occ.0 as usize].ty).map_or(0, |a| a.cases.len()),
            Question::Bool => 2,
            _ => usize::MAX,
        };
        let complete = buckets.len() >= total;
        let cases = buckets.into_iter().map(|(key, rows)| (key, self.tree_of(cx, rows))).collect();
        let default = if complete { None } else { Some(Box::new(self.tree_of(cx, rest))) };
        Tree::Switch { occ, question, cases, default }
    }

    fn question(&self, cx: &Cx, occ: Occ, test: &Test) -> Question {
        match test {
            Test::Case(..) => Question::Tag,
            Test::Length(_) => Question::Length,
            Test::Key(Key::Text(_) | Key::Float(_)) => Question::Equal,
            Test::Key(Key::Int(_)) => match self.psg.types.get(cx.occs[occ.0 as usize].ty) {
                Type::Bool => Question::Bool,
                Type::Char => Question::Char,
                Type::Float(_) => Question::Equal,
                _ => Question::Int,
            },
        }
    }

    /// Rows by their answer at a place, in order of first mention; and the rows that do not ask.
    fn sort_rows(&mut self, cx: &mut Cx, occ: Occ, rows: Vec<Row>) -> (Vec<(Key, Vec<Row>)>, Vec<Row>) {
        let mut buckets: Vec<(Key, Vec<Row>)> = Vec::new();
        let mut index: FxHashMap<Key, usize> = FxHashMap::default();
        let mut rest: Vec<Row> = Vec::new();
        for mut row in rows {
            let Some(at) = row.tests.iter().position(|(o, _)| *o == occ) else {
                for (_, bucket) in &mut buckets {
                    bucket.push(row.clone());
                }
                rest.push(row);
                continue;
            };
            let (_, test) = row.tests.remove(at);
            let (key, todo) = match test {
                Test::Key(key) => (key, Vec::new()),
                Test::Case(case, subs) => {
                    let todo = subs.iter().rev().map(|(f, p)| (self.child(cx, occ, case, *f), *p)).collect();
                    (Key::Int(i64::from(case)), todo)
                }
                Test::Length(items) => {
                    let todo = items
                        .iter()
                        .enumerate()
                        .rev()
                        .map(|(i, p)| (self.element_occ(cx, occ, i as u32), *p))
                        .collect();
                    (Key::Int(items.len() as i64), todo)
                }
            };
            let slot = *index.entry(key).or_insert_with(|| {
                buckets.push((key, rest.clone()));
                buckets.len() - 1
            });
            if todo.is_empty() {
                buckets[slot].1.push(row);
            } else {
                self.expand(cx, row, todo, &mut buckets[slot].1);
            }
        }
        (buckets, rest)
    }
}

fn new_occ(cx: &mut Cx, def: OccDef, ty: TypeId) -> Occ {
    cx.occs.push(OccData { def, ty });
    Occ(cx.occs.len() as u32 - 1)
}

fn variant(cx: &mut Cx, row: Row) -> usize {
    let mut binds = row.binds.to_vec();
    binds.sort_unstable();
    let variant = Variant { arm: row.arm, binds };
    if let Some(id) = cx.variant_ids.get(&variant) {
        return *id;
    }
    let id = cx.variants.len();
    cx.variants.push(variant.clone());
    cx.variant_ids.insert(variant, id);
    id
}
