//! How parameters and results travel by the C ABI: x86-64 (System V) and AArch64 (AAPCS64, Linux).
//!
//! Both are said to LLVM in the words that clang uses. x86-64: a struct of at most 16 bytes is split into eightbytes,
//! each an argument of its own; a larger one, or one that does not fit into the registers that are left, is a copy on
//! the stack (`byval`). AArch64: up to four floats of one type (an HFA), and any struct of at most 16 bytes, are one
//! argument, an array that LLVM puts into consecutive registers or onto the stack as a whole; others are the address
//! of a copy. Results in memory have their place in an argument (`sret`), on AArch64 in x8. Small integers are widened
//! by the caller on x86-64 only. Functions with a variable number of arguments and types that are aligned beyond 8
//! bytes are not covered: bindings leave them out.

use super::Lower;
use super::foreign::Attributes;
use crate::layout::{Machine, Scalar};
use crate::mlir::Ty;
use clef_frontend::ast::IntKind;
use clef_psg::id::TypeId;
use clef_psg::ty::Type;

/// Structs up to this size travel in registers.
const IN_REGISTERS: u64 = 16;
/// The largest number of floats that travel together on AArch64.
const LARGEST_HFA: usize = 4;

/// Whose rules hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Abi {
    SystemV,
    Aapcs64,
}

/// How a parameter travels.
pub(super) enum Pass {
    /// As it is, in one register or on the stack.
    Plain(Ty),
    /// A struct in registers: each part is an argument, the n-th starts at byte 8n.
    Parts(Vec<Ty>),
    /// A struct as a copy in memory.
    Memory,
}

/// Registers that are left for parameters on x86-64. A struct that does not fit into them is passed in memory as a
/// whole. On AArch64 LLVM counts them.
pub(super) struct Registers {
    integers: usize,
    floats: usize,
}

impl Registers {
    /// All of them, but one for the place of a result in memory.
    pub(super) fn new(result_in_memory: bool) -> Self {
        Self { integers: 6 - usize::from(result_in_memory), floats: 8 }
    }
}

impl Lower<'_> {
    fn abi(&self) -> Abi {
        if self.options.triple.starts_with("aarch64") { Abi::Aapcs64 } else { Abi::SystemV }
    }

    /// How a parameter travels, given what is left of the registers.
    pub(super) fn pass(&self, ty: TypeId, left: &mut Registers) -> Pass {
        if self.c_fields(ty).is_none() {
            let machine = self.types[ty].unwrap_or(self.cx.ty.i64);
            let counter = if self.is_float(machine) { &mut left.floats } else { &mut left.integers };
            *counter = counter.saturating_sub(1);
            return Pass::Plain(machine);
        }
        if self.in_memory(ty) {
            return Pass::Memory;
        }
        let parts = self.registers(ty);
        if self.abi() == Abi::Aapcs64 {
            return Pass::Parts(parts);
        }
        let integers = parts.iter().filter(|p| self.is_integer(**p)).count();
        let floats = parts.len() - integers;
        if integers > left.integers || floats > left.floats {
            return Pass::Memory;
        }
        left.integers -= integers;
        left.floats -= floats;
        Pass::Parts(parts)
    }

    /// Whether a struct is too large for registers, as a parameter and as a result.
    pub(super) fn in_memory(&self, ty: TypeId) -> bool {
        if self.c_fields(ty).is_none() || self.c_size(ty, None).0 <= IN_REGISTERS {
            return false;
        }
        self.abi() == Abi::SystemV || self.homogeneous(ty).is_none()
    }

    /// The registers of a struct that is not in memory.
    pub(super) fn registers(&self, ty: TypeId) -> Vec<Ty> {
        match self.abi() {
            Abi::SystemV => self.eightbyte_registers(ty),
            Abi::Aapcs64 => self.aapcs_registers(ty),
        }
    }

    /// Each eightbyte is an integer unless all in it are floats.
    fn eightbyte_registers(&self, ty: TypeId) -> Vec<Ty> {
        let t = self.cx.ty;
        let scalars = self.scalars_of(ty);
        let size = self.c_size(ty, None).0;
        let mut parts = Vec::new();
        for word in 0..size.div_ceil(8) {
            let here: Vec<_> = scalars.iter().copied().filter(|(at, _)| at / 8 == word).collect();
            let bytes = (size - 8 * word).min(8);
            let floats = !here.is_empty() && here.iter().all(|(_, s)| is_float_scalar(*s));
            // Half precision fills part of a register as wider floats fill it.
            let end = here.last().map_or(0, |(at, s)| at % 8 + s.size());
            parts.push(match (floats, here.as_slice()) {
                (true, [(_, Scalar::F32), (_, Scalar::F32)]) => self.cx.vector_type(t.f32, 2),
                (true, _) if end <= 4 => t.f32,
                (true, _) => t.f64,
                _ => self.cx.int_type(8 * bytes.next_power_of_two() as u32),
            });
        }
        parts
    }

    /// One array of floats, or one or two words.
    fn aapcs_registers(&self, ty: TypeId) -> Vec<Ty> {
        let t = self.cx.ty;
        if let Some((scalar, count)) = self.homogeneous(ty) {
            let float = match scalar {
                Scalar::F16 => t.f16,
                Scalar::BF16 => t.bf16,
                Scalar::F32 => t.f32,
                _ => t.f64,
            };
            return vec![self.cx.array_type(float, count)];
        }
        match self.c_size(ty, None).0.div_ceil(8) {
            0 => Vec::new(),
            1 => vec![t.i64],
            words => vec![self.cx.array_type(t.i64, words as usize)],
        }
    }

    /// The type and number of floats where a struct is made of nothing else.
    fn homogeneous(&self, ty: TypeId) -> Option<(Scalar, usize)> {
        // Four doubles are the largest: no need to look into what is larger.
        if self.c_size(ty, None).0 > 8 * LARGEST_HFA as u64 {
            return None;
        }
        let scalars = self.scalars_of(ty);
        let (_, first) = *scalars.first()?;
        let same = scalars.iter().all(|(_, s)| *s == first);
        (same && is_float_scalar(first) && scalars.len() <= LARGEST_HFA).then_some((first, scalars.len()))
    }

    fn is_float(&self, ty: Ty) -> bool {
        let t = self.cx.ty;
        [t.f16, t.bf16, t.f32, t.f64].contains(&ty)
    }

    /// Whether a part of a struct is of class INTEGER.
    fn is_integer(&self, ty: Ty) -> bool {
        let t = self.cx.ty;
        (1..=8).any(|bytes: u32| ty == self.cx.int_type(8 * bytes)) || ty == t.ptr
    }

    /// Scalars of a struct with their offsets.
    fn scalars_of(&self, ty: TypeId) -> Vec<(u64, Scalar)> {
        let mut out = Vec::new();
        self.flatten(ty, None, 0, &mut out);
        out
    }

    fn flatten(&self, ty: TypeId, fixed: Option<u32>, at: u64, out: &mut Vec<(u64, Scalar)>) {
        if let (Some(n), Type::Array(element)) = (fixed, self.psg.types.get(ty)) {
            let size = self.c_size(*element, None).0;
            for i in 0..u64::from(n) {
                self.flatten(*element, None, at + i * size, out);
            }
            return;
        }
        if self.c_fields(ty).is_some() {
            for (field, offset) in self.c_offsets(ty) {
                self.flatten(field.ty, field.fixed, at + offset as u64, out);
            }
            return;
        }
        if let Machine::Scalar(scalar) = self.layouts[ty].machine {
            out.push((at, scalar));
        }
    }

    // --- attributes

    /// Of the place of a result in memory.
    pub(super) fn result_place_attributes(&self, ty: TypeId) -> Attributes {
        let ty = self.eightbytes(ty);
        vec![("llvm.sret", self.cx.type_attr(ty)), ("llvm.noalias", self.cx.unit())]
    }

    /// Of a struct in memory. On AArch64 it is an address like others.
    pub(super) fn by_value_attributes(&self, ty: TypeId) -> Attributes {
        if self.abi() == Abi::Aapcs64 {
            return Vec::new();
        }
        let ty = self.eightbytes(ty);
        let align = self.cx.int(self.cx.ty.i64, 8);
        vec![("llvm.byval", self.cx.type_attr(ty)), ("llvm.align", align)]
    }

    /// Of a scalar. On x86-64 C's compilers rely on small integers being widened by the caller; on AArch64 whoever is
    /// called does it.
    pub(super) fn extension(&self, ty: TypeId) -> Attributes {
        if self.abi() == Abi::Aapcs64 {
            return Vec::new();
        }
        match self.psg.types.get(ty) {
            Type::Bool | Type::Int(IntKind::U8 | IntKind::U16) => vec![("llvm.zeroext", self.cx.unit())],
            Type::Int(IntKind::I8 | IntKind::I16) => vec![("llvm.signext", self.cx.unit())],
            _ => Vec::new(),
        }
    }
}

fn is_float_scalar(s: Scalar) -> bool {
    matches!(s, Scalar::F16 | Scalar::BF16 | Scalar::F32 | Scalar::F64)
}
