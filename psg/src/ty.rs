//! Monomorphic types of the graph. Their memory layout is the back end's business.
//!
//! Everything with parts is an aggregate ([`Agg`]): tuples, records and anonymous records have one case, unions
//! several; `list`, `option` and `Result` are unions of the library. An aggregate may refer to itself.

use crate::id::{AggId, IdVec, TypeId};
use clef_frontend::ast::{FloatKind, IntKind};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use ustr::Ustr;

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Type {
    Unit,
    Bool,
    /// A Unicode scalar, 32 bits.
    Char,
    String,
    Int(IntKind),
    Float(FloatKind),
    Agg(AggId),
    /// Mutable, fixed length, with its length.
    Array(TypeId),
    /// A function value: code and captured values. Uncurried: all parameters at once.
    Closure {
        params: Vec<TypeId>,
        ret: TypeId,
    },
    NativePtr(TypeId),
    /// A mutable local of the element type: the type of [`crate::node::Op::Var`] nodes only.
    Var(TypeId),
}

/// An aggregate's cases and fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agg {
    /// As the user knows it, with arguments: `Tree`, `int * string`, `UnifiedBuffer<float32>`, `list<int>`.
    pub name: Ustr,
    pub kind: AggKind,
    pub cases: Vec<Case>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AggKind {
    Record,
    Tuple,
    Union,
    /// An `enum`: cases are names of 32-bit values, given in order.
    Enum,
    /// `BAREWire.HSA.UnifiedBuffer<'T>`: a record whose fields the compiler knows, with its element type.
    Buffer(TypeId),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub name: Ustr,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    pub name: Ustr,
    pub ty: TypeId,
    pub is_mutable: bool,
    /// An array of this many elements that lies in the struct itself, where C sees it.
    pub fixed: Option<u32>,
    /// The unit of measure as text, for dumps: `bytes`.
    pub unit: Option<Ustr>,
}

/// All types of a program, interned.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Types {
    pub types: IdVec<TypeId, Type>,
    pub aggs: IdVec<AggId, Agg>,
    #[serde(skip)]
    lookup: FxHashMap<Type, TypeId>,
}

impl Types {
    pub fn intern(&mut self, ty: Type) -> TypeId {
        if let Some(&id) = self.lookup.get(&ty) {
            return id;
        }
        let id = self.types.push(ty.clone());
        self.lookup.insert(ty, id);
        id
    }

    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id]
    }

    /// The aggregate that a type is, if it is one.
    pub fn agg(&self, id: TypeId) -> Option<&Agg> {
        match self.types[id] {
            Type::Agg(a) => Some(&self.aggs[a]),
            _ => None,
        }
    }

    /// The element type, if this is a buffer record.
    pub fn buffer_element(&self, id: TypeId) -> Option<TypeId> {
        match self.agg(id)?.kind {
            AggKind::Buffer(element) => Some(element),
            _ => None,
        }
    }
}
