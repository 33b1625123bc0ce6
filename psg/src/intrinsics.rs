//! Operations of compiler and runtime that the library declares with `[<Intrinsic("name")>]`.
//!
//! Two things are said of a name here: which operation of the graph it is, where it has one of its own ([`Form`]), and
//! what it does besides giving a value ([`Effect`]). A name that is in no table is a runtime function with effects
//! (`clef_...` natively); stages that do not know it say so.

use crate::node::{AtomicOp, GroupOp, GroupScope, UnOp};

/// What an operation may do besides giving its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Depends on its operands only; may stop the program on bad operands.
    Pure,
    /// Reads memory that others may write.
    Reads,
    /// Anything: output, input, writes.
    Any,
}

/// How the graph represents a call of an intrinsic.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Form {
    /// `Op::Intrinsic`.
    Runtime,
    ArrayNew,
    Length,
    ArrayGet {
        checked: bool,
    },
    ArraySet {
        checked: bool,
    },
    BufferLength,
    BufferGet {
        checked: bool,
    },
    BufferSet {
        checked: bool,
    },
    /// `hsa.allocate`
    AllocUnified,
    /// `hsa.fence`
    Marker,
    Barrier,
    /// The operand is a constant.
    WorkgroupArray,
    /// The operand is a constant.
    ItemArray,
    Group(GroupScope, GroupOp),
    Atomic(AtomicOp),
    Unary(UnOp),
    /// The operand, its type changed to the result's: bits stay.
    Convert,
    /// The zero of the result type.
    Zero,
    /// Size in bytes of the type argument.
    SizeOf,
    /// Nothing; the operand was evaluated.
    Ignore,
    /// `failwith` as a function.
    Fail,
    Print {
        to_stderr: bool,
    },
}

/// Operations of the graph that have library names.
pub const FORMS: &[(&str, Form)] = &[
    ("array.create", Form::ArrayNew),
    ("array.get", Form::ArrayGet { checked: true }),
    ("array.get_unchecked", Form::ArrayGet { checked: false }),
    ("array.length", Form::Length),
    ("array.set", Form::ArraySet { checked: true }),
    ("array.set_unchecked", Form::ArraySet { checked: false }),
    ("atomic.add", Form::Atomic(AtomicOp::Add)),
    ("atomic.and", Form::Atomic(AtomicOp::And)),
    ("atomic.exchange", Form::Atomic(AtomicOp::Exchange)),
    ("atomic.max", Form::Atomic(AtomicOp::Max)),
    ("atomic.min", Form::Atomic(AtomicOp::Min)),
    ("atomic.or", Form::Atomic(AtomicOp::Or)),
    ("atomic.xor", Form::Atomic(AtomicOp::Xor)),
    ("buffer.get", Form::BufferGet { checked: true }),
    ("buffer.get_unchecked", Form::BufferGet { checked: false }),
    ("buffer.length", Form::BufferLength),
    ("buffer.set", Form::BufferSet { checked: true }),
    ("buffer.set_unchecked", Form::BufferSet { checked: false }),
    ("console.error", Form::Print { to_stderr: true }),
    ("console.write", Form::Print { to_stderr: false }),
    ("core.convert", Form::Convert),
    ("core.failwith", Form::Fail),
    ("core.ignore", Form::Ignore),
    ("core.sizeof", Form::SizeOf),
    ("default.zeroed", Form::Zero),
    ("hsa.allocate", Form::AllocUnified),
    ("hsa.allocate64", Form::AllocUnified),
    ("hsa.fence", Form::Marker),
    ("kernel.barrier", Form::Barrier),
    ("kernel.item", Form::ItemArray),
    ("kernel.workgroup", Form::WorkgroupArray),
    ("nativeptr.of_nativeint", Form::Convert),
    ("nativeptr.to_nativeint", Form::Convert),
    ("number.of_int", Form::Convert),
    ("string.get", Form::ArrayGet { checked: true }),
    ("string.length", Form::Length),
    ("subgroup.lane", Form::Group(GroupScope::Subgroup, GroupOp::Lane)),
    ("subgroup.max", Form::Group(GroupScope::Subgroup, GroupOp::Max)),
    ("subgroup.min", Form::Group(GroupScope::Subgroup, GroupOp::Min)),
    ("subgroup.scan", Form::Group(GroupScope::Subgroup, GroupOp::Scan)),
    ("subgroup.shuffle", Form::Group(GroupScope::Subgroup, GroupOp::Shuffle)),
    ("subgroup.size", Form::Group(GroupScope::Subgroup, GroupOp::Size)),
    ("subgroup.sum", Form::Group(GroupScope::Subgroup, GroupOp::Add)),
    ("tile.offered", Form::Group(GroupScope::Subgroup, GroupOp::Tiles)),
    ("workgroup.max", Form::Group(GroupScope::Workgroup, GroupOp::Max)),
    ("workgroup.min", Form::Group(GroupScope::Workgroup, GroupOp::Min)),
    ("workgroup.scan", Form::Group(GroupScope::Workgroup, GroupOp::Scan)),
    ("workgroup.sum", Form::Group(GroupScope::Workgroup, GroupOp::Add)),
];

/// Runtime functions that do nothing but compute or read. Sorted.
const HARMLESS: &[(&str, Effect)] = &[
    ("bits.leading_zeros", Effect::Pure),
    ("bits.pop_count", Effect::Pure),
    ("bits.trailing_zeros", Effect::Pure),
    ("nativeptr.add", Effect::Pure),
    ("nativeptr.get", Effect::Reads),
    ("nativeptr.of_function", Effect::Pure),
    ("string.join", Effect::Reads),
    ("string.of_bytes", Effect::Reads),
    ("string.of_chars", Effect::Reads),
    // Each call gives an array of its own.
    ("string.runes", Effect::Any),
    ("string.to_bytes", Effect::Any),
];

/// Families all of whose functions are pure.
const PURE_FAMILIES: &[&str] = &["string.", "char.", "parse.", "format.", "bits.", "math."];

/// The operation that a name stands for.
pub fn form(name: &str) -> Form {
    match FORMS.binary_search_by(|(n, _)| n.cmp(&name)) {
        Ok(i) => FORMS[i].1,
        Err(_) => Form::Runtime,
    }
}

/// What a runtime function may do.
pub fn effect(name: &str) -> Effect {
    if let Ok(i) = HARMLESS.binary_search_by(|(n, _)| n.cmp(&name)) {
        return HARMLESS[i].1;
    }
    if PURE_FAMILIES.iter().any(|f| name.starts_with(f)) { Effect::Pure } else { Effect::Any }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(FORMS.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(HARMLESS.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn unknown_names_are_runtime_functions_with_effects() {
        assert_eq!(form("my.own"), Form::Runtime);
        assert_eq!(effect("my.own"), Effect::Any);
        assert_eq!(form("array.length"), Form::Length);
        assert_eq!(effect("string.index_of"), Effect::Pure);
    }
}
