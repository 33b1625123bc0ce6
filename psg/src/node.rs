//! Operations of the graph.
//!
//! A node is an operation with operands (values of earlier nodes), regions (bodies that it runs) and a result type. A
//! node of type `Unit` may still be an operand. Values are computed where the node stands in its region; nothing is
//! floating. The only mutable things are variables ([`Op::Var`]), globals, array elements, mutable record fields,
//! native memory and buffers.

use crate::id::{ExternId, FuncId, GlobalId, KernelId, NodeId, RegionId, TypeId};
use clef_frontend::typed::{AgentKind, FormatSpec};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use ustr::Ustr;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Node {
    pub op: Op,
    pub operands: SmallVec<[NodeId; 3]>,
    pub regions: SmallVec<[RegionId; 2]>,
    pub ty: TypeId,
}

/// What a node does. "o0, o1" are its operands, "r0, r1" its regions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Op {
    // --- values
    Const(Const),
    /// The n-th parameter of the function. Stands in `Func::params`, not in a region.
    Param(u32),
    /// The n-th parameter of a region (loop variable, captured case). Stands in `Region::params`.
    RegionParam(u32),
    /// o0 op o1, both of the operand type; arithmetic gives that type. Integers wrap; `Div`/`Rem` by zero stop the
    /// program. Comparison ops give `Bool`; on floats they are IEEE (`Ne` is true on NaN).
    Binary(BinOp),
    Unary(UnOp),
    /// Numeric conversion of o0 to the node's type: wraps, truncates toward zero, saturates float to integer like
    /// LLVM's `fptosi.sat`.
    Convert,

    // --- aggregates, strings, arrays
    /// A value of the node's aggregate type: case and its fields.
    Make(u32),
    /// Field `field` of o0, which is known to be of case `case`.
    Field {
        case: u32,
        field: u32,
    },
    /// The case of o0, as `int`.
    Tag,
    /// Assigns field `field` of o0 (case 0), a mutable one, to o1.
    SetField(u32),
    /// An array of the operands.
    ArrayLit,
    /// o0 elements, each o1. A negative length stops the program.
    ArrayNew,
    /// Elements of array or UTF-8 bytes of string o0, as `int`.
    Length,
    /// o0.[o1]: array element, or byte of a string as `char` (ASCII only). `checked`: out of range stops the program.
    ArrayGet {
        checked: bool,
    },
    /// o0.[o1] <- o2.
    ArraySet {
        checked: bool,
    },
    /// An operation of the runtime or interpreter, by name, see [`crate::intrinsics`].
    Intrinsic(Ustr),
    /// o0 as text by the format.
    FormatValue(FormatSpec),
    /// Concatenation of two or more strings.
    Concat,
    /// Writes string o0.
    Print {
        to_stderr: bool,
    },

    // --- variables and functions
    /// A mutable local, initially o0. Its type is `Type::Var`.
    Var,
    VarGet,
    /// o0 <- o1.
    VarSet,
    GlobalGet(GlobalId),
    GlobalSet(GlobalId),
    /// A direct call. `tail`: nothing follows in the caller, and the stack must not grow.
    Call {
        func: FuncId,
        tail: bool,
    },
    /// Calls closure o0 with the rest.
    CallClosure {
        tail: bool,
    },
    /// A closure of a function whose last parameters are captured: the operands are these captures.
    Closure(FuncId),
    /// Calls a foreign function.
    CallExtern(ExternId),

    // --- control. A region's result is the node's value where the node is not of type `Unit`.
    /// o0 ? r0 : r1.
    If,
    /// By integer o0: the n-th region for the n-th value, the last region otherwise.
    Switch(Vec<i64>),
    /// While r0's result, r1.
    While,
    /// r0 with its parameter from o0 to (and with) o1, up or down by one, or by o2 where there is one (`By`).
    For(ForKind),
    /// The launch domain of a kernel: r0 for each value from o0 to o1, in any order or at once. Directly nested ones
    /// form one domain of up to three dimensions.
    Parallel,
    /// Stops the program with the message o0, or a fixed one.
    Fail(FailKind),

    // --- agents and buffers
    /// Allocates unified memory: o0 bytes, o1 agents (`HSAAgentKind list`), o2 hint; the address.
    AllocUnified,
    /// Element o1 of buffer o0.
    BufferGet {
        checked: bool,
    },
    /// Element o1 of buffer o0 becomes o2.
    BufferSet {
        checked: bool,
    },
    /// Elements of buffer o0, as `int`.
    BufferLength,
    /// Runs a kernel on an agent. Operands are the kernel's parameters; buffers are given as addresses
    /// (`nativeint`).
    Dispatch {
        kernel: KernelId,
        agent: AgentKind,
        device: u32,
        queue: u32,
    },
    /// `signalCompletion o0`. No effect.
    Marker,
    /// All work-items of the workgroup get here, and see each other's workgroup writes.
    Barrier,
    /// An array of the workgroup's own (constant length).
    WorkgroupArray(u32),
    /// An array of the work-item's own (constant length).
    ItemArray(u32),
    /// What the work-items of a group compute together from o0 of each; all of them get here. Of one subgroup or, with
    /// the effect of a barrier, of the workgroup.
    Group {
        scope: GroupScope,
        op: GroupOp,
    },
    /// Atomic read-modify-write of element o1 of buffer o0 with o2; the old value.
    Atomic(AtomicOp),

    // --- memory, inserted by the reference-count pass
    /// One more reference to o0.
    Dup,
    /// One reference less to o0.
    Drop,
    /// Ends the reference to o0, of this case. The other operands are fields of it that were read: if the reference
    /// was the only one, they get o0's references to them, and the node is o0's cell, to be used once by `Remake` or
    /// `Discard`; otherwise each gets a reference of its own, and the node is null.
    Unpack(u32),
    /// As `Make` of the operands from o1 on, in the cell o0 where that is not null.
    Remake(u32),
    /// Frees the cell o0 without what was in it; null is allowed.
    Discard,
    /// As `Concat`, but takes the reference to o0, and may write its bytes where they are.
    Append,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Const {
    Unit,
    Bool(bool),
    Char(char),
    /// Sign-extended bits; the width is in the type.
    Int(i64),
    /// The bits of the value as f64 (exact for the narrower kinds).
    Float(f64),
    String(Ustr),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    BitAnd,
    BitOr,
    BitXor,
    /// The count is masked to the width, as in F#.
    Shl,
    /// Arithmetic on signed, logical on unsigned.
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Min,
    Max,
    /// Floats only.
    Pow,
    Atan2,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum UnOp {
    Neg,
    /// Boolean.
    Not,
    BitNot,
    Abs,
    Sqrt,
    Floor,
    Ceil,
    /// Half to even, as .NET's `Math.Round`.
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
    Sinh,
    Cosh,
    Tanh,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ForKind {
    Up,
    Down,
    By,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FailKind {
    /// `failwith o0`.
    Message,
    /// No arm of a match fits.
    Match,
    /// A step of zero.
    ZeroStep,
}

/// Who works together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum GroupScope {
    /// Work-items that a device runs in step; one work-item on the host.
    Subgroup,
    Workgroup,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum GroupOp {
    /// The sum of all, for all.
    Add,
    Min,
    Max,
    /// The sum of those up to this one and with it.
    Scan,
    /// o0 of the work-item whose number in the group is o1. Subgroups only.
    Shuffle,
    /// How many work-items the group has. Subgroups only.
    Size,
    /// This work-item's number in the group. Subgroups only.
    Lane,
    /// Whether the GPU has matrix instructions for the module `Tile`. The same for all.
    Tiles,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AtomicOp {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
    Exchange,
}
