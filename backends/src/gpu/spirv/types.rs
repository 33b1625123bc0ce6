//! Scalar types of kernels and what a module must declare for them.

use clef_frontend::ast::FloatKind;
use clef_psg::fold::int_shape;
use clef_psg::graph::Psg;
use clef_psg::id::TypeId;
use clef_psg::ty::Type;

/// A type that a SPIR-V value can have here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scalar {
    Bool,
    /// Integers and characters.
    Int {
        bits: u32,
        signed: bool,
    },
    Float {
        bits: u32,
    },
}

impl Scalar {
    /// As a value.
    pub fn text(self) -> String {
        match self {
            Scalar::Bool => "i1".into(),
            Scalar::Int { bits, .. } => format!("i{bits}"),
            Scalar::Float { bits } => format!("f{bits}"),
        }
    }

    /// As it lies in memory: booleans are bytes.
    pub fn stored(self) -> Scalar {
        match self {
            Scalar::Bool => Scalar::Int { bits: 8, signed: false },
            other => other,
        }
    }

    /// Bytes in memory.
    pub fn size(self) -> u32 {
        match self.stored() {
            Scalar::Int { bits, .. } | Scalar::Float { bits } => bits / 8,
            Scalar::Bool => 1,
        }
    }
}

/// The scalar that a type is, if it is one that kernels have here (bfloat16 has no SPIR-V form in Vulkan 1.2).
pub fn scalar(psg: &Psg, ty: TypeId) -> Option<Scalar> {
    match psg.types.get(ty) {
        Type::Bool => Some(Scalar::Bool),
        Type::Char => Some(Scalar::Int { bits: 32, signed: false }),
        Type::Int(kind) => {
            let (bits, signed) = int_shape(*kind);
            Some(Scalar::Int { bits, signed })
        }
        Type::Float(FloatKind::F16) => Some(Scalar::Float { bits: 16 }),
        Type::Float(FloatKind::F32) => Some(Scalar::Float { bits: 32 }),
        Type::Float(FloatKind::F64) => Some(Scalar::Float { bits: 64 }),
        Type::Float(FloatKind::BF16)
        | Type::Unit
        | Type::String
        | Type::Agg(_)
        | Type::Array(_)
        | Type::Closure { .. }
        | Type::NativePtr(_)
        | Type::Var(_) => None,
    }
}

/// Features that a module uses.
#[derive(Clone, Copy, Default, Debug)]
pub struct Needs {
    pub int8: bool,
    pub int16: bool,
    pub float16: bool,
    pub float64: bool,
    pub storage8: bool,
    pub storage16: bool,
    /// Subgroup operations.
    pub group_arithmetic: bool,
    pub group_shuffle: bool,
    /// The constant that says that every buffer's address is a multiple of 16.
    pub aligned: bool,
    /// The constant that says that the device multiplies tiles.
    pub offers: bool,
    /// The instructions that do so.
    pub tiles: bool,
}

impl Needs {
    /// Notes the use of a scalar as a value.
    pub fn value(&mut self, scalar: Scalar) {
        match scalar {
            Scalar::Int { bits: 8, .. } => self.int8 = true,
            Scalar::Int { bits: 16, .. } => self.int16 = true,
            Scalar::Float { bits: 16 } => self.float16 = true,
            Scalar::Float { bits: 64 } => self.float64 = true,
            Scalar::Bool | Scalar::Int { .. } | Scalar::Float { .. } => {}
        }
    }

    /// Notes the use of a scalar in a buffer.
    pub fn storage(&mut self, scalar: Scalar) {
        self.value(scalar);
        match scalar.size() {
            1 => self.storage8 = true,
            2 => self.storage16 = true,
            _ => {}
        }
    }

    /// Capabilities and extensions, as MLIR lists them.
    pub fn lists(&self) -> (String, String) {
        let mut capabilities = vec!["Shader", "Int64", "PhysicalStorageBufferAddresses"];
        let mut extensions = vec!["SPV_KHR_physical_storage_buffer", "SPV_KHR_storage_buffer_storage_class"];
        let optional = [
            (self.int8, "Int8"),
            (self.int16, "Int16"),
            (self.float16, "Float16"),
            (self.float64, "Float64"),
            (self.storage8, "StorageBuffer8BitAccess"),
            (self.storage16, "StorageBuffer16BitAccess"),
            (self.group_arithmetic || self.group_shuffle, "GroupNonUniform"),
            (self.group_arithmetic, "GroupNonUniformArithmetic"),
            (self.group_shuffle, "GroupNonUniformShuffle"),
            (self.tiles, "CooperativeMatrixKHR"),
        ];
        capabilities.extend(optional.iter().filter(|(used, _)| *used).map(|(_, name)| *name));
        if self.storage8 {
            extensions.push("SPV_KHR_8bit_storage");
        }
        if self.storage16 {
            extensions.push("SPV_KHR_16bit_storage");
        }
        if self.tiles {
            extensions.push("SPV_KHR_cooperative_matrix");
        }
        (capabilities.join(", "), extensions.join(", "))
    }
}
