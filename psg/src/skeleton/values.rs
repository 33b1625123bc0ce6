//! Abstract values: which buffers, cells and functions a value may hold.
//!
//! Records, tuples and short lists keep their shape, so that a field of a record of buffers is one buffer. What gets too
//! deep or has several shapes is flattened: one set that every part of it stands for.

use std::collections::BTreeSet;
use std::rc::Rc;

/// Aggregates nested deeper than this are flattened (a list of agents is one level an element).
const DEPTH: usize = 14;

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Val {
    /// Not computed yet (a recursive call's result in the first round).
    Bottom,
    /// Nothing in it that matters.
    #[default]
    Scalar,
    Int(i64),
    Flat(Rc<Flat>),
    Agg(Rc<Agg>),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flat {
    pub locations: BTreeSet<u32>,
    pub closures: BTreeSet<u32>,
    pub cells: BTreeSet<u32>,
    /// An address in the middle of a buffer, perhaps.
    pub offset: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Agg {
    pub case: u32,
    pub fields: Vec<Val>,
}

impl Val {
    pub fn location(location: u32) -> Val {
        Val::Flat(Rc::new(Flat { locations: BTreeSet::from([location]), ..Flat::default() }))
    }

    pub fn cell(cell: u32) -> Val {
        Val::Flat(Rc::new(Flat { cells: BTreeSet::from([cell]), ..Flat::default() }))
    }

    pub fn closure(closure: u32) -> Val {
        Val::Flat(Rc::new(Flat { closures: BTreeSet::from([closure]), ..Flat::default() }))
    }

    pub fn is_scalar(&self) -> bool {
        matches!(self, Val::Scalar | Val::Int(_))
    }

    /// Everything in it.
    pub fn flat(&self) -> Flat {
        let mut out = Flat::default();
        self.collect(&mut out);
        out
    }

    fn collect(&self, out: &mut Flat) {
        match self {
            Val::Bottom | Val::Scalar | Val::Int(_) => {}
            Val::Flat(flat) => {
                out.locations.extend(&flat.locations);
                out.closures.extend(&flat.closures);
                out.cells.extend(&flat.cells);
                out.offset |= flat.offset;
            }
            Val::Agg(agg) => agg.fields.iter().for_each(|f| f.collect(out)),
        }
    }

    pub fn flattened(&self) -> Val {
        let flat = self.flat();
        if flat == Flat::default() { Val::Scalar } else { Val::Flat(Rc::new(flat)) }
    }

    pub fn join(&self, other: &Val) -> Val {
        match (self, other) {
            (Val::Bottom, v) | (v, Val::Bottom) => v.clone(),
            (a, b) if a == b => a.clone(),
            (Val::Agg(a), Val::Agg(b)) if a.case == b.case && a.fields.len() == b.fields.len() => {
                let fields = a.fields.iter().zip(&b.fields).map(|(a, b)| a.join(b)).collect();
                Val::Agg(Rc::new(Agg { case: a.case, fields }))
            }
            (a, b) => {
                let mut flat = a.flat();
                b.collect(&mut flat);
                if flat == Flat::default() { Val::Scalar } else { Val::Flat(Rc::new(flat)) }
            }
        }
    }

    pub fn aggregate(case: u32, fields: Vec<Val>) -> Val {
        let value = Val::Agg(Rc::new(Agg { case, fields }));
        if value.depth() > DEPTH { value.flattened() } else { value }
    }

    fn depth(&self) -> usize {
        match self {
            Val::Agg(agg) => 1 + agg.fields.iter().map(Val::depth).max().unwrap_or(0),
            Val::Bottom | Val::Scalar | Val::Int(_) | Val::Flat(_) => 0,
        }
    }

    /// A field of an aggregate of this case.
    pub fn field(&self, case: u32, field: u32) -> Val {
        match self {
            Val::Agg(agg) if agg.case == case => agg.fields.get(field as usize).cloned().unwrap_or_default(),
            Val::Agg(_) => Val::Bottom,
            other => other.clone(),
        }
    }

    /// The value as an address somewhere inside what it pointed to.
    pub fn moved(&self) -> Val {
        let mut flat = self.flat();
        if flat == Flat::default() {
            return Val::Scalar;
        }
        flat.offset = true;
        Val::Flat(Rc::new(flat))
    }
}
