//! The syntax tree: what the source says, before any name is looked up.
//!
//! The tree is total: where the parser recovered, an `Error` node stands. Nothing is desugared here (pipes are
//! operators, ranges are ranges), so that [`crate::parse`] can print a file back and diagnostics speak of what was
//! written. Every node carries its span; identifiers carry their own.

use crate::span::Span;
use ustr::Ustr;

/// A name as written, with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ident {
    pub name: Ustr,
    pub span: Span,
}

/// A dotted name: `A.B.c`. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    pub parts: Vec<Ident>,
}

impl Path {
    pub fn span(&self) -> Span {
        match (self.parts.first(), self.parts.last()) {
            (Some(a), Some(b)) => a.span.to(b.span),
            _ => Span::default(),
        }
    }

    pub fn last(&self) -> Option<Ident> {
        self.parts.last().copied()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub header: Option<ModuleHeader>,
    pub decls: Vec<Decl>,
    pub span: Span,
}

/// `module A.B` or `namespace A.B` at the head of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleHeader {
    pub path: Path,
    pub is_namespace: bool,
    pub attributes: Vec<Attribute>,
    pub doc: Option<String>,
}

/// One attribute of `[<A; B("x", Name = 1)>]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    pub path: Path,
    pub args: Vec<AttributeArg>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AttributeArg {
    /// `EntryPoint` in `EntryPoint = "x"`.
    pub name: Option<Ident>,
    pub value: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decl {
    pub kind: DeclKind,
    pub attributes: Vec<Attribute>,
    /// Text of the `///` lines before it, without the slashes.
    pub doc: Option<String>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum DeclKind {
    Open(Path),
    Module {
        name: Ident,
        decls: Vec<Decl>,
    },
    /// `module L = A.B.List`.
    ModuleAlias {
        name: Ident,
        target: Path,
    },
    Let(LetGroup),
    /// One `type ... and ...` group.
    Types(Vec<TypeDef>),
    Extern(ExternDecl),
    /// `do e`, or an expression at top level.
    Do(Expr),
    /// Left by recovery.
    Error,
}

/// `let [rec] [inline] [mutable] a = .. and b = ..`.
#[derive(Clone, Debug, PartialEq)]
pub struct LetGroup {
    pub is_rec: bool,
    pub bindings: Vec<Binding>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    pub attributes: Vec<Attribute>,
    pub is_inline: bool,
    pub is_mutable: bool,
    pub is_private: bool,
    /// `use x = ..`.
    pub is_use: bool,
    pub head: BindingHead,
    /// `: ret` after the parameters, or the annotation of a plain value.
    pub ret: Option<TypeExpr>,
    pub body: Expr,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum BindingHead {
    /// `f<'T> a (b: int)`: a function (with parameters) or a simple value (without).
    Name { name: Ident, type_params: Vec<TypeParam>, params: Vec<Pattern> },
    /// `let (|Even|Odd|) n = ..`, `let (|Prefix|_|) p s = ..`.
    ActivePattern { cases: Vec<Ident>, partial: bool, params: Vec<Pattern>, span: Span },
    /// `let (a, b) = ..`.
    Pattern(Pattern),
}

/// `'T`, `[<Measure>] 'u`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TypeParam {
    /// Without the quote mark.
    pub name: Ident,
    pub is_measure: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TypeDef {
    pub attributes: Vec<Attribute>,
    pub doc: Option<String>,
    pub name: Ident,
    pub params: Vec<TypeParam>,
    pub kind: TypeDefKind,
    pub members: Vec<Member>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeDefKind {
    Abbreviation(TypeExpr),
    Record(Vec<FieldDef>),
    Union(Vec<CaseDef>),
    /// `| CPU = 0`; the values are literal expressions.
    Enum(Vec<(Ident, Expr)>),
    /// `type C(x: int) = let .. member ..`.
    Class {
        params: Vec<Pattern>,
        lets: Vec<LetGroup>,
    },
    /// `[<Measure>] type m` (with a formula for derived units).
    Measure(Option<MeasureExpr>),
    /// Left by recovery, or a form outside the subset (interface, delegate ...), named for the diagnostic.
    Error(Option<String>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct FieldDef {
    pub attributes: Vec<Attribute>,
    pub name: Ident,
    pub ty: TypeExpr,
    pub is_mutable: bool,
    pub doc: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CaseDef {
    pub name: Ident,
    pub fields: Vec<(Option<Ident>, TypeExpr)>,
    pub doc: Option<String>,
}

/// How a member was introduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberForm {
    /// `member x.Name ..`, also the reading half of a property with `get`.
    #[default]
    Plain,
    /// `with set v = ..`: the writing half of a property; its name is `set_Name`.
    Setter,
    /// `override x.ToString () = ..`
    Override,
}

/// `member this.F x = ..`, `static member G = ..`, `static member (+) (a, b) = ..`.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub form: MemberForm,
    pub attributes: Vec<Attribute>,
    pub doc: Option<String>,
    pub is_static: bool,
    /// `this`, `_`, or nothing for static members.
    pub this: Option<Ident>,
    pub name: Ident,
    pub type_params: Vec<TypeParam>,
    /// Empty for a property. A parameter list `(a, b)` is one tuple pattern; `()` is a unit pattern.
    pub params: Vec<Pattern>,
    pub ret: Option<TypeExpr>,
    pub body: Expr,
    pub span: Span,
}

/// `extern int f(a: int, b: nativeptr<byte>)`; its library and entry point are in the attributes of the `Decl`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternDecl {
    pub ret: TypeExpr,
    pub name: Ident,
    pub params: Vec<ExternParam>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExternParam {
    pub attributes: Vec<Attribute>,
    pub name: Option<Ident>,
    pub ty: TypeExpr,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TypeExpr {
    pub kind: TypeExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeExprKind {
    /// `'T`, without the quote mark.
    Var(Ustr),
    /// `_`.
    Wildcard,
    /// `A.B<x, y>`, and the postfix form `x list` (one argument).
    Named {
        path: Path,
        args: Vec<TypeArg>,
    },
    Tuple(Vec<TypeExpr>),
    Fun(Box<TypeExpr>, Box<TypeExpr>),
    /// `T[]` (rank 1).
    Array(Box<TypeExpr>),
    AnonRecord(Vec<(Ident, TypeExpr)>),
    Error,
}

/// An argument in `<...>`: `int<kg m>` parses as a measure only where it cannot be a type; a lone name is given as a
/// type and reinterpreted by the checker.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeArg {
    Type(TypeExpr),
    Measure(MeasureExpr),
}

/// `kg m / s^2`, `1`, `'u`, `_`.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasureExpr {
    pub kind: MeasureKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MeasureKind {
    One,
    Named(Path),
    Var(Ustr),
    Wildcard,
    Mul(Box<MeasureExpr>, Box<MeasureExpr>),
    Div(Box<MeasureExpr>, Box<MeasureExpr>),
    Pow(Box<MeasureExpr>, i32),
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pub kind: PatternKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PatternKind {
    Wildcard,
    /// A name that binds, or a nullary case: only names tell.
    Name(Ident),
    /// `A.B`, `Case p`, `Prefix "x" rest`; arguments as juxtaposed.
    Apply {
        path: Path,
        args: Vec<Pattern>,
    },
    /// `Case(width = p)`.
    ApplyNamed {
        path: Path,
        fields: Vec<(Ident, Pattern)>,
    },
    Lit(Lit),
    Null,
    Tuple(Vec<Pattern>),
    Paren(Box<Pattern>),
    List(Vec<Pattern>),
    Array(Vec<Pattern>),
    Cons(Box<Pattern>, Box<Pattern>),
    Or(Box<Pattern>, Box<Pattern>),
    /// `p & q`.
    And(Box<Pattern>, Box<Pattern>),
    As(Box<Pattern>, Ident),
    Record(Vec<(Path, Pattern)>),
    Typed(Box<Pattern>, Box<TypeExpr>),
    Error,
}

/// A literal. Integers keep the written digits' value; the suffix is in the type.
#[derive(Clone, Debug, PartialEq)]
pub enum Lit {
    Unit,
    Bool(bool),
    Char(char),
    String(Ustr),
    /// `"abc"B`.
    Bytes(Vec<u8>),
    Int {
        value: u64,
        negative: bool,
        kind: IntKind,
        measure: Option<Box<MeasureExpr>>,
    },
    Float {
        value: f64,
        kind: FloatKind,
        measure: Option<Box<MeasureExpr>>,
    },
}

/// Integer types with their source names in the comments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum IntKind {
    /// `sbyte`, `int8`, suffix `y`
    I8,
    /// `byte`, `uint8`, suffix `uy`
    U8,
    /// `int16`, suffix `s`
    I16,
    /// `uint16`, suffix `us`
    U16,
    /// `int`, `int32`, no suffix or `l`
    I32,
    /// `uint32`, `uint`, suffix `u`, `ul`
    U32,
    /// `int64`, suffix `L`
    I64,
    /// `uint64`, suffix `UL`
    U64,
    /// `nativeint`, suffix `n`
    ISize,
    /// `unativeint`, suffix `un`
    USize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum FloatKind {
    /// `float16`
    F16,
    /// `bfloat16`
    BF16,
    /// `float32`, `single`, suffix `f`
    F32,
    /// `float`, `double`, `float64`
    F64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    Lit(Lit),
    /// A plain name or the head of a dotted one.
    Name(Ident),
    /// An operator as a function: `(+)`. The name is the operator's text.
    OpName(Ident),
    /// `e.Name` (also `Module.name`: only names tell).
    Dot(Box<Expr>, Ident),
    /// `e.[i]`, `e[i]`, with slices.
    Index(Box<Expr>, Vec<IndexArg>),
    /// `f x y` with all juxtaposed arguments; `f(a, b)` is one tuple argument.
    App(Box<Expr>, Vec<Expr>),
    /// `f<int>`.
    TypeApp(Box<Expr>, Vec<TypeArg>),
    Prefix(Ident, Box<Expr>),
    Infix(Ident, Box<Expr>, Box<Expr>),
    Paren(Box<Expr>),
    Tuple(Vec<Expr>),
    /// `[ .. ]`
    List(Vec<Expr>),
    /// `[| .. |]`
    Array(Vec<Expr>),
    /// `[ a .. s .. b ]`, `(a .. b)`, `for x in a .. b`: a range wherever it stands.
    Range {
        from: Box<Expr>,
        step: Option<Box<Expr>>,
        to: Box<Expr>,
    },
    /// `[ for .. ]`, `[ yield .. ]`, `[| .. |]`, `seq { .. }`: the statements of a comprehension.
    Comprehension {
        kind: Collection,
        body: Box<Expr>,
    },
    /// `{ A = 1; B = 2 }`
    Record(Vec<(Path, Expr)>),
    /// `{ e with A = 1 }`
    With(Box<Expr>, Vec<(Path, Expr)>),
    /// `{| A = 1 |}`
    AnonRecord(Vec<(Ident, Expr)>),
    Lambda {
        params: Vec<Pattern>,
        body: Box<Expr>,
    },
    /// `function | p -> e ...`
    Function(Vec<Arm>),
    Match {
        scrutinee: Box<Expr>,
        arms: Vec<Arm>,
    },
    If {
        cond: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
    /// `let .. in body`, by layout or by `in`.
    Let {
        group: LetGroup,
        body: Box<Expr>,
    },
    /// Statements in order; the value is the last one's. Two or more.
    Seq(Vec<Expr>),
    /// `for i = a to b do`, `downto`.
    ForTo {
        var: Ident,
        from: Box<Expr>,
        down: bool,
        to: Box<Expr>,
        body: Box<Expr>,
    },
    /// `for p in e do`.
    ForIn {
        pattern: Box<Pattern>,
        source: Box<Expr>,
        body: Box<Expr>,
    },
    While {
        cond: Box<Expr>,
        body: Box<Expr>,
    },
    /// `target <- value`
    Assign(Box<Expr>, Box<Expr>),
    Typed(Box<Expr>, Box<TypeExpr>),
    /// `e :> T`, `e :?> T`, `upcast e` ...: parsed for the diagnostic.
    Cast(Box<Expr>, Box<TypeExpr>),
    /// `builder { .. }`
    Computation {
        builder: Box<Expr>,
        body: Box<Expr>,
    },
    /// Inside computations and comprehensions. `bang` is `let!`, `do!`, `return!`, `yield!`.
    LetBang {
        pattern: Box<Pattern>,
        value: Box<Expr>,
        body: Box<Expr>,
    },
    DoBang(Box<Expr>),
    Return {
        value: Box<Expr>,
        bang: bool,
    },
    Yield {
        value: Box<Expr>,
        bang: bool,
    },
    MatchBang {
        scrutinee: Box<Expr>,
        arms: Vec<Arm>,
    },
    Lazy(Box<Expr>),
    /// `$"a{x}b{y:F2}"`.
    Interpolated(Vec<InterpPart>),
    /// `assert e`
    Assert(Box<Expr>),
    /// A form outside the subset (`try`, `new`, quotation ...), named for the diagnostic, with what could be parsed.
    Unsupported {
        form: Ustr,
        inner: Option<Box<Expr>>,
    },
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    List,
    Array,
    Seq,
}

#[derive(Clone, Debug, PartialEq)]
pub enum IndexArg {
    At(Expr),
    /// `[a..b]`, `[a..]`, `[..b]`, `[*]`.
    Slice(Option<Expr>, Option<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    pub pattern: Pattern,
    pub guard: Option<Box<Expr>>,
    pub body: Expr,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum InterpPart {
    Text(Ustr),
    /// `{e}`, `{e:F2}`, `%d{e}`: the format is as written.
    Hole {
        expr: Expr,
        format: Option<Ustr>,
    },
}
