//! From libclang's view of a header to [`Header`]: functions and types; constants are in [`super::constants`].
//!
//! Bound is what the wanted headers declare, and the types of other headers that this needs. Sizes, offsets and
//! values are asked of clang. What has no binding is listed with the reason.

use super::clang::{Clang, Cursor, Type};
use super::config::Config;
use super::model::{Alias, CType, Enum, Function, Header, Left, Param, Record, Value};
use super::names::{Names, camel, doc_lines, pascal};
use clang_sys as c;
use std::collections::{HashMap, HashSet};

/// Reads all declarations of the wanted headers.
pub fn read(
    clang: &Clang,
    root: Cursor<'_>,
    wanted: &dyn Fn(&str) -> bool,
    config: &Config,
    include: &str,
    args: &[String],
) -> Result<Header, String> {
    let all = root.children();
    let mut reader = Reader::new(config);
    reader.name_tags(&all);
    for cursor in all.iter().copied().filter(|c| c.place().is_some_and(|(file, _)| wanted(&file))) {
        reader.declaration(cursor);
    }
    super::constants::read(&mut reader, clang, root, wanted, include, args)?;
    Ok(reader.out)
}

pub(super) struct Reader<'a, 'u> {
    pub(super) config: &'a Config,
    pub(super) out: Header,
    /// Typedef names of structs, unions and enums by the tag's USR.
    tags: HashMap<String, String>,
    records: HashMap<String, usize>,
    enums: HashMap<String, usize>,
    aliases: HashMap<String, usize>,
    type_names: Names,
    function_names: Names,
    constant_names: HashSet<String>,
    seen: HashSet<String>,
    /// Structs that only an address was asked of, with their declarations: read after the one at hand.
    later: Vec<Cursor<'u>>,
}

impl<'a, 'u> Reader<'a, 'u> {
    fn new(config: &'a Config) -> Self {
        Self {
            config,
            out: Header::default(),
            tags: HashMap::new(),
            records: HashMap::new(),
            enums: HashMap::new(),
            aliases: HashMap::new(),
            type_names: Names::default(),
            function_names: Names::default(),
            constant_names: HashSet::new(),
            seen: HashSet::new(),
            later: Vec::new(),
        }
    }

    /// `typedef struct x_s { .. } x;`: the struct is called `x`.
    fn name_tags(&mut self, all: &[Cursor<'u>]) {
        for cursor in all.iter().filter(|c| c.kind() == c::CXCursor_TypedefDecl) {
            let target = cursor.underlying();
            let canonical = target.canonical();
            if matches!(canonical.kind(), c::CXType_Record | c::CXType_Enum)
                && strip(target).kind() == canonical.kind()
            {
                self.tags.entry(canonical.declaration().usr()).or_insert_with(|| cursor.name());
            }
        }
    }

    fn declaration(&mut self, cursor: Cursor<'u>) {
        match cursor.kind() {
            c::CXCursor_FunctionDecl => self.function(cursor),
            c::CXCursor_StructDecl | c::CXCursor_UnionDecl => {
                self.record(cursor);
            }
            c::CXCursor_EnumDecl => self.enumeration(cursor),
            c::CXCursor_TypedefDecl => {
                self.typedef(cursor);
            }
            c::CXCursor_VarDecl => self.variable(cursor),
            _ => {}
        }
        while let Some(cursor) = self.later.pop() {
            self.record(cursor);
        }
    }

    pub(super) fn leave(&mut self, what: &'static str, c_name: &str, why: impl Into<String>) {
        self.out.left.push(Left { what, c_name: c_name.to_owned(), why: why.into() });
    }

    pub(super) fn renamed(&self, c_name: &str, usual: impl FnOnce(&str) -> String) -> String {
        self.config.rename.get(c_name).cloned().unwrap_or_else(|| usual(c_name))
    }

    pub(super) fn type_name(&mut self, c_name: &str) -> String {
        let name = self.renamed(c_name, pascal);
        self.type_names.take(name)
    }

    // --- functions and variables

    fn function(&mut self, cursor: Cursor<'u>) {
        let c_name = cursor.name();
        if !self.seen.insert(c_name.clone()) {
            return;
        }
        if !self.config.wants(&c_name) {
            return self.leave("function", &c_name, "left out by the settings' filter");
        }
        if cursor.is_variadic() {
            return self.leave("function", &c_name, "takes any number of arguments");
        }
        if !cursor.is_external() || (cursor.is_inline() && cursor.has_body()) {
            return self.leave("function", &c_name, "is inline: the library has no symbol for it");
        }
        let ret = self.resolve(cursor.ty().result());
        let types: Vec<CType> = cursor.ty().parameters().into_iter().map(|t| self.parameter(t)).collect();
        let unsupported = types.iter().chain([&ret]).find_map(|t| self.not_by_value(t));
        if let Some(why) = unsupported {
            return self.leave("function", &c_name, why);
        }
        let mut names = Names::default();
        let params = cursor.parameter_names().into_iter().chain(std::iter::repeat(String::new()));
        let params = types
            .into_iter()
            .zip(params)
            .enumerate()
            .map(|(n, (ty, c_name))| {
                let name = if c_name.is_empty() { format!("arg{n}") } else { camel(&c_name) };
                Param { name: names.take(name), c_name, ty }
            })
            .collect();
        let name = self.renamed(&c_name, camel);
        let name = self.function_names.take(name);
        let doc = documentation(cursor);
        self.out.functions.push(Function { c_name, name, params, ret, doc });
    }

    /// A parameter's type; an array is passed as the address of its first element.
    fn parameter(&mut self, ty: Type<'u>) -> CType {
        let canonical = ty.canonical();
        let is_array = matches!(canonical.kind(), c::CXType_ConstantArray | c::CXType_IncompleteArray);
        if !is_array || ty.spelling().contains("va_list") {
            return self.resolve(ty);
        }
        let element = canonical.element();
        match self.resolve(element) {
            why @ CType::Unsupported(_) => why,
            to => CType::Pointer { to: Box::new(to), is_const: element.is_const() || canonical.is_const() },
        }
    }

    /// Why a function cannot pass a value of this type.
    fn not_by_value(&self, ty: &CType) -> Option<String> {
        match ty {
            CType::Unsupported(why) => Some(why.clone()),
            CType::Record(id) => {
                let record = &self.out.records[*id];
                record.opaque.as_ref().map(|why| format!("passes `{}` by value, which {why}", record.c_name))
            }
            CType::Array(..) => Some("passes an array by value".into()),
            _ => None,
        }
    }

    /// `static const` variables are constants; others have an address, which an extern cannot name.
    fn variable(&mut self, cursor: Cursor<'u>) {
        let c_name = cursor.name();
        if !self.seen.insert(c_name.clone()) {
            return;
        }
        let value = if cursor.is_static() { super::constants::value_of(cursor) } else { None };
        match value {
            Some(value) => {
                self.constant(c_name, value, documentation(cursor));
                if let Some(last) = self.out.constants.last_mut() {
                    last.is_variable = true;
                }
            }
            None => self.leave("variable", &c_name, "only functions have entry points"),
        }
    }

    pub(super) fn constant(&mut self, c_name: String, value: Value, doc: Vec<String>) {
        if !self.config.wants(&c_name) {
            return self.leave("constant", &c_name, "left out by the settings' filter");
        }
        if self.constant_names.insert(c_name.clone()) {
            self.out.constants.push(super::model::Constant { c_name, value, doc, is_variable: false });
        }
    }

    // --- types

    /// The type that a binding uses for a type of C's.
    pub(super) fn resolve(&mut self, ty: Type<'u>) -> CType {
        match ty.kind() {
            c::CXType_Void => CType::Void,
            c::CXType_Elaborated => self.resolve(ty.named()),
            c::CXType_Typedef => self.typedef(ty.declaration()),
            c::CXType_Pointer => self.pointer(ty),
            c::CXType_Record => CType::Record(self.record(ty.declaration())),
            c::CXType_Enum => {
                let declaration = ty.declaration();
                self.enumeration(declaration);
                match self.enums.get(&declaration.usr()) {
                    Some(&id) => CType::Enum(id),
                    None => self.resolve(declaration.enum_integer()),
                }
            }
            c::CXType_ConstantArray => match ty.array_size() {
                Some(n) => CType::Array(Box::new(self.resolve(ty.element())), n),
                None => CType::Unsupported("an array without a size".into()),
            },
            c::CXType_IncompleteArray => CType::Unsupported("an array without a size".into()),
            kind => match scalar(kind) {
                Some((name, size)) if ty.size() == Some(size) => CType::Scalar(name, size),
                _ => {
                    let canonical = ty.canonical();
                    if canonical.kind() != kind {
                        return self.resolve(canonical);
                    }
                    CType::Unsupported(format!("uses the type `{}`, which Clef does not have", ty.spelling()))
                }
            },
        }
    }

    fn pointer(&mut self, ty: Type<'u>) -> CType {
        let to = ty.pointee();
        let canonical = to.canonical();
        if ty.spelling().contains("va_list") {
            return CType::Unsupported("takes a `va_list`".into());
        }
        if matches!(canonical.kind(), c::CXType_FunctionProto | c::CXType_FunctionNoProto) {
            return CType::Function(canonical.spelling());
        }
        let is_const = to.is_const() || canonical.is_const();
        // A struct of the system's headers is the C library's business.
        if canonical.kind() == c::CXType_Record && canonical.declaration().in_system_header() {
            return CType::Pointer { to: Box::new(CType::Void), is_const };
        }
        let to = match canonical.kind() {
            c::CXType_Record => CType::Record(self.record_later(canonical.declaration())),
            _ => self.resolve(to),
        };
        let to = match to {
            CType::Unsupported(_) => CType::Void,
            // The address of an array is that of its first element.
            CType::Array(element, _) => *element,
            to => to,
        };
        CType::Pointer { to: Box::new(to), is_const }
    }

    fn typedef(&mut self, cursor: Cursor<'u>) -> CType {
        let c_name = cursor.name();
        if let Some(&id) = self.aliases.get(&c_name) {
            return CType::Alias(id);
        }
        match c_name.as_str() {
            "size_t" | "uintptr_t" => return CType::Scalar("unativeint", 8),
            "ssize_t" | "ptrdiff_t" | "intptr_t" => return CType::Scalar("nativeint", 8),
            name if name.contains("va_list") => return CType::Unsupported("takes a `va_list`".into()),
            _ => {}
        }
        let target = cursor.underlying();
        let canonical = target.canonical();
        let plain = matches!(
            canonical.kind(),
            c::CXType_Void
                | c::CXType_Record
                | c::CXType_Enum
                | c::CXType_ConstantArray
                | c::CXType_IncompleteArray
                | c::CXType_FunctionProto
                | c::CXType_FunctionNoProto
        );
        let resolved = match self.resolve(target) {
            t @ CType::Unsupported(_) => return t,
            t if plain || cursor.in_system_header() => return t,
            t => t,
        };
        let name = self.type_name(&c_name);
        let doc = documentation(cursor);
        let id = self.out.aliases.len();
        self.out.aliases.push(Alias { c_name: c_name.clone(), name, target: resolved, doc });
        self.aliases.insert(c_name, id);
        CType::Alias(id)
    }

    fn enumeration(&mut self, cursor: Cursor<'u>) {
        let cursor = cursor.definition().unwrap_or(cursor);
        let usr = cursor.usr();
        if !self.seen.insert(usr.clone()) {
            return;
        }
        let constants: Vec<Cursor<'u>> =
            cursor.children().into_iter().filter(|c| c.kind() == c::CXCursor_EnumConstantDecl).collect();
        let integer = self.resolve(cursor.enum_integer());
        let c_name = self.tags.get(&usr).cloned().unwrap_or_else(|| cursor.name());
        let nameless = cursor.is_anonymous() && !self.tags.contains_key(&usr);
        let narrow = matches!(integer, CType::Scalar(_, 4));
        if nameless || constants.is_empty() {
            let unsigned = integer == CType::Scalar("uint32", 4) || integer == CType::Scalar("uint64", 8);
            for constant in constants {
                let value = super::constants::enum_constant(constant.enum_value(), narrow, unsigned);
                self.constant(constant.name(), value, documentation(constant));
            }
            return;
        }
        let mut names = Names::default();
        let mut before = 0;
        let cases = constants
            .iter()
            .map(|c| {
                let c_name = c.name();
                let name = names.take(self.renamed(&c_name, str::to_owned));
                // Clang gives a constant without a comment that of the one before.
                let own = c.comment_start().is_none_or(|start| start >= before);
                before = c.place().map_or(before, |(_, at)| at);
                (c_name, name, c.enum_value(), if own { documentation(*c) } else { Vec::new() })
            })
            .collect();
        let tagged = self.tags.contains_key(&usr);
        let shown = if tagged { c_name.clone() } else { format!("enum {c_name}") };
        let name = self.type_name(&c_name);
        let integer = (!narrow).then_some(integer);
        self.enums.insert(usr, self.out.enums.len());
        self.out.enums.push(Enum { c_name: shown, name, cases, doc: documentation(cursor), integer });
    }

    /// The record of a struct or union, which is read at its first use by value.
    pub(super) fn record(&mut self, cursor: Cursor<'u>) -> usize {
        let id = self.declared(cursor);
        self.read_fields(id, cursor);
        id
    }

    /// The same for one whose address is used: it may be the one that is being read.
    fn record_later(&mut self, cursor: Cursor<'u>) -> usize {
        let id = self.declared(cursor);
        self.later.push(cursor);
        id
    }

    fn declared(&mut self, cursor: Cursor<'u>) -> usize {
        let usr = cursor.usr();
        if let Some(&id) = self.records.get(&usr) {
            return id;
        }
        let tag = cursor.name();
        let is_union = cursor.kind() == c::CXCursor_UnionDecl;
        let (c_name, shown) = match self.tags.get(&usr) {
            Some(name) => (name.clone(), name.clone()),
            None => (tag.clone(), format!("{} {tag}", if is_union { "union" } else { "struct" })),
        };
        let name = self.type_name(&c_name);
        self.declare(cursor, name, shown)
    }

    /// A record under a name that is already decided: of one that has no name in C, its owner decides.
    pub(super) fn new_record(&mut self, cursor: Cursor<'u>, name: String, c_name: String) -> usize {
        let id = self.declare(cursor, name, c_name);
        self.read_fields(id, cursor);
        id
    }

    fn declare(&mut self, cursor: Cursor<'u>, name: String, c_name: String) -> usize {
        let id = self.out.records.len();
        self.records.insert(cursor.usr(), id);
        self.out.records.push(Record {
            c_name,
            name,
            fields: Vec::new(),
            size: 0,
            align: 1,
            doc: documentation(cursor.definition().unwrap_or(cursor)),
            opaque: Some(DECLARED_ONLY.into()),
        });
        id
    }

    fn read_fields(&mut self, id: usize, cursor: Cursor<'u>) {
        let Some(definition) = cursor.definition() else { return };
        if !self.seen.insert(cursor.usr()) {
            return;
        }
        if definition.in_system_header() {
            self.out.records[id].opaque = Some("is a struct of the system".into());
            return;
        }
        self.fill(id, definition);
    }
}

/// Why a struct without a definition is opaque.
pub const DECLARED_ONLY: &str = "is declared without its fields";

/// Without `struct x` around the struct.
fn strip(ty: Type<'_>) -> Type<'_> {
    if ty.kind() == c::CXType_Elaborated { ty.named() } else { ty }
}

pub(super) fn documentation(cursor: Cursor<'_>) -> Vec<String> {
    let mut lines = doc_lines(&cursor.comment());
    if cursor.is_deprecated() {
        lines.push("Deprecated.".into());
    }
    lines
}

fn scalar(kind: c::CXTypeKind) -> Option<(&'static str, u64)> {
    Some(match kind {
        c::CXType_Bool => ("bool", 1),
        c::CXType_Char_S | c::CXType_Char_U | c::CXType_UChar => ("byte", 1),
        c::CXType_SChar => ("sbyte", 1),
        c::CXType_Short => ("int16", 2),
        c::CXType_UShort => ("uint16", 2),
        c::CXType_Int | c::CXType_WChar => ("int", 4),
        c::CXType_UInt => ("uint32", 4),
        c::CXType_Long | c::CXType_LongLong => ("int64", 8),
        c::CXType_ULong | c::CXType_ULongLong => ("uint64", 8),
        c::CXType_Float => ("float32", 4),
        c::CXType_Double => ("float", 8),
        _ => return None,
    })
}
