//! Fields of structs and unions, so that Clef's layout is clang's.
//!
//! Clef lays a record out as C does a plain struct: each field at the next multiple of its alignment. Where clang says
//! otherwise (bit-fields, packed or aligned structs), fillers stand for the bytes between; a union is a record of
//! fillers whose classes, for passing in registers, are the union's. What cannot be had this way is opaque.

use super::clang::{Cursor, Type};
use super::model::{CType, Field, Header};
use super::names::{Names, pascal};
use super::read::{Reader, documentation};
use clang_sys as c;

/// Structs up to this size may travel in registers, so the class of each eightbyte matters.
const IN_REGISTERS: u64 = 16;

/// Size and alignment of a type as Clef lays it out.
pub fn size_align(header: &Header, ty: &CType) -> Option<(u64, u64)> {
    match ty {
        CType::Void | CType::Unsupported(_) => None,
        CType::Scalar(_, size) => Some((*size, *size)),
        CType::Alias(id) => size_align(header, &header.aliases[*id].target),
        CType::Enum(id) => match &header.enums[*id].integer {
            Some(integer) => size_align(header, integer),
            None => Some((4, 4)),
        },
        CType::Pointer { .. } | CType::Function(_) => Some((8, 8)),
        CType::Array(element, n) => {
            let (size, align) = size_align(header, element)?;
            Some((size.checked_mul(*n)?, align))
        }
        CType::Record(id) => {
            let record = &header.records[*id];
            if record.opaque.is_some() {
                return None;
            }
            let (_, size, align) = lay_out(header, &record.fields)?;
            Some((size, align))
        }
    }
}

/// Offsets of fields, the whole size and the alignment, by Clef's rule.
pub fn lay_out(header: &Header, fields: &[Field]) -> Option<(Vec<u64>, u64, u64)> {
    let (mut at, mut align) = (0u64, 1);
    let mut offsets = Vec::with_capacity(fields.len());
    for field in fields {
        let (size, a) = size_align(header, &field.ty)?;
        at = at.next_multiple_of(a);
        offsets.push(at);
        at += size;
        align = align.max(a);
    }
    Some((offsets, at.next_multiple_of(align), align))
}

impl<'u> Reader<'_, 'u> {
    /// Reads the definition of a record.
    pub(super) fn fill(&mut self, id: usize, definition: Cursor<'u>) {
        let ty = definition.ty();
        let (Some(size), Some(align)) = (ty.size(), ty.align()) else { return };
        self.out.records[id].size = size;
        self.out.records[id].align = align;
        let is_union = definition.kind() == c::CXCursor_UnionDecl;
        let made = if is_union {
            self.union_fields(id, definition, size, align)
        } else {
            self.struct_fields(id, definition).and_then(|fields| self.filled(fields, size, align))
        };
        match made {
            Ok(fields) => {
                self.out.records[id].fields = fields;
                self.out.records[id].opaque = None;
            }
            Err(why) => {
                let shown = self.out.records[id].c_name.clone();
                self.leave("struct", &shown, why.clone());
                self.out.records[id].opaque = Some(why);
            }
        }
    }

    fn struct_fields(&mut self, id: usize, definition: Cursor<'u>) -> Result<Vec<Field>, String> {
        let mut names = Names::default();
        let mut fields = Vec::new();
        let owner = definition.ty();
        let children = definition.children();
        for child in &children {
            match child.kind() {
                c::CXCursor_FieldDecl => {
                    if let Some(field) = self.field(id, *child, &mut names)? {
                        fields.push(field);
                    }
                }
                c::CXCursor_StructDecl | c::CXCursor_UnionDecl
                    if child.is_anonymous() && !is_type_of_field(*child, &children) =>
                {
                    fields.push(self.nameless_member(id, *child, owner, &mut names)?);
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    fn field(&mut self, id: usize, cursor: Cursor<'u>, names: &mut Names) -> Result<Option<Field>, String> {
        let c_name = cursor.name();
        let shown = format!("{}.{c_name}", self.out.records[id].c_name);
        let bits = cursor.bit_offset().ok_or("has a field without a place")?;
        if let Some(width) = cursor.bit_width() {
            let shown = format!("{shown} ({width} bits from bit {bits})");
            self.leave("field", &shown, "is a bit-field");
            return Ok(None);
        }
        let ty = self.field_type(id, cursor.ty(), &c_name);
        let offset = bits / 8;
        let doc = documentation(cursor);
        let name = names.take(pascal(&c_name));
        if size_align(&self.out, &ty).is_some() {
            return Ok(Some(Field { c_name, name, ty, offset, doc }));
        }
        let why = match &ty {
            CType::Unsupported(why) => why.clone(),
            _ => "has a type that Clef cannot hold".into(),
        };
        self.leave("field", &shown, why);
        match (cursor.ty().size(), cursor.ty().align()) {
            (Some(size), Some(align)) if size > 0 => {
                let ty = bytes(size, align).ok_or("has a field that is aligned to more than 8 bytes")?;
                Ok(Some(Field { c_name, name, ty, offset, doc }))
            }
            _ => Ok(None),
        }
    }

    /// A field's type; a struct that has no name in C is called by its owner and the field.
    fn field_type(&mut self, id: usize, ty: Type<'u>, field: &str) -> CType {
        let mut inner = ty;
        let mut sizes = Vec::new();
        while inner.kind() == c::CXType_ConstantArray {
            sizes.push(inner.array_size().unwrap_or(0));
            inner = inner.element();
        }
        let canonical = inner.canonical();
        if canonical.kind() == c::CXType_Record && canonical.declaration().is_anonymous() {
            let name = format!("{}{}", self.out.records[id].name, pascal(field));
            let name = self.type_name(&name);
            let owner = &self.out.records[id].c_name;
            let index = "[0]".repeat(sizes.len());
            let c_name = format!("__typeof__((({owner} *)0)->{field}{index})");
            let made = self.new_record(canonical.declaration(), name, c_name);
            let element = CType::Record(made);
            return sizes.iter().rev().fold(element, |t, n| CType::Array(Box::new(t), *n));
        }
        self.resolve(ty)
    }

    /// A struct or union inside of another one without a name of its own: `struct { union { int a; float b; }; }`.
    fn nameless_member(
        &mut self,
        id: usize,
        cursor: Cursor<'u>,
        owner: Type<'u>,
        names: &mut Names,
    ) -> Result<Field, String> {
        let first = first_field(cursor).ok_or("has a nameless member without fields")?;
        let bits = owner.offset_of(&first.name()).ok_or("has a nameless member without a place")?;
        let inside = first.bit_offset().unwrap_or(0);
        let part = names.take("Nameless".into());
        let name = format!("{}{part}", self.out.records[id].name);
        let name = self.type_name(&name);
        let made = self.new_record(cursor, name, String::new());
        let ty = CType::Record(made);
        let (size, align) = (cursor.ty().size(), cursor.ty().align());
        let ty = match (size_align(&self.out, &ty), size, align) {
            (None, Some(size), Some(align)) => {
                bytes(size, align).ok_or("has a member that is aligned to more than 8 bytes")?
            }
            _ => ty,
        };
        let offset = bits.saturating_sub(inside) / 8;
        let doc = vec!["A member without a name in C.".into()];
        Ok(Field { c_name: first.name(), name: part, ty, offset, doc })
    }

    /// Fields with fillers where Clef's rule gives other offsets than clang.
    fn filled(&self, fields: Vec<Field>, size: u64, align: u64) -> Result<Vec<Field>, String> {
        let mut out: Vec<Field> = Vec::with_capacity(fields.len());
        let mut at = 0u64;
        let mut natural = 1;
        let gap = |out: &mut Vec<Field>, from: u64, to: u64| {
            let name = format!("Filler{from}");
            let ty = filler(from, to, align);
            let doc = vec!["Bytes without a name.".into()];
            out.push(Field { c_name: String::new(), name, ty, offset: from, doc });
        };
        for field in fields {
            let (bytes, a) = size_align(&self.out, &field.ty).ok_or("has a field without a size")?;
            if !field.offset.is_multiple_of(a) || field.offset < at {
                return Err("is packed: a field is not at a multiple of its alignment".into());
            }
            if at.next_multiple_of(a) != field.offset {
                gap(&mut out, at, field.offset);
            }
            at = field.offset + bytes;
            natural = natural.max(a);
            out.push(field);
        }
        if at.next_multiple_of(natural) != size {
            gap(&mut out, at, size);
        }
        if out.is_empty() {
            return Err("has no fields".into());
        }
        match lay_out(&self.out, &out) {
            Some((_, s, a)) if (s, a) == (size, align) => Ok(out),
            _ => Err(format!("is aligned to {align} bytes, which Clef cannot express")),
        }
    }

    /// Fillers of a union's size, alignment and classes.
    fn union_fields(
        &mut self,
        id: usize,
        definition: Cursor<'u>,
        size: u64,
        align: u64,
    ) -> Result<Vec<Field>, String> {
        let members: Vec<String> = definition
            .children()
            .into_iter()
            .filter(|c| c.kind() == c::CXCursor_FieldDecl)
            .map(|c| format!("{}: {}", c.name(), c.ty().spelling()))
            .collect();
        if size == 0 || align > 8 {
            return Err("is a union without a size, or aligned to more than 8 bytes".into());
        }
        // `__typeof__(((struct a *)0)->b)` is the field `b` of `struct a`.
        let shown = self.out.records[id].c_name.replace("__typeof__(((", "").replace(" *)0)->", ".");
        let shown = shown.trim_end_matches(')').to_owned();
        if !shown.is_empty() {
            self.leave(
                "union",
                &shown,
                "its members share bytes: they are read and written through its address",
            );
        }
        let record = &mut self.out.records[id];
        record.doc.push(format!("A union; its bytes are one of: {}", members.join("; ")));
        let parts = if size > IN_REGISTERS {
            vec![bytes(size, align).ok_or("is aligned to more than 8 bytes")?]
        } else {
            eightbytes(definition.ty(), size, align)
        };
        let mut at = 0;
        let mut fields = Vec::new();
        for (n, ty) in parts.into_iter().enumerate() {
            let name = if n == 0 { "Bits".to_owned() } else { format!("Bits{n}") };
            let (bytes, _) = size_align(&self.out, &ty).ok_or("has no size")?;
            let doc = Vec::new();
            fields.push(Field { c_name: String::new(), name, ty, offset: at, doc });
            at += bytes;
        }
        Ok(fields)
    }
}

/// Whether a later field is declared with this nameless struct: `struct { .. } name;`.
fn is_type_of_field(record: Cursor<'_>, siblings: &[Cursor<'_>]) -> bool {
    let usr = record.usr();
    siblings.iter().filter(|s| s.kind() == c::CXCursor_FieldDecl).any(|field| {
        let mut ty = field.ty();
        while ty.kind() == c::CXType_ConstantArray {
            ty = ty.element();
        }
        while ty.canonical().kind() == c::CXType_Pointer {
            ty = ty.canonical().pointee();
        }
        ty.canonical().declaration().usr() == usr
    })
}

fn first_field(record: Cursor<'_>) -> Option<Cursor<'_>> {
    record.children().into_iter().find_map(|child| match child.kind() {
        c::CXCursor_FieldDecl => Some(child),
        c::CXCursor_StructDecl | c::CXCursor_UnionDecl if child.is_anonymous() => first_field(child),
        _ => None,
    })
}

fn unsigned(size: u64) -> Option<CType> {
    Some(match size {
        1 => CType::Scalar("byte", 1),
        2 => CType::Scalar("uint16", 2),
        4 => CType::Scalar("uint32", 4),
        8 => CType::Scalar("uint64", 8),
        _ => return None,
    })
}

fn repeated(ty: CType, n: u64) -> CType {
    if n == 1 { ty } else { CType::Array(Box::new(ty), n) }
}

/// Integers of this size and alignment.
fn bytes(size: u64, align: u64) -> Option<CType> {
    Some(repeated(unsigned(align)?, size / align))
}

/// Integers that fill the bytes between two places, as wide as the places and the struct allow.
fn filler(from: u64, to: u64, align: u64) -> CType {
    let width = [8, 4, 2]
        .into_iter()
        .find(|w| from.is_multiple_of(*w) && to.is_multiple_of(*w) && *w <= align)
        .unwrap_or(1);
    repeated(unsigned(width).unwrap_or(CType::Scalar("byte", 1)), (to - from) / width)
}

/// One or more parts for each eightbyte of a small union: floats where all members have floats there.
fn eightbytes(ty: Type<'_>, size: u64, align: u64) -> Vec<CType> {
    let mut scalars = Vec::new();
    flatten(ty, 0, &mut scalars);
    let mut parts = Vec::new();
    for word in 0..size.div_ceil(8) {
        let here: Vec<c::CXTypeKind> = scalars.iter().filter(|s| s.0 / 8 == word).map(|s| s.1).collect();
        let bytes_here = (size - 8 * word).min(8);
        let floats =
            !here.is_empty() && here.iter().all(|k| matches!(*k, c::CXType_Float | c::CXType_Double));
        if floats && align == 8 && bytes_here == 8 {
            parts.push(CType::Scalar("float", 8));
        } else if floats {
            parts.extend((0..bytes_here / 4).map(|_| CType::Scalar("float32", 4)));
        } else {
            parts.extend(bytes(bytes_here, align.min(bytes_here)));
        }
    }
    parts
}

/// Scalars of a type with their offsets in bytes.
fn flatten(ty: Type<'_>, at: u64, out: &mut Vec<(u64, c::CXTypeKind)>) {
    let ty = ty.canonical();
    match ty.kind() {
        c::CXType_Record => {
            for child in ty.declaration().children() {
                match child.kind() {
                    c::CXCursor_FieldDecl => {
                        let offset = child.bit_offset().unwrap_or(0) / 8;
                        flatten(child.ty(), at + offset, out);
                    }
                    // Its scalars count as integers: the class that wins.
                    c::CXCursor_StructDecl | c::CXCursor_UnionDecl if child.is_anonymous() => {
                        out.push((at, c::CXType_Int));
                    }
                    _ => {}
                }
            }
        }
        c::CXType_ConstantArray => {
            let element = ty.element();
            let size = element.size().unwrap_or(0);
            // Beyond two eightbytes nothing depends on it.
            for i in 0..ty.array_size().unwrap_or(0).min(IN_REGISTERS) {
                flatten(element, at + i * size, out);
            }
        }
        kind => out.push((at, kind)),
    }
}
