//! Native layout of the graph's types, after `runtime/src/abi.rs`.
//!
//! - Scalars are themselves. Strings, arrays and closures are addresses of counted objects.
//! - An aggregate without recursion, without mutable fields and of at most [`BY_VALUE_BYTES`] is a value: a record or
//!   tuple is a struct of its fields, a union is a tag and slots that the cases share.
//! - All others are counted cells `{i32 count, u32 tag, fields}`. A case without fields is no cell but its number as
//!   an address ([`IMMEDIATE_LIMIT`] separates the two).
//! - A union of one case without fields and one that holds a single address is that address, where the address can
//!   never be small: `option<string>`.
//! - A union of cases without fields only is an `i32`.
//!
//! Computed once per program; a side table by type. Does not know MLIR: [`Scalar`] names machine types.

use clef_frontend::ast::{FloatKind, IntKind};
use clef_psg::id::{AggId, Id, IdVec, TypeId};
use clef_psg::ty::{Agg, AggKind, Type, Types};

/// The largest aggregate that is passed by value.
pub const BY_VALUE_BYTES: u64 = 64;
/// Addresses below are cases without fields.
pub const IMMEDIATE_LIMIT: i64 = 4096;
/// Bytes of the header of a counted cell.
pub const HEADER: u64 = 8;

/// Machine types of one register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scalar {
    I1,
    I8,
    I16,
    I32,
    I64,
    F16,
    BF16,
    F32,
    F64,
    Ptr,
}

impl Scalar {
    pub fn is_float(self) -> bool {
        matches!(self, Scalar::F16 | Scalar::BF16 | Scalar::F32 | Scalar::F64)
    }

    pub fn size(self) -> u64 {
        match self {
            Scalar::I1 | Scalar::I8 => 1,
            Scalar::I16 | Scalar::F16 | Scalar::BF16 => 2,
            Scalar::I32 | Scalar::F32 => 4,
            Scalar::I64 | Scalar::F64 | Scalar::Ptr => 8,
        }
    }
}

/// What a value of a type is in registers.
#[derive(Clone, PartialEq, Debug)]
pub enum Machine {
    /// Nothing: `unit`.
    Nothing,
    Scalar(Scalar),
    /// Parts in order; those of type `Nothing` have no part.
    Struct(Vec<Machine>),
}

impl Machine {
    pub fn is_nothing(&self) -> bool {
        *self == Machine::Nothing
    }

    /// All scalars, in order.
    pub fn each_scalar(&self, visit: &mut impl FnMut(Scalar)) {
        match self {
            Machine::Nothing => {}
            Machine::Scalar(s) => visit(*s),
            Machine::Struct(parts) => parts.iter().for_each(|p| p.each_scalar(visit)),
        }
    }

    /// Size and alignment as LLVM lays it out.
    pub fn size_align(&self) -> (u64, u64) {
        match self {
            Machine::Nothing => (0, 1),
            Machine::Scalar(s) => (s.size(), s.size()),
            Machine::Struct(parts) => {
                let (offsets, size, align) = lay_out(parts, 0);
                let _ = offsets;
                (size, align)
            }
        }
    }
}

/// Offsets of parts that follow `start` bytes, the whole size, and the alignment.
fn lay_out(parts: &[Machine], start: u64) -> (Vec<u64>, u64, u64) {
    let (mut at, mut align) = (start, if start == 0 { 1 } else { 8 });
    let mut offsets = Vec::with_capacity(parts.len());
    for part in parts {
        let (size, a) = part.size_align();
        at = at.next_multiple_of(a);
        offsets.push(at);
        at += size;
        align = align.max(a);
    }
    (offsets, at.next_multiple_of(align), align)
}

/// A field of one case.
#[derive(Clone, PartialEq, Debug)]
pub struct Slot {
    pub ty: TypeId,
    /// Position in the struct (by value) or byte offset in the cell (boxed); nothing for `unit`.
    pub at: Option<u32>,
}

/// How a type is represented.
#[derive(Clone, PartialEq, Debug)]
pub enum Repr {
    Unit,
    /// Integers, floats, `bool`, `char`, native pointers, enums.
    Scalar,
    String,
    Array(TypeId),
    Closure,
    /// Case numbers only, an `i32`.
    Enum,
    /// A struct of the fields of the only case.
    Record(Vec<Slot>),
    /// `{i32 tag, slots}`; slots by case.
    Union(Vec<Vec<Slot>>),
    /// The address of field 0 of case `some`; the case `none` is its number.
    Niche {
        none: u32,
        some: u32,
        field: TypeId,
    },
    /// A counted cell by case (size, slots); cases without slots are immediates, unless there is just one case.
    Boxed(Vec<Cell>),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Cell {
    pub slots: Vec<Slot>,
    pub bytes: u64,
    /// No cell, but the case's number.
    pub immediate: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Layout {
    pub repr: Repr,
    pub machine: Machine,
    /// Holds references: `Dup` and `Drop` do something.
    pub counted: bool,
    /// An address below [`IMMEDIATE_LIMIT`] may occur.
    pub may_be_immediate: bool,
}

/// Layouts of all types.
pub struct Layouts {
    table: IdVec<TypeId, Layout>,
}

impl std::ops::Index<TypeId> for Layouts {
    type Output = Layout;
    fn index(&self, id: TypeId) -> &Layout {
        &self.table[id]
    }
}

impl Layouts {
    pub fn compute(types: &Types) -> Self {
        let boxed = must_be_boxed(types);
        let mut work = Work {
            types,
            boxed,
            done: IdVec::filled(types.types.len(), None),
            open: vec![false; types.aggs.len()],
        };
        let table = types.types.ids().map(|id| work.layout(id)).collect();
        Self { table }
    }
}

struct Work<'a> {
    types: &'a Types,
    boxed: Vec<bool>,
    done: IdVec<TypeId, Option<Layout>>,
    open: Vec<bool>,
}

fn scalar_layout(s: Scalar) -> Layout {
    Layout { repr: Repr::Scalar, machine: Machine::Scalar(s), counted: false, may_be_immediate: false }
}

fn pointer_layout(repr: Repr, may_be_immediate: bool) -> Layout {
    Layout { repr, machine: Machine::Scalar(Scalar::Ptr), counted: true, may_be_immediate }
}

pub fn int_scalar(kind: IntKind) -> Scalar {
    match kind {
        IntKind::I8 | IntKind::U8 => Scalar::I8,
        IntKind::I16 | IntKind::U16 => Scalar::I16,
        IntKind::I32 | IntKind::U32 => Scalar::I32,
        IntKind::I64 | IntKind::U64 | IntKind::ISize | IntKind::USize => Scalar::I64,
    }
}

pub fn is_signed(kind: IntKind) -> bool {
    matches!(kind, IntKind::I8 | IntKind::I16 | IntKind::I32 | IntKind::I64 | IntKind::ISize)
}

pub fn float_scalar(kind: FloatKind) -> Scalar {
    match kind {
        FloatKind::F16 => Scalar::F16,
        FloatKind::BF16 => Scalar::BF16,
        FloatKind::F32 => Scalar::F32,
        FloatKind::F64 => Scalar::F64,
    }
}

impl Work<'_> {
    fn layout(&mut self, id: TypeId) -> Layout {
        if let Some(done) = &self.done[id] {
            return done.clone();
        }
        let layout = match *self.types.get(id) {
            Type::Unit => Layout {
                repr: Repr::Unit,
                machine: Machine::Nothing,
                counted: false,
                may_be_immediate: false,
            },
            Type::Bool => scalar_layout(Scalar::I1),
            Type::Char => scalar_layout(Scalar::I32),
            Type::Int(kind) => scalar_layout(int_scalar(kind)),
            Type::Float(kind) => scalar_layout(float_scalar(kind)),
            Type::NativePtr(_) => scalar_layout(Scalar::Ptr),
            Type::String => pointer_layout(Repr::String, false),
            Type::Array(element) => pointer_layout(Repr::Array(element), false),
            Type::Closure { .. } => pointer_layout(Repr::Closure, false),
            Type::Var(inner) => return self.layout(inner),
            Type::Agg(agg) => self.aggregate(agg),
        };
        self.done[id] = Some(layout.clone());
        layout
    }

    fn aggregate(&mut self, id: AggId) -> Layout {
        let types = self.types;
        let agg = &types.aggs[id];
        let i = id.index();
        if agg.kind == AggKind::Enum || (agg.kind == AggKind::Union && is_plain(agg)) {
            let machine = Machine::Scalar(Scalar::I32);
            let repr = if agg.kind == AggKind::Enum { Repr::Scalar } else { Repr::Enum };
            return Layout { repr, machine, counted: false, may_be_immediate: false };
        }
        if self.boxed[i] || self.open[i] {
            // Reached from inside itself: an address, whatever its cells are. The cells are laid out by the caller
            // that opened it, which sees the mark.
            if self.open[i] {
                self.boxed[i] = true;
                return pointer_layout(Repr::Boxed(Vec::new()), has_immediates(agg));
            }
            self.open[i] = true;
            let layout = self.boxed_layout(agg);
            self.open[i] = false;
            return layout;
        }
        self.open[i] = true;
        let by_value = self.value_layout(agg);
        let recursive = self.boxed[i];
        let layout = match by_value {
            Some(layout) if !recursive => layout,
            _ => {
                self.boxed[i] = true;
                self.boxed_layout(agg)
            }
        };
        self.open[i] = false;
        layout
    }

    /// The layout by value, where it is small enough.
    fn value_layout(&mut self, agg: &Agg) -> Option<Layout> {
        if let Some(niche) = self.niche(agg) {
            return Some(niche);
        }
        let mut parts: Vec<Machine> = Vec::new();
        let mut counted = false;
        let mut cases = Vec::new();
        let is_union = agg.cases.len() != 1;
        if is_union {
            parts.push(Machine::Scalar(Scalar::I32));
        }
        for case in &agg.cases {
            let mut used = vec![false; parts.len()];
            if is_union {
                used[0] = true;
            }
            let mut slots = Vec::new();
            for field in &case.fields {
                let layout = self.layout(field.ty);
                counted |= layout.counted;
                if layout.machine.is_nothing() {
                    slots.push(Slot { ty: field.ty, at: None });
                    continue;
                }
                let free = (0..parts.len()).find(|&p| is_union && !used[p] && parts[p] == layout.machine);
                let at = free.unwrap_or_else(|| {
                    parts.push(layout.machine);
                    used.push(false);
                    parts.len() - 1
                });
                used[at] = true;
                slots.push(Slot { ty: field.ty, at: Some(at as u32) });
            }
            cases.push(slots);
        }
        let machine = if parts.is_empty() { Machine::Nothing } else { Machine::Struct(parts) };
        if machine.size_align().0 > BY_VALUE_BYTES && !matches!(agg.kind, AggKind::Buffer(_)) {
            return None;
        }
        counted |= matches!(agg.kind, AggKind::Buffer(_));
        let repr = if is_union { Repr::Union(cases) } else { Repr::Record(cases.pop().unwrap_or_default()) };
        Some(Layout { repr, machine, counted, may_be_immediate: false })
    }

    /// `option` of something that is always a real address.
    fn niche(&mut self, agg: &Agg) -> Option<Layout> {
        if !is_option_like(agg) {
            return None;
        }
        let some = agg.cases.iter().position(|c| !c.fields.is_empty())?;
        let field = agg.cases[some].fields[0].ty;
        let layout = self.layout(field);
        let real_address =
            matches!(layout.repr, Repr::String | Repr::Array(_) | Repr::Closure | Repr::Boxed(_));
        if !real_address || layout.may_be_immediate {
            return None;
        }
        let repr = Repr::Niche { none: 1 - some as u32, some: some as u32, field };
        Some(pointer_layout(repr, true))
    }

    fn boxed_layout(&mut self, agg: &Agg) -> Layout {
        let mut cells = Vec::new();
        for case in &agg.cases {
            let machines: Vec<Machine> = case.fields.iter().map(|f| self.layout(f.ty).machine).collect();
            let present: Vec<Machine> = machines.iter().filter(|m| !m.is_nothing()).cloned().collect();
            let (offsets, bytes, _) = lay_out(&present, HEADER);
            let mut next = offsets.into_iter();
            let slots = case
                .fields
                .iter()
                .zip(&machines)
                .map(|(f, m)| Slot {
                    ty: f.ty,
                    at: if m.is_nothing() { None } else { next.next().map(|o| o as u32) },
                })
                .collect();
            cells.push(Cell { slots, bytes, immediate: case.fields.is_empty() && agg.cases.len() > 1 });
        }
        let immediates = has_immediates(agg);
        pointer_layout(Repr::Boxed(cells), immediates)
    }
}

fn is_plain(agg: &Agg) -> bool {
    !agg.cases.is_empty() && agg.cases.len() > 1 && agg.cases.iter().all(|c| c.fields.is_empty())
}

fn has_immediates(agg: &Agg) -> bool {
    agg.cases.len() > 1 && agg.cases.iter().any(|c| c.fields.is_empty())
}

fn is_option_like(agg: &Agg) -> bool {
    agg.kind == AggKind::Union
        && agg.cases.len() == 2
        && agg.cases.iter().any(|c| c.fields.is_empty())
        && agg.cases.iter().any(|c| c.fields.len() == 1)
}

/// Aggregates that must be cells: those with mutable fields, and on each cycle of containment the ones that are not
/// mere wrappers.
fn must_be_boxed(types: &Types) -> Vec<bool> {
    let recursive = recursive_aggs(types);
    types
        .aggs
        .iter()
        .map(|(id, agg)| {
            let mutable = agg.cases.iter().any(|c| c.fields.iter().any(|f| f.is_mutable));
            let wrapper = agg.kind == AggKind::Tuple || is_option_like(agg);
            mutable || (recursive[id.index()] && !wrapper)
        })
        .collect()
}

/// Aggregates that contain themselves by their fields, without an array or closure between. Tarjan's components.
fn recursive_aggs(types: &Types) -> Vec<bool> {
    let n = types.aggs.len();
    let inner = |a: usize| -> Vec<usize> {
        let agg = &types.aggs[AggId::from_index(a)];
        let fields = agg.cases.iter().flat_map(|c| &c.fields);
        fields
            .filter_map(|f| if let Type::Agg(b) = types.get(f.ty) { Some(b.index()) } else { None })
            .collect()
    };
    let mut graph = crate::scc::Graph { edges: Vec::with_capacity(n) };
    for a in 0..n {
        graph.edges.push(inner(a));
    }
    let components = graph.components();
    (0..n).map(|a| components.is_cyclic(a, &graph)).collect()
}
