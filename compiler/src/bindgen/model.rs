//! What a header declares, as Clef sees it: the result of reading, the input of printing.
//!
//! Sizes and offsets in here are clang's. All lists are in the header's order.

/// A type as a binding uses it.
#[derive(Clone, Debug, PartialEq)]
pub enum CType {
    Void,
    /// A type that Clef has under a name of its own: `int`, `float32`, `nativeint`; with its size.
    Scalar(&'static str, u64),
    /// A typedef that becomes an abbreviation: index into [`Header::aliases`].
    Alias(usize),
    /// A struct or union, by index into [`Header::records`].
    Record(usize),
    /// An enum, by index into [`Header::enums`].
    Enum(usize),
    Pointer {
        to: Box<CType>,
        is_const: bool,
    },
    /// A function's address; the text is C's.
    Function(String),
    Array(Box<CType>, u64),
    /// What Clef cannot express, and why.
    Unsupported(String),
}

/// A typedef of something that is no struct, union or enum, or the handle of a struct that the header keeps to itself.
#[derive(Clone, Debug)]
pub struct Alias {
    pub c_name: String,
    pub name: String,
    pub target: CType,
    pub doc: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Field {
    /// Empty for bytes that C has no single name for: padding that Clef would not insert, bit-fields, a union.
    pub c_name: String,
    pub name: String,
    pub ty: CType,
    /// Bytes from the struct's start.
    pub offset: u64,
    pub doc: Vec<String>,
}

/// A struct or union with a definition.
#[derive(Clone, Debug)]
pub struct Record {
    /// As C names it, to ask it for its size: `struct a`, `b`. Empty where C has no name for it.
    pub c_name: String,
    pub name: String,
    pub fields: Vec<Field>,
    pub size: u64,
    pub align: u64,
    pub doc: Vec<String>,
    /// Why Clef cannot hold it by value.
    pub opaque: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Enum {
    pub c_name: String,
    pub name: String,
    /// C's name, Clef's name, value, doc.
    pub cases: Vec<(String, String, i64, Vec<String>)>,
    pub doc: Vec<String>,
    /// The integer that it is, where that is not 32 bits wide: then the cases are constants.
    pub integer: Option<CType>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Int(i128, &'static str),
    Float(f64, &'static str),
    Text(String),
    /// An address that is a number.
    Address(i64),
}

#[derive(Clone, Debug)]
pub struct Constant {
    pub c_name: String,
    pub value: Value,
    /// A `static const` variable, which C does not count among constants.
    pub is_variable: bool,
    pub doc: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Param {
    pub c_name: String,
    pub name: String,
    pub ty: CType,
}

#[derive(Clone, Debug)]
pub struct Function {
    pub c_name: String,
    pub name: String,
    pub params: Vec<Param>,
    pub ret: CType,
    pub doc: Vec<String>,
}

/// Something of the header that has no binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    /// `function`, `macro`, `struct`, `field`.
    pub what: &'static str,
    pub c_name: String,
    pub why: String,
}

#[derive(Clone, Debug, Default)]
pub struct Header {
    pub aliases: Vec<Alias>,
    pub records: Vec<Record>,
    pub enums: Vec<Enum>,
    pub constants: Vec<Constant>,
    pub functions: Vec<Function>,
    pub left: Vec<Left>,
}
