//! Attributes and types.

use super::{Attr, Cx, Ty, text};
use mlir_sys::*;

impl Cx {
    pub fn string(&self, s: &str) -> Attr {
        self.bytes(s.as_bytes())
    }

    /// A string attribute of any bytes.
    pub fn bytes(&self, s: &[u8]) -> Attr {
        // SAFETY: the context is alive; the bytes are copied.
        unsafe {
            Attr(mlirStringAttrGet(self.raw, MlirStringRef { data: s.as_ptr().cast(), length: s.len() }))
        }
    }

    pub fn int(&self, ty: Ty, value: i64) -> Attr {
        // SAFETY: `ty` is an integer type.
        unsafe { Attr(mlirIntegerAttrGet(ty.0, value)) }
    }

    pub fn float(&self, ty: Ty, value: f64) -> Attr {
        // SAFETY: `ty` is a float type.
        unsafe { Attr(mlirFloatAttrDoubleGet(self.raw, ty.0, value)) }
    }

    pub fn unit(&self) -> Attr {
        // SAFETY: the context is alive.
        unsafe { Attr(mlirUnitAttrGet(self.raw)) }
    }

    pub fn symbol(&self, name: &str) -> Attr {
        // SAFETY: the context is alive; the name is copied.
        unsafe { Attr(mlirFlatSymbolRefAttrGet(self.raw, text(name))) }
    }

    /// `@module::@name`
    pub fn symbol_in(&self, module: &str, name: &str) -> Attr {
        let inner = self.symbol(name).0;
        // SAFETY: one reference is given.
        unsafe { Attr(mlirSymbolRefAttrGet(self.raw, text(module), 1, &inner)) }
    }

    pub fn type_attr(&self, ty: Ty) -> Attr {
        // SAFETY: the type is alive.
        unsafe { Attr(mlirTypeAttrGet(ty.0)) }
    }

    pub fn i32s(&self, values: &[i32]) -> Attr {
        // SAFETY: the array has the given length.
        unsafe { Attr(mlirDenseI32ArrayGet(self.raw, values.len() as isize, values.as_ptr())) }
    }

    pub fn i64s(&self, values: &[i64]) -> Attr {
        // SAFETY: the array has the given length.
        unsafe { Attr(mlirDenseI64ArrayGet(self.raw, values.len() as isize, values.as_ptr())) }
    }

    pub fn array(&self, items: &[Attr]) -> Attr {
        let items: Vec<MlirAttribute> = items.iter().map(|a| a.0).collect();
        // SAFETY: the array has the given length.
        unsafe { Attr(mlirArrayAttrGet(self.raw, items.len() as isize, items.as_ptr())) }
    }

    pub fn dict(&self, items: &[(&str, Attr)]) -> Attr {
        // SAFETY: the array has the given length.
        unsafe {
            let items: Vec<MlirNamedAttribute> = items
                .iter()
                .map(|(n, a)| mlirNamedAttributeGet(mlirIdentifierGet(self.raw, text(n)), a.0))
                .collect();
            Attr(mlirDictionaryAttrGet(self.raw, items.len() as isize, items.as_ptr()))
        }
    }

    /// Switch values.
    pub fn vector_of_ints(&self, bits: u32, values: &[i64]) -> Attr {
        // SAFETY: the shaped type has as many elements as there are values.
        unsafe {
            let element = mlirIntegerTypeGet(self.raw, bits);
            let shape = [values.len() as i64];
            let ty = mlirVectorTypeGet(1, shape.as_ptr(), element);
            let items: Vec<MlirAttribute> = values.iter().map(|&v| mlirIntegerAttrGet(element, v)).collect();
            Attr(mlirDenseElementsAttrGet(ty, items.len() as isize, items.as_ptr()))
        }
    }

    /// An attribute from its text, for the few that the C API has no constructor for. Text is the compiler's own.
    pub fn parse_attr(&self, source: &str) -> Attr {
        // SAFETY: the context is alive; a wrong text gives null, which is a bug of this crate caught in tests.
        let attr = unsafe { mlirAttributeParseGet(self.raw, text(source)) };
        debug_assert!(!attr.ptr.is_null(), "attribute does not parse: {source}");
        Attr(attr)
    }

    pub fn struct_type(&self, fields: &[Ty]) -> Ty {
        let fields: Vec<MlirType> = fields.iter().map(|t| t.0).collect();
        // SAFETY: the array has the given length.
        unsafe { Ty(mlirLLVMStructTypeLiteralGet(self.raw, fields.len() as isize, fields.as_ptr(), false)) }
    }

    pub fn vector_type(&self, element: Ty, n: i64) -> Ty {
        // SAFETY: the shape has one dimension.
        unsafe { Ty(mlirVectorTypeGet(1, &n, element.0)) }
    }

    pub fn array_type(&self, element: Ty, n: usize) -> Ty {
        // SAFETY: the type is alive.
        unsafe { Ty(mlirLLVMArrayTypeGet(element.0, n as u32)) }
    }

    pub fn func_type(&self, params: &[Ty], ret: Ty) -> Ty {
        let params: Vec<MlirType> = params.iter().map(|t| t.0).collect();
        // SAFETY: the array has the given length.
        unsafe { Ty(mlirLLVMFunctionTypeGet(ret.0, params.len() as isize, params.as_ptr(), false)) }
    }

    /// `(params) -> ()` of the builtin dialect, for `gpu.func`.
    pub fn builtin_func_type(&self, params: &[Ty]) -> Ty {
        let params: Vec<MlirType> = params.iter().map(|t| t.0).collect();
        // SAFETY: the array has the given length.
        unsafe {
            Ty(mlirFunctionTypeGet(self.raw, params.len() as isize, params.as_ptr(), 0, std::ptr::null()))
        }
    }

    pub fn int_type(&self, bits: u32) -> Ty {
        // SAFETY: the context is alive.
        unsafe { Ty(mlirIntegerTypeGet(self.raw, bits)) }
    }

    /// Bits of an integer type; nothing for other types.
    pub fn int_bits(&self, ty: Ty) -> Option<u32> {
        // SAFETY: the type is alive.
        unsafe { mlirTypeIsAInteger(ty.0).then(|| mlirIntegerTypeGetWidth(ty.0)) }
    }

    pub(super) fn cconv(&self, conv: super::ops::Conv) -> Attr {
        // SAFETY: the value is one of the enumeration.
        unsafe { Attr(mlirLLVMCConvAttrGet(self.raw, conv as u32)) }
    }

    pub(super) fn linkage(&self, linkage: super::ops::Linkage) -> Attr {
        // SAFETY: the value is one of the enumeration.
        unsafe { Attr(mlirLLVMLinkageAttrGet(self.raw, linkage as u32)) }
    }
}
