//! The table of diagnostic codes. Each has a page `docs/diagnostics/CLEFnnnn.md` (a test holds the two together).
//!
//! Ranges: 00xx text, tokens, layout and syntax; 01xx names; 02xx types and units; 03xx patterns; 04xx outside the
//! subset; 05xx kernels and dispatch; 06xx buffers, residency and fences; 07xx externs and bindings; 08xx files,
//! projects, tools; 09xx running (interpreter, executor).

/// A diagnostic's code: its number in the table below, shown as `CLEF0123`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CLEF{:04}", self.0)
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal;)*) => {
        $($(#[doc = $doc])+ pub const $name: Code = Code($number);)*

        /// Every code with its one-line summary, in order of number.
        pub const ALL: &[(Code, &str)] = &[$((Code($number), concat!($($doc),+))),*];
    };
}

codes! {
    /// The file is not UTF-8 text.
    NOT_UTF8 = 1;
    /// A character that starts no token.
    BAD_CHARACTER = 2;
    /// A string, character or comment that is not closed.
    UNTERMINATED = 3;
    /// A literal that does not fit its type or is malformed.
    BAD_LITERAL = 4;
    /// Text that does not fit the grammar at this place.
    SYNTAX = 5;
    /// A line's indentation fits no open block.
    OFFSIDE = 6;
    /// Nesting deeper than the compiler accepts.
    TOO_DEEP = 7;
    /// A tab used for indentation.
    TAB_INDENT = 8;
    /// A bracket without its partner.
    UNBALANCED = 9;
    /// A value name that is not defined.
    UNKNOWN_NAME = 101;
    /// A type name that is not defined.
    UNKNOWN_TYPE = 102;
    /// A module that does not exist.
    UNKNOWN_MODULE = 103;
    /// A field that the record does not have.
    UNKNOWN_FIELD = 104;
    /// A member that the type does not have.
    UNKNOWN_MEMBER = 105;
    /// The same name twice where it must be unique.
    DUPLICATE = 106;
    /// An assignment to something that is not mutable.
    NOT_MUTABLE = 107;
    /// An attribute that is malformed or out of place.
    BAD_ATTRIBUTE = 108;
    /// An entry point of the wrong form.
    BAD_ENTRY_POINT = 109;
    /// An expression has another type than its place asks for.
    TYPE_MISMATCH = 201;
    /// Two units of measure that must be equal differ.
    UNIT_MISMATCH = 202;
    /// Too many arguments, or arguments for something that is no function.
    NOT_A_FUNCTION = 203;
    /// Wrong number of arguments.
    ARGUMENT_COUNT = 204;
    /// A type that would have to contain itself.
    INFINITE_TYPE = 205;
    /// An operator or conversion that the operands' type does not have.
    NO_OPERATOR = 206;
    /// Wrong number of type arguments.
    TYPE_ARGUMENTS = 207;
    /// A type must be known here, but is not yet.
    NEEDS_ANNOTATION = 208;
    /// A value whose type is not fully known and may not be generic.
    VALUE_RESTRICTION = 209;
    /// A type where a unit must stand, or the other way round.
    BAD_TYPE_ARGUMENT = 210;
    /// A format text that is malformed or does not fit its arguments.
    BAD_FORMAT = 211;
    /// A record expression without all fields.
    MISSING_FIELD = 212;
    /// Functions cannot be compared or hashed.
    NOT_COMPARABLE = 213;
    /// A statement whose value is dropped.
    VALUE_DROPPED = 214;
    /// A form that its surroundings do not allow, such as `yield` outside of a comprehension.
    MISPLACED = 215;
    /// A match that does not cover all values.
    INCOMPLETE_MATCH = 301;
    /// An arm that no value reaches.
    UNREACHABLE_ARM = 302;
    /// A pattern with the wrong number of arguments.
    PATTERN_ARGUMENTS = 303;
    /// A pattern that binds a name twice.
    PATTERN_NAMES = 304;
    /// A construct outside the subset.
    OUTSIDE_SUBSET = 450;
    /// A closure captures a mutable local.
    MUTABLE_CAPTURED = 451;
    /// A dispatch names a kernel that does not exist.
    UNKNOWN_KERNEL = 501;
    /// The fields of a dispatch do not match the kernel's parameters.
    DISPATCH_FIELDS = 502;
    /// A field of a dispatch has the wrong type.
    DISPATCH_TYPE = 503;
    /// Two kernels of one name.
    DUPLICATE_KERNEL = 504;
    /// A kernel declaration or dispatch that is malformed.
    BAD_KERNEL = 505;
    /// A definition that would need endlessly many versions, or a program too large to build.
    BUILD_LIMIT = 290;
    /// An operation that a type does not have, found where generic code is used.
    BUILD_TYPE = 291;
    /// The compiler itself went wrong while it built the graph.
    BUILD_BUG = 299;
    /// A kernel's body does something that kernels cannot do.
    KERNEL_BODY = 520;
    /// A kernel calls a function that calls itself.
    KERNEL_RECURSION = 521;
    /// A kernel is too large once its helpers are copied in.
    KERNEL_TOO_LARGE = 522;
    /// Parallel loops or barriers that do not form a launch domain.
    KERNEL_DOMAIN = 523;
    /// A kernel with a value is dispatched to a device.
    KERNEL_VALUE = 524;
    /// A kernel that is dispatched to a GPU has no form for the route asked for.
    NO_GPU_FORM = 560;
    /// A dispatch to the NPU has no form for the NPU's array.
    NO_NPU_FORM = 561;
    /// An agent touches a buffer whose `Agents` does not list it.
    AGENT_NOT_LISTED = 601;
    /// A buffer's hint names an agent that hardly uses it.
    HINT_CONTRADICTED = 602;
    /// A buffer that no agent reads.
    BUFFER_NOT_READ = 603;
    /// A buffer is written again after it was announced as complete.
    MARKER_OVERTAKEN = 604;
    /// A buffer with another residency hint than the type of its place says.
    HINT_MISMATCH = 605;
    /// libclang, which reads C headers, is not installed.
    NO_LIBCLANG = 701;
    /// A C header that clang cannot read.
    BAD_HEADER = 702;
    /// Settings of the binding generator that are malformed, or name what the header does not have.
    BAD_BINDGEN_CONFIG = 703;
    /// An array of fixed length inside of a C struct that is malformed or out of place.
    BAD_FIXED_ARRAY = 704;
    /// A handle of a foreign library is used, or released again, after its release.
    RELEASED_HANDLE = 705;
    /// Exceptions (`try`, `exception`, `raise` as syntax) are outside the subset.
    NO_EXCEPTIONS = 400;
    /// Inheritance, interfaces and abstract members are outside the subset.
    NO_CLASSES = 401;
    /// Casts and tests between types of a hierarchy are outside the subset.
    NO_HIERARCHY = 402;
    /// `new` is outside the subset.
    NO_NEW = 403;
    /// Quotations are outside the subset.
    NO_QUOTATIONS = 404;
    /// Struct tuples are outside the subset.
    NO_STRUCT_TUPLE = 405;
    /// `null` is outside the subset.
    NO_NULL = 406;
    /// `_.Name` as a function is outside the subset.
    NO_SHORTHAND = 407;
    /// Delegates are outside the subset.
    NO_DELEGATES = 408;
    /// Explicit constraints on type parameters are outside the subset.
    NO_CONSTRAINTS = 409;
    /// A form of type definition or member outside the subset.
    NO_MEMBER_FORM = 410;
    /// Compiler directives (`#if`) are outside the subset.
    NO_DIRECTIVES = 411;
    /// Optional and out parameters are outside the subset.
    NO_OPTIONAL_PARAMETERS = 412;
    /// A decimal or big integer literal is outside the subset.
    NO_BIG_NUMBERS = 413;
    /// A file or folder that does not exist.
    NO_SUCH_FILE = 801;
    /// A file that cannot be read.
    UNREADABLE = 802;
    /// An output that cannot be written.
    UNWRITABLE = 803;
    /// A folder without exactly one project file.
    NO_PROJECT = 804;
    /// A project file that is malformed.
    BAD_PROJECT = 805;
    /// No linker was found.
    NO_LINKER = 806;
    /// The linker could not make the executable.
    LINK_FAILED = 807;
    /// A part of the compiler is not installed.
    NOT_INSTALLED = 808;
    /// A target, route or stage that this version does not have.
    NOT_AVAILABLE = 809;
    /// `explain` was asked for a code that does not exist.
    NO_SUCH_CODE = 810;
    /// `new` was asked to make a project where something is already.
    ALREADY_THERE = 811;
    /// A source file larger than the compiler accepts.
    TOO_LARGE = 812;
    /// A library that the project file names is not there.
    LIBRARY_MISSING = 813;
    /// Files for the NPU that the project names and that cannot be used.
    NPU_FILES = 814;
}
