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
}
