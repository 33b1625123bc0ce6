//! Which types hold references.

use crate::graph::Psg;
use crate::id::{AggId, Id, IdVec, TypeId};
use crate::ty::{AggKind, Type};

/// Parts up to which an aggregate of scalars lies in registers on every target. Larger ones may be boxed.
const SMALL: usize = 6;

pub struct Managed {
    types: IdVec<TypeId, bool>,
}

impl Managed {
    pub fn new(psg: &Psg) -> Self {
        let mut aggs: Vec<Option<Parts>> = vec![None; psg.types.aggs.len()];
        let types = psg.types.types.ids().map(|ty| parts(psg, ty, &mut aggs, 0) == Parts::Managed).collect();
        Self { types }
    }

    pub fn is(&self, ty: TypeId) -> bool {
        self.types.get(ty).copied().unwrap_or(false)
    }
}

/// What a value consists of.
#[derive(Clone, Copy, PartialEq)]
enum Parts {
    /// So many scalars.
    Scalars(usize),
    Managed,
}

/// Aggregates inside aggregates up to here; deeper ones count as managed, which is always safe.
const DEEPEST: usize = 64;

fn parts(psg: &Psg, ty: TypeId, aggs: &mut Vec<Option<Parts>>, depth: usize) -> Parts {
    match psg.types.get(ty) {
        Type::String | Type::Array(_) | Type::Closure { .. } => Parts::Managed,
        Type::Agg(agg) => agg_parts(psg, *agg, aggs, depth),
        Type::Unit => Parts::Scalars(0),
        Type::Bool | Type::Char | Type::Int(_) | Type::Float(_) | Type::NativePtr(_) | Type::Var(_) => {
            Parts::Scalars(1)
        }
    }
}

fn agg_parts(psg: &Psg, agg: AggId, aggs: &mut Vec<Option<Parts>>, depth: usize) -> Parts {
    if let Some(known) = aggs[agg.index()] {
        return known;
    }
    if depth > DEEPEST {
        return Parts::Managed;
    }
    // While its fields are looked at, it counts as managed: a type inside itself is boxed.
    aggs[agg.index()] = Some(Parts::Managed);
    let declared = &psg.types.aggs[agg];
    let mut total = 0;
    let mut result = Parts::Scalars(0);
    for field in declared.cases.iter().flat_map(|c| &c.fields) {
        match parts(psg, field.ty, aggs, depth + 1) {
            Parts::Scalars(n) if !field.is_mutable => total += n,
            _ => result = Parts::Managed,
        }
    }
    let boxed = total > SMALL || matches!(declared.kind, AggKind::Buffer(_));
    if result != Parts::Managed {
        result = if boxed {
            Parts::Managed
        } else {
            Parts::Scalars(total + usize::from(declared.cases.len() > 1))
        };
    }
    aggs[agg.index()] = Some(result);
    result
}
