//! A thin safe layer over libclang, which is loaded when a header is read and not before.
//!
//! Only what the binding generator asks is here. A [`Cursor`] or [`Type`] is valid as long as the [`Unit`] that it came
//! from; the borrow says so. Nothing here knows Clef.

use clang_sys as c;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::ptr;

/// libclang, loaded for this thread.
pub struct Clang {
    index: c::CXIndex,
}

impl Clang {
    /// Loads the library; the reason where that fails.
    pub fn load() -> Result<Self, String> {
        c::load()?;
        // SAFETY: the library is loaded on this thread.
        let index = unsafe { c::clang_createIndex(0, 0) };
        if index.is_null() { Err("it could not be started".into()) } else { Ok(Self { index }) }
    }

    /// Parses a file that exists only in memory.
    pub fn parse(&self, name: &str, text: &str, args: &[String]) -> Result<Unit<'_>, String> {
        let nul = |_| "a NUL in a name or argument".to_owned();
        let name = CString::new(name).map_err(nul)?;
        let args: Vec<CString> =
            args.iter().map(|a| CString::new(a.as_str())).collect::<Result<_, _>>().map_err(nul)?;
        let raw: Vec<*const c_char> = args.iter().map(|a| a.as_ptr()).collect();
        let mut file = c::CXUnsavedFile {
            Filename: name.as_ptr(),
            Contents: text.as_ptr().cast(),
            Length: text.len() as _,
        };
        let options = c::CXTranslationUnit_DetailedPreprocessingRecord | c::CXTranslationUnit_KeepGoing;
        let mut unit = ptr::null_mut();
        // SAFETY: all pointers live until the call returns; libclang copies what it keeps.
        let code = unsafe {
            c::clang_parseTranslationUnit2(
                self.index,
                name.as_ptr(),
                raw.as_ptr(),
                raw.len() as c_int,
                &raw mut file,
                1,
                options,
                &raw mut unit,
            )
        };
        if code == c::CXError_Success && !unit.is_null() {
            Ok(Unit { raw: unit, clang: PhantomData })
        } else {
            Err(format!("libclang gave up with code {code}"))
        }
    }
}

impl Drop for Clang {
    fn drop(&mut self) {
        // SAFETY: made by `clang_createIndex`, given back once; units borrow this value and are gone.
        unsafe { c::clang_disposeIndex(self.index) }
    }
}

/// A parsed file with all that it includes.
pub struct Unit<'a> {
    raw: c::CXTranslationUnit,
    clang: PhantomData<&'a Clang>,
}

impl Unit<'_> {
    pub fn root(&self) -> Cursor<'_> {
        // SAFETY: the unit is alive.
        Cursor { raw: unsafe { c::clang_getTranslationUnitCursor(self.raw) }, unit: PhantomData }
    }

    /// Errors that clang reported, as it words them.
    pub fn errors(&self) -> Vec<String> {
        // SAFETY: the unit is alive; each diagnostic is given back.
        unsafe {
            (0..c::clang_getNumDiagnostics(self.raw))
                .filter_map(|i| {
                    let d = c::clang_getDiagnostic(self.raw, i);
                    let wrong = c::clang_getDiagnosticSeverity(d) >= c::CXDiagnostic_Error;
                    let text = text(c::clang_formatDiagnostic(d, c::clang_defaultDiagnosticDisplayOptions()));
                    c::clang_disposeDiagnostic(d);
                    wrong.then_some(text)
                })
                .collect()
        }
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `clang_parseTranslationUnit2`, given back once.
        unsafe { c::clang_disposeTranslationUnit(self.raw) }
    }
}

/// Takes a string of libclang's over.
fn text(raw: c::CXString) -> String {
    // SAFETY: `raw` was just made by libclang and is given back once.
    unsafe {
        let bytes = c::clang_getCString(raw);
        let text = if bytes.is_null() {
            String::new()
        } else {
            CStr::from_ptr(bytes).to_string_lossy().into_owned()
        };
        c::clang_disposeString(raw);
        text
    }
}

/// A declaration or another piece of the program.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    raw: c::CXCursor,
    unit: PhantomData<&'a ()>,
}

/// What a cursor evaluates to.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(String),
}

impl<'a> Cursor<'a> {
    fn wrap(raw: c::CXCursor) -> Self {
        Self { raw, unit: PhantomData }
    }

    pub fn kind(self) -> c::CXCursorKind {
        // SAFETY: as in all functions below, the unit is alive.
        unsafe { c::clang_getCursorKind(self.raw) }
    }

    pub fn name(self) -> String {
        // SAFETY: see `kind`.
        text(unsafe { c::clang_getCursorSpelling(self.raw) })
    }

    /// A name of the entity, the same in every file that sees it.
    pub fn usr(self) -> String {
        // SAFETY: see `kind`.
        text(unsafe { c::clang_getCursorUSR(c::clang_getCanonicalCursor(self.raw)) })
    }

    pub fn children(self) -> Vec<Cursor<'a>> {
        extern "C" fn visit(child: c::CXCursor, _: c::CXCursor, data: *mut c_void) -> c::CXChildVisitResult {
            // SAFETY: `data` is the vector below, alive during the visit.
            unsafe { (*data.cast::<Vec<c::CXCursor>>()).push(child) };
            c::CXChildVisit_Continue
        }
        let mut found: Vec<c::CXCursor> = Vec::new();
        // SAFETY: see `kind` and `visit`.
        unsafe { c::clang_visitChildren(self.raw, visit, (&raw mut found).cast()) };
        found.into_iter().map(Self::wrap).collect()
    }

    pub fn ty(self) -> Type<'a> {
        // SAFETY: see `kind`.
        Type::wrap(unsafe { c::clang_getCursorType(self.raw) })
    }

    /// Of a typedef: what it names.
    pub fn underlying(self) -> Type<'a> {
        // SAFETY: see `kind`.
        Type::wrap(unsafe { c::clang_getTypedefDeclUnderlyingType(self.raw) })
    }

    /// Of an enum: the integer that it is.
    pub fn enum_integer(self) -> Type<'a> {
        // SAFETY: see `kind`.
        Type::wrap(unsafe { c::clang_getEnumDeclIntegerType(self.raw) })
    }

    /// Of an enum's constant.
    pub fn enum_value(self) -> i64 {
        // SAFETY: see `kind`.
        unsafe { c::clang_getEnumConstantDeclValue(self.raw) }
    }

    /// The definition, where there is one.
    pub fn definition(self) -> Option<Cursor<'a>> {
        // SAFETY: see `kind`.
        let found = unsafe { c::clang_getCursorDefinition(self.raw) };
        // SAFETY: a plain test.
        let null = unsafe { c::clang_Cursor_isNull(found) } != 0;
        (!null).then(|| Self::wrap(found))
    }

    pub fn in_system_header(self) -> bool {
        // SAFETY: see `kind`.
        unsafe { c::clang_Location_isInSystemHeader(c::clang_getCursorLocation(self.raw)) != 0 }
    }

    /// The file that it is in, and the byte there; nothing for what the compiler or the command line defines.
    pub fn place(self) -> Option<(String, u32)> {
        let (mut file, mut offset): (c::CXFile, c_uint) = (ptr::null_mut(), 0);
        // SAFETY: see `kind`; the file is a handle of the unit.
        unsafe {
            let at = c::clang_getCursorLocation(self.raw);
            let (line, column) = (ptr::null_mut(), ptr::null_mut());
            c::clang_getFileLocation(at, &raw mut file, line, column, &raw mut offset);
            (!file.is_null()).then(|| (text(c::clang_getFileName(file)), offset))
        }
    }

    pub fn comment(self) -> String {
        // SAFETY: see `kind`.
        text(unsafe { c::clang_Cursor_getRawCommentText(self.raw) })
    }

    /// The byte at which its comment begins.
    pub fn comment_start(self) -> Option<u32> {
        let (mut file, mut offset): (c::CXFile, c_uint) = (ptr::null_mut(), 0);
        // SAFETY: see `kind`.
        unsafe {
            let start = c::clang_getRangeStart(c::clang_Cursor_getCommentRange(self.raw));
            let (line, column) = (ptr::null_mut(), ptr::null_mut());
            c::clang_getFileLocation(start, &raw mut file, line, column, &raw mut offset);
        }
        (!file.is_null()).then_some(offset)
    }

    pub fn is_deprecated(self) -> bool {
        // SAFETY: see `kind`.
        unsafe { c::clang_getCursorAvailability(self.raw) == c::CXAvailability_Deprecated }
    }

    pub fn is_variadic(self) -> bool {
        // SAFETY: see `kind`.
        unsafe { c::clang_Cursor_isVariadic(self.raw) != 0 }
    }

    /// Visible to the linker under its name.
    pub fn is_external(self) -> bool {
        // SAFETY: see `kind`.
        unsafe { c::clang_getCursorLinkage(self.raw) == c::CXLinkage_External }
    }

    pub fn is_inline(self) -> bool {
        // SAFETY: see `kind`.
        unsafe { c::clang_Cursor_isFunctionInlined(self.raw) != 0 }
    }

    pub fn has_body(self) -> bool {
        self.definition().is_some()
    }

    /// A struct or union without a tag.
    pub fn is_anonymous(self) -> bool {
        // SAFETY: see `kind`.
        unsafe { c::clang_Cursor_isAnonymous(self.raw) != 0 }
    }

    pub fn is_macro_function(self) -> bool {
        // SAFETY: see `kind`.
        unsafe { c::clang_Cursor_isMacroFunctionLike(self.raw) != 0 }
    }

    pub fn bit_width(self) -> Option<u32> {
        // SAFETY: see `kind`.
        let width = unsafe { c::clang_getFieldDeclBitWidth(self.raw) };
        u32::try_from(width).ok()
    }

    /// Of a field: its place in the struct, in bits.
    pub fn bit_offset(self) -> Option<u64> {
        // SAFETY: see `kind`.
        let offset = unsafe { c::clang_Cursor_getOffsetOfField(self.raw) };
        u64::try_from(offset).ok()
    }

    /// An inline function, or an `extern const`, is no constant: a `static const` is.
    pub fn is_static(self) -> bool {
        // SAFETY: see `kind`.
        unsafe { c::clang_Cursor_getStorageClass(self.raw) == c::CX_SC_Static }
    }

    /// Of a function: its parameters by name.
    pub fn parameter_names(self) -> Vec<String> {
        // SAFETY: see `kind`.
        unsafe {
            let count = c::clang_Cursor_getNumArguments(self.raw).max(0) as c_uint;
            (0..count).map(|i| Self::wrap(c::clang_Cursor_getArgument(self.raw, i)).name()).collect()
        }
    }

    /// The value of a constant variable.
    pub fn evaluate(self) -> Option<Constant> {
        // SAFETY: see `kind`; the result is given back once.
        unsafe {
            let result = c::clang_Cursor_Evaluate(self.raw);
            if result.is_null() {
                return None;
            }
            let value = match c::clang_EvalResult_getKind(result) {
                c::CXEval_Int if c::clang_EvalResult_isUnsignedInt(result) != 0 => {
                    Some(Constant::UInt(c::clang_EvalResult_getAsUnsigned(result)))
                }
                c::CXEval_Int => Some(Constant::Int(c::clang_EvalResult_getAsLongLong(result))),
                c::CXEval_Float => Some(Constant::Float(c::clang_EvalResult_getAsDouble(result))),
                c::CXEval_StrLiteral => {
                    let bytes = c::clang_EvalResult_getAsStr(result);
                    (!bytes.is_null())
                        .then(|| Constant::Text(CStr::from_ptr(bytes).to_string_lossy().into_owned()))
                }
                _ => None,
            };
            c::clang_EvalResult_dispose(result);
            value
        }
    }
}

/// A C type.
#[derive(Clone, Copy)]
pub struct Type<'a> {
    raw: c::CXType,
    unit: PhantomData<&'a ()>,
}

impl<'a> Type<'a> {
    fn wrap(raw: c::CXType) -> Self {
        Self { raw, unit: PhantomData }
    }

    pub fn kind(self) -> c::CXTypeKind {
        self.raw.kind
    }

    /// As C writes it.
    pub fn spelling(self) -> String {
        // SAFETY: as in all functions below, the unit is alive.
        text(unsafe { c::clang_getTypeSpelling(self.raw) })
    }

    /// Without typedefs.
    pub fn canonical(self) -> Type<'a> {
        // SAFETY: see `spelling`.
        Self::wrap(unsafe { c::clang_getCanonicalType(self.raw) })
    }

    /// Of `struct x`: the struct.
    pub fn named(self) -> Type<'a> {
        // SAFETY: see `spelling`.
        Self::wrap(unsafe { c::clang_Type_getNamedType(self.raw) })
    }

    pub fn declaration(self) -> Cursor<'a> {
        // SAFETY: see `spelling`.
        Cursor::wrap(unsafe { c::clang_getTypeDeclaration(self.raw) })
    }

    pub fn pointee(self) -> Type<'a> {
        // SAFETY: see `spelling`.
        Self::wrap(unsafe { c::clang_getPointeeType(self.raw) })
    }

    pub fn is_const(self) -> bool {
        // SAFETY: see `spelling`.
        unsafe { c::clang_isConstQualifiedType(self.raw) != 0 }
    }

    pub fn element(self) -> Type<'a> {
        // SAFETY: see `spelling`.
        Self::wrap(unsafe { c::clang_getArrayElementType(self.raw) })
    }

    pub fn array_size(self) -> Option<u64> {
        // SAFETY: see `spelling`.
        u64::try_from(unsafe { c::clang_getArraySize(self.raw) }).ok()
    }

    /// In bytes; nothing for a type without a size.
    pub fn size(self) -> Option<u64> {
        // SAFETY: see `spelling`.
        u64::try_from(unsafe { c::clang_Type_getSizeOf(self.raw) }).ok()
    }

    pub fn align(self) -> Option<u64> {
        // SAFETY: see `spelling`.
        u64::try_from(unsafe { c::clang_Type_getAlignOf(self.raw) }).ok()
    }

    /// Of a struct: the place of a field, in bits, also where it is inside of an anonymous member.
    pub fn offset_of(self, field: &str) -> Option<u64> {
        let field = CString::new(field).ok()?;
        // SAFETY: see `spelling`; the name lives until the call returns.
        u64::try_from(unsafe { c::clang_Type_getOffsetOf(self.raw, field.as_ptr()) }).ok()
    }

    pub fn result(self) -> Type<'a> {
        // SAFETY: see `spelling`.
        Self::wrap(unsafe { c::clang_getResultType(self.raw) })
    }

    /// Parameters of a function, as they are passed (arrays as pointers).
    pub fn parameters(self) -> Vec<Type<'a>> {
        // SAFETY: see `spelling`.
        unsafe {
            let count = c::clang_getNumArgTypes(self.raw).max(0) as c_uint;
            (0..count).map(|i| Self::wrap(c::clang_getArgType(self.raw, i))).collect()
        }
    }
}
