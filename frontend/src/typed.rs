//! The typed tree: every name resolved, every type known, every generic call explicit.
//!
//! What it promises to the graph's builder:
//! - A tree without error diagnostics holds no error node and no unsolved type variable: what inference left open
//!   is either a parameter of the definition ([`Type::Param`]) or was defaulted.
//! - Generic definitions stay generic; uses carry their type arguments, so monomorphisation is substitution.
//! - Overloaded operators are [`Prim`]s on their operand's type. Where that type is a parameter (in `inline` code), the
//!   choice is made at monomorphisation; a user operator on a record or union is resolved there through
//!   [`TypeDef::members`].
//! - Units of measure stay on the types; code generation erases them.
//! - Sugar is gone: pipes, computation expressions, comprehensions, `function`, slices, interpolation, properties and
//!   method calls are ordinary calls. Matches are kept (the builder compiles them to decisions), and so are loops.
//!
//! Expressions of one body live in an arena ([`Body`]) and name each other by [`ExprId`].

use crate::ast::{FloatKind, IntKind};
use crate::span::Span;
use smallvec::SmallVec;
use ustr::Ustr;

macro_rules! id {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub u32);
        impl $name {
            pub fn index(self) -> usize { self.0 as usize }
        }
    )*};
}

id! {
    /// An interned type, in [`Program::types`].
    TyId;
    /// A record, union, enum, class or measure, in [`Program::type_defs`].
    TypeDefId;
    /// A top-level function, value, extern, intrinsic or member, in [`Program::defs`].
    DefId;
    /// A local name, unique within its definition.
    LocalId;
    /// An expression of one [`Body`].
    ExprId;
    /// A pattern of one [`Body`].
    PatId;
}

#[derive(Clone, Debug, Default)]
pub struct Program {
    pub types: TypeTable,
    pub type_defs: Vec<TypeDef>,
    pub defs: Vec<Def>,
    /// Top-level values and effects, in the order in which they are evaluated at start.
    pub inits: Vec<DefId>,
    /// The `[<EntryPoint>]`.
    pub entry: Option<DefId>,
    /// Public functions of a file set without an entry point: the roots of a library.
    pub roots: Vec<DefId>,
}

/// Interned types. Equal types have equal ids.
#[derive(Clone, Debug, Default)]
pub struct TypeTable {
    pub types: Vec<Type>,
    pub lookup: rustc_hash::FxHashMap<Type, TyId>,
}

impl TypeTable {
    pub fn intern(&mut self, ty: Type) -> TyId {
        if let Some(&id) = self.lookup.get(&ty) {
            return id;
        }
        let id = TyId(self.types.len() as u32);
        self.types.push(ty.clone());
        self.lookup.insert(ty, id);
        id
    }

    pub fn get(&self, id: TyId) -> &Type {
        &self.types[id.index()]
    }
}

/// A type after inference.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    Unit,
    Bool,
    Char,
    String,
    Int(IntKind, Measure),
    Float(FloatKind, Measure),
    /// Records, unions, enums, classes; also the library's own (`list`, `option`, `Result`, `Map`, `UnifiedBuffer`),
    /// which are defined in Clef. Arguments in the order of [`TypeDef::params`].
    Named(TypeDefId, SmallVec<[TypeArg; 2]>),
    /// Two or more.
    Tuple(Vec<TyId>),
    /// Fields sorted by name.
    AnonRecord(Vec<(Ustr, TyId)>),
    Fun(TyId, TyId),
    Array(TyId),
    NativePtr(TyId),
    /// The n-th type parameter of the definition that it stands in.
    Param(u32),
    /// Only beside an error diagnostic.
    Error,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TypeArg {
    Type(TyId),
    Measure(Measure),
    /// Residency hint of a buffer, or its agents: `[CPU; GPU_RDNA 0]` in the order of the agents' cases.
    Hint(Hint),
}

/// A product of powers of base units and measure parameters, sorted; empty is dimensionless.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct Measure {
    pub factors: SmallVec<[(MeasureAtom, i32); 2]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum MeasureAtom {
    /// A `[<Measure>] type`.
    Base(TypeDefId),
    /// The n-th parameter of the definition, where that is a measure.
    Param(u32),
}

/// Where a buffer's memory is meant to be, as far as types know: by the name of a case of `HSAMemoryHint`. Types with
/// different hints have the same values; nothing that runs depends on them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hint {
    /// From an allocation.
    Known(Ustr),
    /// Written in a type, or asked for by one.
    Written(Ustr),
    /// A run-time value, several at once, or a function that takes all.
    Unknown,
    /// While types are inferred.
    Open(u32),
}

#[derive(Clone, Debug)]
pub struct TypeDef {
    /// Fully qualified: `BAREWire.HSA.UnifiedBuffer`.
    pub path: Ustr,
    pub name: Ustr,
    pub params: Vec<TypeParamDef>,
    pub kind: TypeDefKind,
    /// Members and operators (`op_Addition` is stored under `+`), by name.
    pub members: Vec<(Ustr, DefId)>,
    pub span: Span,
    /// `[<Struct>]`
    pub is_struct: bool,
    pub doc: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeParamDef {
    pub name: Ustr,
    pub kind: ParamKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    Type,
    Measure,
    /// Hidden: the hint of a buffer.
    Hint,
    /// Hidden: the agents of a buffer.
    Agents,
}

impl ParamKind {
    /// Inferred where it is left out.
    pub fn is_hidden(self) -> bool {
        matches!(self, Self::Hint | Self::Agents)
    }
}

#[derive(Clone, Debug)]
pub enum TypeDefKind {
    Record(Vec<Field>),
    Union(Vec<Case>),
    Enum(Vec<(Ustr, i32)>),
    /// A class's primary constructor parameters and `let`s are its (hidden) fields.
    Class(Vec<Field>),
    Measure,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: Ustr,
    pub ty: TyId,
    pub is_mutable: bool,
    /// `[<FixedArray(n)>]`: an array whose elements lie in the struct that C sees.
    pub fixed: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub name: Ustr,
    pub fields: Vec<Field>,
}

/// A top-level definition.
#[derive(Clone, Debug)]
pub struct Def {
    /// Fully qualified: `Main.square`.
    pub path: Ustr,
    pub params: Vec<TypeParamDef>,
    pub kind: DefKind,
    /// A function's curried type, a value's type.
    pub ty: TyId,
    pub span: Span,
    pub is_inline: bool,
    pub is_public: bool,
    pub doc: Option<String>,
    /// `[<Kernel("name")>]` with its place, and `Object = ".."` of a prebuilt one.
    pub kernel: Option<KernelAttr>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KernelAttr {
    pub name: Ustr,
    pub span: Span,
    pub object: Option<Ustr>,
    /// `[<WorkgroupSize(x, y, z)>]`: work-items of a workgroup, the innermost loop's first.
    pub workgroup: Option<[u32; 3]>,
}

#[derive(Clone, Debug)]
pub enum DefKind {
    /// One or more parameters, as many as the definition writes before `=`.
    Function(Function),
    /// A top-level value; `mutable` ones can be assigned. Evaluated in the order of [`Program::inits`].
    Value { body: Body, is_mutable: bool },
    /// A foreign function.
    Extern(Extern),
    /// A function of the compiler or the runtime, declared in stdlib by `[<Intrinsic("name")>]`.
    Intrinsic { name: Ustr, params: Vec<TyId>, ret: TyId },
}

#[derive(Clone, Debug)]
pub struct Function {
    pub params: Vec<FunParam>,
    pub ret: TyId,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub struct FunParam {
    pub local: LocalId,
    pub name: Ustr,
    pub ty: TyId,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Extern {
    /// The library marker as written: `__llama`, `c`.
    pub library: Ustr,
    /// The C symbol.
    pub entry: Ustr,
    pub params: Vec<ExternParam>,
    pub ret: TyId,
}

#[derive(Clone, Debug)]
pub struct ExternParam {
    pub name: Ustr,
    pub ty: TyId,
    pub effect: Option<ParamEffect>,
}

/// `[<Reads>]`, `[<Writes>]`, `[<ReadsWrites>]`, `[<Releases>]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
pub enum ParamEffect {
    Reads,
    Writes,
    ReadsWrites,
    /// Reads and writes, and the handle is gone afterwards.
    Releases,
}

/// The expressions of one definition.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub exprs: Vec<Expr>,
    pub pats: Vec<Pat>,
    /// By [`LocalId`].
    pub locals: Vec<Local>,
    pub root: Option<ExprId>,
}

impl std::ops::Index<ExprId> for Body {
    type Output = Expr;
    fn index(&self, id: ExprId) -> &Expr {
        &self.exprs[id.index()]
    }
}

impl std::ops::Index<PatId> for Body {
    type Output = Pat;
    fn index(&self, id: PatId) -> &Pat {
        &self.pats[id.index()]
    }
}

#[derive(Clone, Debug)]
pub struct Local {
    pub name: Ustr,
    pub ty: TyId,
    pub is_mutable: bool,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub ty: TyId,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    Unit,
    Bool(bool),
    Char(char),
    String(Ustr),
    /// Two's complement bits, sign-extended to 64; the width is in the type.
    Int(i64),
    Float(f64),
    Local(LocalId),
    /// A definition, instantiated. As a callee or as a value.
    Def(DefId, Vec<TypeArg>),
    /// Arguments in order; possibly fewer (partial application) or more than the callee's parameters.
    App(ExprId, Vec<ExprId>),
    /// Curried parameters, each a plain local (patterns were turned into matches).
    Lambda {
        params: Vec<LocalId>,
        body: ExprId,
    },
    /// `let x = v in body`; the local may be mutable.
    Let {
        local: LocalId,
        value: ExprId,
        body: ExprId,
    },
    /// Local functions, each a `Lambda`; they see each other.
    LetRec {
        bindings: Vec<(LocalId, ExprId)>,
        body: ExprId,
    },
    /// All but the last have their value dropped.
    Seq(Vec<ExprId>),
    If {
        cond: ExprId,
        then: ExprId,
        otherwise: ExprId,
    },
    /// Short-circuit.
    And(ExprId, ExprId),
    Or(ExprId, ExprId),
    Match {
        scrutinee: ExprId,
        arms: Vec<Arm>,
    },
    While {
        cond: ExprId,
        body: ExprId,
    },
    /// `for var = from to/downto to`; bounds are evaluated once; `parallel` is a kernel's launch domain.
    For {
        var: LocalId,
        from: ExprId,
        to: ExprId,
        step: ForStep,
        parallel: bool,
        body: ExprId,
    },
    /// Assigns a mutable local.
    Assign(LocalId, ExprId),
    /// Assigns a mutable top-level value.
    AssignDef(DefId, ExprId),
    /// All fields in declaration order (anonymous records: sorted by name), evaluated in the order written, which
    /// `order` gives as indices into the fields.
    Record {
        fields: Vec<ExprId>,
        order: Vec<u32>,
    },
    /// Copy with some fields replaced, by index.
    With {
        base: ExprId,
        fields: Vec<(u32, ExprId)>,
    },
    Union {
        case: u32,
        fields: Vec<ExprId>,
    },
    Tuple(Vec<ExprId>),
    Array(Vec<ExprId>),
    /// Field of a record, anonymous record, class, or tuple.
    Field(ExprId, u32),
    AssignField(ExprId, u32, ExprId),
    Prim(Prim, Vec<ExprId>),
    /// `b.[i]` on arrays, buffers, strings, native pointers: by the type of the base.
    Index(ExprId, ExprId),
    AssignIndex(ExprId, ExprId, ExprId),
    /// Numeric and character conversion to this expression's type.
    Convert(ExprId),
    /// `printf` family and interpolation: text with checked holes. The value is unit or the string.
    Format {
        sink: FormatSink,
        parts: Vec<FormatPart>,
    },
    /// `A.dispatch "kernel" {| .. |}`.
    Dispatch(Box<Dispatch>),
    /// `signalCompletion b`, recognised so that the graph keeps it as a marker.
    Marker(ExprId),
    /// Stops the program: `failwith e` (a string), or a fixed reason.
    Fail(ExprId),
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ForStep {
    Up,
    Down,
    /// `for x in a .. s .. b`: the step is evaluated once; zero stops the program.
    By(ExprId),
}

#[derive(Clone, Debug)]
pub struct Arm {
    pub pat: PatId,
    pub guard: Option<ExprId>,
    pub body: ExprId,
}

#[derive(Clone, Debug)]
pub struct Pat {
    pub kind: PatKind,
    pub ty: TyId,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum PatKind {
    Wild,
    Bind(LocalId),
    /// `p as x`.
    As(PatId, LocalId),
    Bool(bool),
    Char(char),
    String(Ustr),
    Int(i64),
    Float(f64),
    Unit,
    Case {
        case: u32,
        fields: Vec<PatId>,
    },
    /// Tuple, record, anonymous record: fields by index, those not written are absent.
    Fields(Vec<(u32, PatId)>),
    /// An array of exactly this length.
    Array(Vec<PatId>),
    Or(PatId, PatId),
    And(PatId, PatId),
    /// An active pattern: `call` is a function value applied to the scrutinee. Total patterns return a union-like
    /// choice whose case is `case`; partial ones an option.
    Active {
        call: ExprId,
        case: Option<u32>,
        pat: PatId,
    },
    Error,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Prim {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Pow,
    Neg,
    Not,
    BitAnd,
    BitOr,
    BitXor,
    BitNot,
    Shl,
    Shr,
    /// Structural, on any type but functions.
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// -1, 0 or 1.
    Compare,
    Hash,
    Min,
    Max,
    Abs,
    Sign,
    /// `float` functions: on floats only.
    Sqrt,
    Floor,
    Ceil,
    Round,
    Truncate,
    Exp,
    Log,
    Log2,
    Log10,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Atan2,
    Sinh,
    Cosh,
    Tanh,
    /// Length of array, string or buffer (elements; bytes for strings).
    Length,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FormatSink {
    Stdout,
    Stderr,
    String,
}

#[derive(Clone, Debug)]
pub enum FormatPart {
    Text(Ustr),
    Hole { value: ExprId, spec: FormatSpec },
}

/// `%-08.3f`: flags, width, precision and the conversion letter (`A` for any value, `O` and `s` for text).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, serde::Serialize, serde::Deserialize)]
pub struct FormatSpec {
    pub conversion: char,
    pub width: u16,
    pub precision: Option<u16>,
    pub left: bool,
    pub zero: bool,
    pub plus: bool,
    pub space: bool,
}

#[derive(Clone, Debug)]
pub struct Dispatch {
    pub agent: AgentKind,
    pub device: u32,
    pub queue: u32,
    pub kernel: DefId,
    /// One argument per kernel parameter, in the kernel's order. Buffer parameters are given as the address expression
    /// (`nativeint`); `order` is the order of evaluation, as written.
    pub args: Vec<ExprId>,
    pub order: Vec<u32>,
    /// The place of the kernel's name.
    pub name_span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum AgentKind {
    Cpu,
    Gpu,
    Npu,
}
