//! The operations that a core may use, with the types that they take.

/// Kinds of types that an operation takes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Integers, `index` and `i1`.
    Whole,
    Real,
}

/// What follows an operation's name.
enum Shape {
    /// This many operands of one type, which is the result's.
    Same(usize, Kind),
    /// A predicate of the list, two operands of one type, a truth value.
    Compare(Kind, &'static [&'static str]),
    /// From one kind to another; where both are integers, the result is wider or narrower.
    Cast(Kind, Kind, Width),
    /// To or from `index`.
    Index,
}

#[derive(Clone, Copy, PartialEq)]
enum Width {
    Wider,
    Narrower,
    Any,
}

use Kind::{Real, Whole};
use Shape::{Cast, Compare, Index, Same};

const WHOLE: &[&str] = &["eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"];
const REAL: &[&str] = &["oeq", "une", "olt", "ole", "ogt", "oge", "uno"];

fn shape(name: &str) -> Option<Shape> {
    Some(match name {
        "arith.addi" | "arith.subi" | "arith.muli" | "arith.divsi" | "arith.divui" | "arith.remsi"
        | "arith.remui" | "arith.andi" | "arith.ori" | "arith.xori" | "arith.shli" | "arith.shrsi"
        | "arith.shrui" | "arith.minsi" | "arith.maxsi" | "arith.minui" | "arith.maxui" => Same(2, Whole),
        "arith.addf" | "arith.subf" | "arith.mulf" | "arith.divf" | "arith.remf" | "arith.minimumf"
        | "arith.maximumf" | "math.powf" | "math.atan2" => Same(2, Real),
        "arith.negf" | "math.absf" | "math.sqrt" | "math.floor" | "math.ceil" | "math.roundeven"
        | "math.trunc" | "math.exp" | "math.log" | "math.log2" | "math.log10" | "math.sin" | "math.cos"
        | "math.tan" | "math.asin" | "math.acos" | "math.atan" | "math.sinh" | "math.cosh" | "math.tanh" => {
            Same(1, Real)
        }
        "math.absi" => Same(1, Whole),
        "arith.cmpi" => Compare(Whole, WHOLE),
        "arith.cmpf" => Compare(Real, REAL),
        "arith.extsi" | "arith.extui" => Cast(Whole, Whole, Width::Wider),
        "arith.trunci" => Cast(Whole, Whole, Width::Narrower),
        "arith.sitofp" | "arith.uitofp" => Cast(Whole, Real, Width::Any),
        "arith.fptosi" | "arith.fptoui" => Cast(Real, Whole, Width::Any),
        "arith.index_cast" | "arith.index_castui" => Index,
        _ => return None,
    })
}

/// Bits of a type that cores have; `index` counts as 64.
fn bits(ty: &str) -> Result<(Kind, u32), String> {
    Ok(match ty {
        "i1" => (Whole, 1),
        "i8" => (Whole, 8),
        "i16" => (Whole, 16),
        "i32" => (Whole, 32),
        "i64" | "index" => (Whole, 64),
        "f32" => (Real, 32),
        _ => return Err(format!("a core has no type {ty}")),
    })
}

/// Elements and bytes of a memref with one static dimension.
pub(super) fn memref(ty: &str) -> Result<(u64, u64), String> {
    let inner = ty.strip_prefix("memref<").and_then(|t| t.strip_suffix('>'));
    let (count, element) = inner.and_then(|i| i.split_once('x')).ok_or("no memref of static size")?;
    let count: u64 = count.parse().map_err(|_| "no memref of static size")?;
    let (_, bits) = bits(element)?;
    if bits < 8 || element == "index" {
        return Err(format!("memory of {element}"));
    }
    Ok((count, count * u64::from(bits / 8)))
}

fn element(memref: &str) -> &str {
    memref.trim_end_matches('>').split_once('x').map_or("", |(_, e)| e)
}

type TypeOf<'a> = &'a dyn Fn(&str) -> Result<String, String>;

fn want(type_of: TypeOf, value: &str, ty: &str) -> Result<(), String> {
    let has = type_of(value)?;
    if has == ty { Ok(()) } else { Err(format!("`{value}` is of type {has}, not {ty}")) }
}

/// An operation's result type.
pub(super) fn operation(name: &str, rest: &str, type_of: TypeOf) -> Result<Option<String>, String> {
    match name {
        "arith.constant" => return constant(rest).map(Some),
        "memref.alloca" => {
            let ty = rest.strip_prefix("() : ").ok_or("no type")?;
            memref(ty)?;
            return Ok(Some(ty.to_owned()));
        }
        "memref.load" | "memref.store" => return access(name, rest, type_of),
        _ => {}
    }
    let (operands, ty) = rest.rsplit_once(" : ").ok_or("no type")?;
    if name == "arith.select" {
        let list: Vec<&str> = operands.split(", ").collect();
        let [condition, yes, no] = list.as_slice() else { return Err("three operands".into()) };
        bits(ty)?;
        want(type_of, condition, "i1")?;
        want(type_of, yes, ty)?;
        want(type_of, no, ty)?;
        return Ok(Some(ty.to_owned()));
    }
    match shape(name).ok_or_else(|| format!("the operation {name} is not known"))? {
        Same(count, kind) => {
            same(operands, count, ty, kind, type_of)?;
            Ok(Some(ty.to_owned()))
        }
        Compare(kind, predicates) => {
            let (predicate, operands) = operands.split_once(", ").ok_or("no predicate")?;
            if !predicates.contains(&predicate) {
                return Err(format!("a predicate {predicate}"));
            }
            same(operands, 2, ty, kind, type_of)?;
            Ok(Some("i1".into()))
        }
        Cast(from, to, width) => {
            let (f, t) = ty.split_once(" to ").ok_or("no second type")?;
            want(type_of, operands, f)?;
            let ((kind_f, bits_f), (kind_t, bits_t)) = (bits(f)?, bits(t)?);
            let fits = match width {
                Width::Wider => bits_t > bits_f,
                Width::Narrower => bits_t < bits_f,
                Width::Any => true,
            };
            if kind_f != from || kind_t != to || !fits || f == "index" || t == "index" {
                return Err(format!("no conversion from {f} to {t}"));
            }
            Ok(Some(t.to_owned()))
        }
        Index => {
            let (f, t) = ty.split_once(" to ").ok_or("no second type")?;
            want(type_of, operands, f)?;
            if (f == "index") == (t == "index") || bits(f)?.0 != Whole || bits(t)?.0 != Whole {
                return Err(format!("no conversion from {f} to {t}"));
            }
            Ok(Some(t.to_owned()))
        }
    }
}

fn same(operands: &str, count: usize, ty: &str, kind: Kind, type_of: TypeOf) -> Result<(), String> {
    if bits(ty)?.0 != kind {
        return Err(format!("not for {ty}"));
    }
    let list: Vec<&str> = operands.split(", ").collect();
    if list.len() != count {
        return Err(format!("{count} operands"));
    }
    list.into_iter().try_for_each(|value| want(type_of, value, ty))
}

fn constant(rest: &str) -> Result<String, String> {
    if matches!(rest, "true" | "false") {
        return Ok("i1".into());
    }
    let (value, ty) = rest.split_once(" : ").ok_or("no type")?;
    let fits = match bits(ty)?.0 {
        Real => value.strip_prefix("0x").is_some_and(|v| v.len() == 8 && u32::from_str_radix(v, 16).is_ok()),
        Whole => value.parse::<i64>().is_ok(),
    };
    if fits { Ok(ty.to_owned()) } else { Err(format!("`{value}` is no {ty}")) }
}

fn access(name: &str, rest: &str, type_of: TypeOf) -> Result<Option<String>, String> {
    let (operands, ty) = rest.rsplit_once(" : ").ok_or("no type")?;
    memref(ty)?;
    let (value, place) = match operands.split_once(", ") {
        Some((value, place)) => (Some(value), place),
        None => (None, operands),
    };
    let (memory, index) = place.trim_end_matches(']').split_once('[').ok_or("no index")?;
    want(type_of, memory, ty)?;
    want(type_of, index, "index")?;
    match (name, value) {
        ("memref.load", None) => Ok(Some(element(ty).to_owned())),
        ("memref.store", Some(value)) => want(type_of, value, element(ty)).map(|()| None),
        _ => Err("operands".into()),
    }
}
