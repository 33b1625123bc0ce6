//! The wall around melior: nothing outside this folder names melior or mlir-sys.
//!
//! [`Cx`] holds the context, the module under construction, the insertion point and the current source location.
//! [`Value`], [`Block`], [`Ty`], [`Attr`] and [`Op`] are thin copies of MLIR's handles; they stay valid as long as the
//! `Cx` that made them, which owns the module. Helpers for the operations of the `llvm` dialect are in [`ops`]; passes
//! and emission of code in [`emit`].
//!
//! Promises: only the dialects in use are loaded; every operation has a known location; what MLIR says about a failure
//! is kept for the report. Does not know the graph.

pub mod attrs;
pub mod emit;
mod ffi;
pub mod ops;
pub mod spirv;

use melior::Context;
use melior::dialect::{DialectHandle, DialectRegistry};
use mlir_sys::*;
use std::cell::RefCell;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::rc::Rc;

/// A result of an operation or an argument of a block.
#[derive(Clone, Copy)]
pub struct Value(MlirValue);

/// A basic block.
#[derive(Clone, Copy)]
pub struct Block(MlirBlock);

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr == other.0.ptr
    }
}

/// A type.
#[derive(Clone, Copy)]
pub struct Ty(MlirType);

impl PartialEq for Ty {
    fn eq(&self, other: &Self) -> bool {
        // Types are unique in a context.
        self.0.ptr == other.0.ptr
    }
}

/// An attribute.
#[derive(Clone, Copy)]
pub struct Attr(MlirAttribute);

/// An operation that stands in the module.
#[derive(Clone, Copy)]
pub struct Op(MlirOperation);

/// A source location.
#[derive(Clone, Copy)]
pub struct Location(MlirLocation);

/// A named attribute of an operation under construction.
pub type Named<'a> = (&'a str, Attr);

pub(crate) fn text(s: &str) -> MlirStringRef {
    MlirStringRef { data: s.as_ptr().cast(), length: s.len() }
}

/// The types that lowering uses all the time.
#[derive(Clone, Copy)]
pub struct Common {
    pub i1: Ty,
    pub i8: Ty,
    pub i16: Ty,
    pub i32: Ty,
    pub i64: Ty,
    pub f16: Ty,
    pub bf16: Ty,
    pub f32: Ty,
    pub f64: Ty,
    pub ptr: Ty,
    pub void: Ty,
}

/// Context, module and cursor.
pub struct Cx {
    /// Never destroyed: a back end process ends after one job, and taking MLIR's structures apart one by one would only
    /// cost time.
    context: ManuallyDrop<Context>,
    raw: MlirContext,
    module: MlirModule,
    top: Block,
    block: Option<Block>,
    /// Operations go before this one instead of to the end of the block.
    anchor: Option<Op>,
    location: Location,
    pub ty: Common,
    messages: Rc<RefCell<Vec<String>>>,
}

impl Cx {
    /// A context with an empty module. `with_gpu` loads the dialects of dispatches too.
    pub fn new(name: &str, with_gpu: bool) -> Self {
        let registry = DialectRegistry::new();
        DialectHandle::llvm().insert_dialect(&registry);
        // SAFETY: handles are static data of MLIR.
        unsafe {
            mlirDialectHandleInsertDialect(mlirGetDialectHandle__dlti__(), registry.to_raw());
        }
        if with_gpu {
            DialectHandle::gpu().insert_dialect(&registry);
        }
        let context = Context::new_with_registry(&registry, false);
        context.load_all_available_dialects();
        let messages = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&messages);
        context.attach_diagnostic_handler(move |d| {
            sink.borrow_mut().push(format!("{}: {d}", d.location()));
            true
        });
        let raw = context.to_raw();
        // SAFETY: the context lives as long as `Cx`; all handles below belong to it.
        let (location, module, top, ty) = unsafe {
            let location = Location(mlirLocationNameGet(raw, text(name), mlirLocationUnknownGet(raw)));
            let module = mlirModuleCreateEmpty(location.0);
            let top = Block(mlirModuleGetBody(module));
            let int = |bits| Ty(mlirIntegerTypeGet(raw, bits));
            let ty = Common {
                i1: int(1),
                i8: int(8),
                i16: int(16),
                i32: int(32),
                i64: int(64),
                f16: Ty(mlirF16TypeGet(raw)),
                bf16: Ty(mlirBF16TypeGet(raw)),
                f32: Ty(mlirF32TypeGet(raw)),
                f64: Ty(mlirF64TypeGet(raw)),
                ptr: Ty(mlirLLVMPointerTypeGet(raw, 0)),
                void: Ty(mlirLLVMVoidTypeGet(raw)),
            };
            (location, module, top, ty)
        };
        Self {
            context: ManuallyDrop::new(context),
            raw,
            module,
            top,
            block: None,
            anchor: None,
            location,
            ty,
            messages,
        }
    }

    // --- cursor

    /// Sets the location of the operations that follow.
    pub fn set_location(&mut self, location: Location) {
        self.location = location;
    }

    pub fn location(&self) -> Location {
        self.location
    }

    pub fn file_location(&self, file: &str, line: u32, column: u32) -> Location {
        // SAFETY: the context is alive.
        unsafe { Location(mlirLocationFileLineColGet(self.raw, text(file), line, column)) }
    }

    /// The location of synthesised code that has no place in the source.
    pub fn glue_location(&self, what: &str) -> Location {
        // Line 0 is DWARF's "by the compiler"; LLVM wants a place on each call in a function with debug data.
        // SAFETY: the context is alive.
        unsafe {
            let nowhere = mlirLocationFileLineColGet(self.raw, text("<clefc>"), 0, 0);
            Location(mlirLocationNameGet(self.raw, text(what), nowhere))
        }
    }

    /// The block that operations are appended to.
    pub fn set_block(&mut self, block: Block) {
        self.block = Some(block);
    }

    pub fn block(&self) -> Option<Block> {
        self.block
    }

    /// What follows cannot be reached: there is no block until [`Self::set_block`].
    pub fn unreachable_from_here(&mut self) {
        self.block = None;
    }

    pub fn is_reachable(&self) -> bool {
        self.block.is_some()
    }

    // --- blocks

    /// A block with arguments, in no region yet.
    pub fn new_block(&self, args: &[Ty]) -> Block {
        let locations = vec![self.location.0; args.len()];
        // SAFETY: both arrays have the given length; `Ty` is a transparent wrapper by construction below.
        unsafe {
            let types: Vec<MlirType> = args.iter().map(|t| t.0).collect();
            Block(mlirBlockCreate(args.len() as isize, types.as_ptr(), locations.as_ptr()))
        }
    }

    /// A new block at the end of the region of `after`.
    pub fn append_block(&self, beside: Block, args: &[Ty]) -> Block {
        let block = self.new_block(args);
        // SAFETY: `beside` stands in a region; the region takes the new block.
        unsafe { mlirRegionAppendOwnedBlock(mlirBlockGetParentRegion(beside.0), block.0) };
        block
    }

    pub fn arg(&self, block: Block, n: usize) -> Value {
        debug_assert!((n as isize) < unsafe { mlirBlockGetNumArguments(block.0) });
        // SAFETY: the block has that many arguments.
        unsafe { Value(mlirBlockGetArgument(block.0, n as isize)) }
    }

    pub fn add_arg(&self, block: Block, ty: Ty) -> Value {
        // SAFETY: the block is alive.
        unsafe { Value(mlirBlockAddArgument(block.0, ty.0, self.location.0)) }
    }

    pub fn type_of(&self, value: Value) -> Ty {
        // SAFETY: the value is alive.
        unsafe { Ty(mlirValueGetType(value.0)) }
    }

    // --- operations

    /// Builds an operation without placing it.
    fn create(
        &self,
        name: &str,
        operands: &[Value],
        results: &[Ty],
        attrs: &[Named],
        successors: &[Block],
        regions: &[MlirRegion],
    ) -> Op {
        let operands: smallvec::SmallVec<[MlirValue; 8]> = operands.iter().map(|v| v.0).collect();
        let results: smallvec::SmallVec<[MlirType; 2]> = results.iter().map(|t| t.0).collect();
        let successors: smallvec::SmallVec<[MlirBlock; 4]> = successors.iter().map(|b| b.0).collect();
        // SAFETY: all handles belong to this context; the arrays outlive `mlirOperationCreate`, which copies them.
        unsafe {
            let attrs: smallvec::SmallVec<[MlirNamedAttribute; 8]> = attrs
                .iter()
                .map(|(n, a)| mlirNamedAttributeGet(mlirIdentifierGet(self.raw, text(n)), a.0))
                .collect();
            let mut state = mlirOperationStateGet(text(name), self.location.0);
            mlirOperationStateAddOperands(&mut state, operands.len() as isize, operands.as_ptr());
            mlirOperationStateAddResults(&mut state, results.len() as isize, results.as_ptr());
            mlirOperationStateAddAttributes(&mut state, attrs.len() as isize, attrs.as_ptr());
            mlirOperationStateAddSuccessors(&mut state, successors.len() as isize, successors.as_ptr());
            mlirOperationStateAddOwnedRegions(&mut state, regions.len() as isize, regions.as_ptr());
            Op(mlirOperationCreate(&mut state))
        }
    }

    /// Appends an operation at the cursor. There must be a block.
    pub fn op(&mut self, name: &str, operands: &[Value], results: &[Ty], attrs: &[Named]) -> Op {
        self.op_to(name, operands, results, attrs, &[])
    }

    /// An operation with successors.
    pub fn op_to(
        &mut self,
        name: &str,
        operands: &[Value],
        results: &[Ty],
        attrs: &[Named],
        successors: &[Block],
    ) -> Op {
        let op = self.create(name, operands, results, attrs, successors, &[]);
        if let Some(block) = self.block {
            // SAFETY: the block takes the operation; the anchor stands in it.
            unsafe {
                match self.anchor {
                    Some(anchor) => mlirBlockInsertOwnedOperationBefore(block.0, anchor.0, op.0),
                    None => mlirBlockAppendOwnedOperation(block.0, op.0),
                }
            }
        }
        op
    }

    /// An operation with one result.
    pub fn value(&mut self, name: &str, operands: &[Value], result: Ty, attrs: &[Named]) -> Value {
        let op = self.op(name, operands, &[result], attrs);
        self.result(op, 0)
    }

    pub fn result(&self, op: Op, n: usize) -> Value {
        // SAFETY: the operation is alive and has that result.
        unsafe { Value(mlirOperationGetResult(op.0, n as isize)) }
    }

    /// Appends an operation with one region to the module, or to `parent`. The region has no block, or `entry`.
    pub fn top_op(&mut self, name: &str, attrs: &[Named], entry: Option<Block>) -> Op {
        self.op_in(self.top, name, attrs, entry)
    }

    /// Appends an operation with one region to a block.
    pub fn op_in(&mut self, parent: Block, name: &str, attrs: &[Named], entry: Option<Block>) -> Op {
        // SAFETY: the region takes the block, the operation the region, the parent block the operation.
        unsafe {
            let region = mlirRegionCreate();
            if let Some(entry) = entry {
                mlirRegionAppendOwnedBlock(region, entry.0);
            }
            let op = self.create(name, &[], &[], attrs, &[], &[region]);
            mlirBlockAppendOwnedOperation(parent.0, op.0);
            op
        }
    }

    pub fn set_attr(&self, op: Op, name: &str, attr: Attr) {
        // SAFETY: the operation is alive.
        unsafe { mlirOperationSetAttributeByName(op.0, text(name), attr.0) }
    }

    pub fn get_attr(&self, op: Op, name: &str) -> Option<Attr> {
        // SAFETY: the operation is alive; a null attribute means that there is none.
        let attr = unsafe { mlirOperationGetAttributeByName(op.0, text(name)) };
        (!attr.ptr.is_null()).then_some(Attr(attr))
    }

    pub fn module_op(&self) -> Op {
        // SAFETY: the module is alive.
        unsafe { Op(mlirModuleGetOperation(self.module)) }
    }

    /// From now on operations go before `op`, until [`Self::end_insertion`].
    pub fn begin_before(&mut self, op: Op) {
        self.block = Some(self.parent_block(op));
        self.anchor = Some(op);
    }

    /// From now on operations go to the beginning of `block`, which is not empty.
    pub fn begin_at(&mut self, block: Block) {
        // SAFETY: the block is alive; a null operation means that it is empty.
        let first = unsafe { mlirBlockGetFirstOperation(block.0) };
        self.block = Some(block);
        self.anchor = (!first.ptr.is_null()).then_some(Op(first));
    }

    pub fn end_insertion(&mut self) {
        self.block = None;
        self.anchor = None;
    }

    /// The first block of the region that an operation stands in.
    pub fn entry_of(&self, op: Op) -> Block {
        // SAFETY: the operation stands in a block of a region.
        unsafe { Block(mlirRegionGetFirstBlock(mlirBlockGetParentRegion(mlirOperationGetBlock(op.0)))) }
    }

    pub fn operands(&self, op: Op) -> Vec<Value> {
        // SAFETY: the operation is alive.
        unsafe {
            (0..mlirOperationGetNumOperands(op.0)).map(|i| Value(mlirOperationGetOperand(op.0, i))).collect()
        }
    }

    /// Removes an operation whose results nobody uses.
    pub fn erase(&self, op: Op) {
        // SAFETY: callers drop every handle of it.
        unsafe { mlirOperationDestroy(op.0) }
    }

    pub fn location_of(&self, op: Op) -> Location {
        // SAFETY: the operation is alive.
        unsafe { Location(mlirOperationGetLocation(op.0)) }
    }

    pub fn parent_block(&self, op: Op) -> Block {
        // SAFETY: the operation stands in a block.
        unsafe { Block(mlirOperationGetBlock(op.0)) }
    }

    /// All operations of a name, in order.
    pub fn find(&self, name: &str) -> Vec<Op> {
        struct Search<'a> {
            name: &'a str,
            found: Vec<Op>,
        }
        unsafe extern "C" fn visit(op: MlirOperation, data: *mut c_void) -> MlirWalkResult {
            // SAFETY: `data` is the `Search` below, which outlives the walk.
            unsafe {
                let search = &mut *data.cast::<Search>();
                let id = mlirIdentifierStr(mlirOperationGetName(op));
                let name = std::slice::from_raw_parts(id.data.cast::<u8>(), id.length);
                if name == search.name.as_bytes() {
                    search.found.push(Op(op));
                }
            }
            MlirWalkResult_MlirWalkResultAdvance
        }
        let mut search = Search { name, found: Vec::new() };
        // SAFETY: the callback does not change the module.
        unsafe {
            mlirOperationWalk(
                self.module_op().0,
                Some(visit),
                (&raw mut search).cast(),
                MlirWalkOrder_MlirWalkPreOrder,
            );
        }
        search.found
    }

    // --- whole module

    /// What MLIR said so far.
    pub fn take_messages(&self) -> String {
        self.messages.borrow_mut().drain(..).collect::<Vec<_>>().join("\n")
    }

    /// Checks the module; the words of the verifier where it does not accept.
    pub fn verify(&self) -> Result<(), String> {
        // SAFETY: the module is alive.
        if unsafe { mlirOperationVerify(self.module_op().0) } {
            return Ok(());
        }
        Err(format!("MLIR's verifier does not accept the module: {}", self.take_messages()))
    }

    /// The module as text. With locations where `debug`.
    pub fn print(&self, debug: bool) -> String {
        unsafe extern "C" fn append(part: MlirStringRef, data: *mut c_void) {
            // SAFETY: `data` is the vector below; `part` is valid during the call.
            unsafe {
                (*data.cast::<Vec<u8>>())
                    .extend_from_slice(std::slice::from_raw_parts(part.data.cast(), part.length));
            }
        }
        let mut out: Vec<u8> = Vec::new();
        // SAFETY: flags are destroyed after use, the buffer outlives the call.
        unsafe {
            let flags = mlirOpPrintingFlagsCreate();
            if debug {
                mlirOpPrintingFlagsEnableDebugInfo(flags, true, false);
            }
            mlirOperationPrintWithFlags(self.module_op().0, flags, Some(append), (&raw mut out).cast());
            mlirOpPrintingFlagsDestroy(flags);
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}
