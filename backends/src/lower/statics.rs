//! Constant data of a program: strings, source locations, format descriptors. Each is emitted once.

use super::Lower;
use crate::mlir::ops::Linkage;
use crate::mlir::{Location, Value};
use clef_frontend::span::Span;
use clef_frontend::typed::FormatSpec;
use clef_psg::id::NodeId;
use rustc_hash::FxHashMap;

/// The count of objects that are never freed.
pub const STATIC_COUNT: i64 = -(1 << 30);

#[derive(Default)]
pub struct Statics {
    strings: FxHashMap<String, String>,
    c_strings: FxHashMap<String, String>,
    locs: FxHashMap<(u32, u32, u32), String>,
    formats: FxHashMap<(FormatSpec, u8, bool), String>,
    last: Option<(Span, Location)>,
}

impl Lower<'_> {
    /// File, line and column of a place; "no place" is line 0 of the first file.
    fn position(&self, span: Span) -> (u32, u32, u32) {
        match self.psg.files.get(span.file.0 as usize) {
            Some(file) => {
                let (line, column) = file.lines.line_column(span.start);
                (span.file.0, line, column)
            }
            None => (span.file.0, 0, 0),
        }
    }

    fn file_name(&self, file: u32) -> &str {
        self.psg.files.get(file as usize).map_or("?", |f| f.name.as_str())
    }

    pub(super) fn file_of(&self, node: NodeId) -> String {
        self.file_name(self.psg.spans[node].file.0).to_string()
    }

    /// Line and column of a node.
    pub(super) fn line_of(&self, node: NodeId) -> (u32, u32) {
        let (_, line, column) = self.position(self.psg.spans[node]);
        (line, column)
    }

    /// The MLIR location of a node.
    pub(super) fn location_of(&mut self, node: NodeId) -> Location {
        self.location_at(self.psg.spans[node])
    }

    pub(super) fn location_at(&mut self, span: Span) -> Location {
        if let Some((at, location)) = self.statics.last
            && at == span
        {
            return location;
        }
        let (file, line, column) = self.position(span);
        let location = self.cx.file_location(self.file_name(file), line, column);
        self.statics.last = Some((span, location));
        location
    }

    /// Address of the `Loc` of a node.
    pub(super) fn loc_of(&mut self, node: NodeId) -> Value {
        let name = self.loc_symbol(self.psg.spans[node]);
        self.cx.address_of(&name)
    }

    /// The symbol of a `Loc`.
    pub(super) fn loc_symbol(&mut self, span: Span) -> String {
        let key = self.position(span);
        if let Some(name) = self.statics.locs.get(&key) {
            return name.clone();
        }
        let name = format!("clef.loc.{}", self.statics.locs.len());
        self.statics.locs.insert(key, name.clone());
        let file = self.c_string(&self.file_name(key.0).to_string());
        let ty = self.loc_type();
        self.constant_struct(&name, ty, true, |l| {
            let file = l.cx.address_of(&file);
            let line = l.cx.const_i32(key.1.into());
            let column = l.cx.const_i32(key.2.into());
            vec![file, line, column]
        });
        name
    }

    pub(super) fn loc_type(&self) -> crate::mlir::Ty {
        let t = self.cx.ty;
        self.cx.struct_type(&[t.ptr, t.i32, t.i32])
    }

    /// A global whose fields are given by values made in its initialiser.
    pub(super) fn constant_struct(
        &mut self,
        name: &str,
        ty: crate::mlir::Ty,
        constant: bool,
        fields: impl FnOnce(&mut Self) -> Vec<Value>,
    ) {
        let here = self.cx.block();
        let Some(init) = self.cx.global(name, ty, None, constant, Linkage::Internal) else { return };
        self.cx.set_block(init);
        let mut value = self.cx.undef(ty);
        for (i, field) in fields(self).into_iter().enumerate() {
            value = self.cx.insert(value, i, field);
        }
        self.cx.ret(Some(value));
        if let Some(block) = here {
            self.cx.set_block(block);
        }
    }

    /// Symbol of a NUL-terminated constant.
    pub(super) fn c_string(&mut self, text: &str) -> String {
        if let Some(name) = self.statics.c_strings.get(text) {
            return name.clone();
        }
        let name = format!("clef.c.{}", self.statics.c_strings.len());
        self.statics.c_strings.insert(text.to_string(), name.clone());
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        let ty = self.cx.array_type(self.cx.ty.i8, bytes.len());
        let value = self.cx.bytes(&bytes);
        self.cx.global(&name, ty, Some(value), true, Linkage::Internal);
        name
    }

    /// Address of a static string object.
    pub(super) fn string_constant(&mut self, text: &str) -> Value {
        let name = self.string_symbol(text);
        self.cx.address_of(&name)
    }

    /// Symbol of a static string object.
    pub(super) fn string_symbol(&mut self, text: &str) -> String {
        if let Some(name) = self.statics.strings.get(text) {
            return name.clone();
        }
        let name = format!("clef.str.{}", self.statics.strings.len());
        self.statics.strings.insert(text.to_string(), name.clone());
        let t = self.cx.ty;
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        let ty = self.cx.struct_type(&[t.i32, t.i32, t.i64, self.cx.array_type(t.i8, bytes.len())]);
        let value = self.cx.array(&[
            self.cx.int(t.i32, STATIC_COUNT),
            self.cx.int(t.i32, 0),
            self.cx.int(t.i64, text.len() as i64),
            self.cx.bytes(&bytes),
        ]);
        self.cx.global(&name, ty, Some(value), false, Linkage::Internal);
        name
    }

    /// Address of a format descriptor.
    pub(super) fn format_descriptor(&mut self, spec: &FormatSpec, bits: u8, unsigned: bool) -> Value {
        let key = (spec.clone(), bits, unsigned);
        let name = match self.statics.formats.get(&key) {
            Some(name) => name.clone(),
            None => {
                let name = format!("clef.format.{}", self.statics.formats.len());
                self.statics.formats.insert(key, name.clone());
                let t = self.cx.ty;
                let ty = self.cx.struct_type(&[t.i32, t.i16, t.i16, t.i8, t.i8, t.i8, t.i8]);
                let precision = spec.precision.map_or(-1, i64::from);
                let flags = i64::from(spec.left)
                    | i64::from(spec.zero) << 1
                    | i64::from(spec.plus) << 2
                    | i64::from(spec.space) << 3;
                let value = self.cx.array(&[
                    self.cx.int(t.i32, spec.conversion as i64),
                    self.cx.int(t.i16, spec.width.into()),
                    self.cx.int(t.i16, precision),
                    self.cx.int(t.i8, flags),
                    self.cx.int(t.i8, bits.into()),
                    self.cx.int(t.i8, unsigned.into()),
                    self.cx.int(t.i8, 0),
                ]);
                self.cx.global(&name, ty, Some(value), true, Linkage::Internal);
                name
            }
        };
        self.cx.address_of(&name)
    }
}
