//! Buffers: bytes at addresses, found by interval.
//!
//! Addresses are made up and never reused; arithmetic on them works, and one that belongs to no buffer is noticed.

use super::value::Value;
use crate::fold::{int_shape, wrap};
use crate::graph::Psg;
use crate::id::TypeId;
use crate::ty::Type;
use clef_frontend::ast::FloatKind;
use std::collections::BTreeMap;

/// First address, and the gap behind each buffer.
const FIRST: u64 = 0x1000_0000;
const GAP: u64 = 0x1000;

#[derive(Default)]
pub struct Memory {
    /// By address.
    buffers: BTreeMap<u64, Vec<u8>>,
    next: u64,
}

impl Memory {
    pub fn allocate(&mut self, bytes: usize) -> u64 {
        let address = self.next.max(FIRST);
        self.next = (address + bytes as u64 + GAP).next_multiple_of(GAP);
        self.buffers.insert(address, vec![0; bytes]);
        address
    }

    /// Bytes of the buffer from an address to its end.
    pub fn behind(&self, address: u64) -> Option<&[u8]> {
        let (start, bytes) = self.buffers.range(..=address).next_back()?;
        bytes.get((address - start) as usize..).filter(|rest| !rest.is_empty() || address == *start)
    }

    pub fn behind_mut(&mut self, address: u64) -> Option<&mut [u8]> {
        let (start, bytes) = self.buffers.range_mut(..=address).next_back()?;
        bytes.get_mut((address - start) as usize..)
    }
}

/// Bytes of an element; nothing for types that buffers cannot hold.
pub fn size(psg: &Psg, ty: TypeId) -> Option<usize> {
    Some(match psg.types.get(ty) {
        Type::Bool => 1,
        Type::Char => 4,
        Type::Int(kind) => int_shape(*kind).0 as usize / 8,
        Type::Float(FloatKind::F16 | FloatKind::BF16) => 2,
        Type::Float(FloatKind::F32) => 4,
        Type::Float(FloatKind::F64) => 8,
        Type::Agg(agg) => {
            let agg = &psg.types.aggs[*agg];
            let [case] = &agg.cases[..] else { return None };
            case.fields.iter().map(|f| size(psg, f.ty)).sum::<Option<usize>>()?
        }
        Type::NativePtr(_) => 8,
        Type::Unit | Type::String | Type::Array(_) | Type::Closure { .. } | Type::Var(_) => return None,
    })
}

pub fn load(psg: &Psg, ty: TypeId, bytes: &[u8]) -> Value {
    let word = |n: usize| {
        let mut all = [0; 8];
        all[..n].copy_from_slice(&bytes[..n]);
        u64::from_le_bytes(all)
    };
    match psg.types.get(ty) {
        Type::Bool => Value::Bool(bytes[0] != 0),
        Type::Char => Value::Char(char::from_u32(word(4) as u32).unwrap_or('\u{fffd}')),
        Type::Int(kind) => Value::Int(wrap(word(int_shape(*kind).0 as usize / 8) as i64, *kind)),
        Type::Float(FloatKind::F64) => Value::Float(f64::from_bits(word(8))),
        Type::Float(FloatKind::F32) => Value::Float(f64::from(f32::from_bits(word(4) as u32))),
        Type::Float(FloatKind::BF16) => Value::Float(f64::from(f32::from_bits((word(2) as u32) << 16))),
        Type::Float(FloatKind::F16) => Value::Float(half_to_float(word(2) as u16)),
        Type::Agg(agg) => {
            let mut at = 0;
            let fields = psg.types.aggs[*agg].cases[0].fields.iter().map(|f| {
                let value = load(psg, f.ty, &bytes[at..]);
                at += size(psg, f.ty).unwrap_or(0);
                value
            });
            Value::agg(0, fields.collect())
        }
        _ => Value::Int(word(8) as i64),
    }
}

pub fn store(psg: &Psg, ty: TypeId, value: &Value, bytes: &mut [u8]) {
    match (psg.types.get(ty), value) {
        (Type::Agg(agg), Value::Agg(cell)) => {
            let mut at = 0;
            for (field, value) in psg.types.aggs[*agg].cases[0].fields.iter().zip(cell.fields.borrow().iter())
            {
                store(psg, field.ty, value, &mut bytes[at..]);
                at += size(psg, field.ty).unwrap_or(0);
            }
        }
        (Type::Float(kind), value) => {
            let value = value.float();
            match kind {
                FloatKind::F64 => bytes[..8].copy_from_slice(&value.to_le_bytes()),
                FloatKind::F32 => bytes[..4].copy_from_slice(&(value as f32).to_le_bytes()),
                FloatKind::BF16 => bytes[..2].copy_from_slice(&bfloat_bits(value).to_le_bytes()),
                FloatKind::F16 => bytes[..2].copy_from_slice(&half_bits(value).to_le_bytes()),
            }
        }
        (_, value) => {
            let n = size(psg, ty).unwrap_or(0);
            bytes[..n].copy_from_slice(&value.int().to_le_bytes()[..n]);
        }
    }
}

/// A value rounded to half precision and back.
pub fn round_half(value: f64) -> f64 {
    half_to_float(half_bits(value))
}

/// A value rounded to bfloat16 and back.
pub fn round_bfloat(value: f64) -> f64 {
    f64::from(f32::from_bits(u32::from(bfloat_bits(value)) << 16))
}

fn bfloat_bits(value: f64) -> u16 {
    let bits = (value as f32).to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    let round = 0x7fff + (bits >> 16 & 1);
    (bits.wrapping_add(round) >> 16) as u16
}

fn half_to_float(half: u16) -> f64 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(half >> 10 & 0x1f), f64::from(half & 0x3ff));
    match exponent {
        0 => sign * mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        e => sign * (1.0 + mantissa / 1024.0) * 2f64.powi(e - 15),
    }
}

/// Rounds to nearest even.
fn half_bits(value: f64) -> u16 {
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    if value.is_nan() {
        return sign | 0x7e00;
    }
    let magnitude = value.abs();
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    // The spacing of half-precision values around this one.
    let exponent = if magnitude < 2f64.powi(-14) { -14 } else { magnitude.log2().floor() as i32 };
    let steps = (magnitude / 2f64.powi(exponent - 10)).round_ties_even() as u32;
    // Steps of 1024 and more carry into the exponent by themselves.
    let base = if magnitude < 2f64.powi(-14) { 0 } else { ((exponent + 15) as u32) << 10 };
    let bits = if base == 0 { steps } else { base + steps - 1024 };
    sign | bits as u16
}
