//! Functions of LLVM's C API that mlir-sys does not declare, and two of MLIR's C++ API that its C API lacks.
//!
//! Signatures are those of llvm-c/{Target,TargetMachine,Transforms/PassBuilder,Error,Analysis}.h of LLVM 22.

use std::ffi::{c_char, c_int, c_void};

pub type Raw = *mut c_void;

unsafe extern "C" {
    pub fn LLVMInitializeX86TargetInfo();
    pub fn LLVMInitializeX86Target();
    pub fn LLVMInitializeX86TargetMC();
    pub fn LLVMInitializeX86AsmPrinter();
    pub fn LLVMInitializeAArch64TargetInfo();
    pub fn LLVMInitializeAArch64Target();
    pub fn LLVMInitializeAArch64TargetMC();
    pub fn LLVMInitializeAArch64AsmPrinter();
    pub fn LLVMInitializeAMDGPUTargetInfo();
    pub fn LLVMInitializeAMDGPUTarget();
    pub fn LLVMInitializeAMDGPUTargetMC();
    pub fn LLVMInitializeAMDGPUAsmPrinter();
    pub fn LLVMInitializeNVPTXTargetInfo();
    pub fn LLVMInitializeNVPTXTarget();
    pub fn LLVMInitializeNVPTXTargetMC();
    pub fn LLVMInitializeNVPTXAsmPrinter();
    pub fn LLVMCloneModule(module: Raw) -> Raw;
    pub fn LLVMParseIRInContext(context: Raw, buffer: Raw, out: *mut Raw, error: *mut *mut c_char) -> c_int;
    pub fn LLVMCreateMemoryBufferWithMemoryRangeCopy(
        data: *const c_char,
        size: usize,
        name: *const c_char,
    ) -> Raw;
    pub fn LLVMGetTargetFromTriple(triple: *const c_char, out: *mut Raw, error: *mut *mut c_char) -> c_int;
    pub fn LLVMCreateTargetMachine(
        target: Raw,
        triple: *const c_char,
        cpu: *const c_char,
        features: *const c_char,
        level: c_int,
        reloc: c_int,
        code_model: c_int,
    ) -> Raw;
    pub fn LLVMSetTargetMachineAsmVerbosity(machine: Raw, verbose: c_int);
    pub fn LLVMSetTargetMachineFastISel(machine: Raw, enable: c_int);
    pub fn LLVMCreateTargetDataLayout(machine: Raw) -> Raw;
    pub fn LLVMCopyStringRepOfTargetData(layout: Raw) -> *mut c_char;
    pub fn LLVMTargetMachineEmitToMemoryBuffer(
        machine: Raw,
        module: Raw,
        kind: c_int,
        error: *mut *mut c_char,
        out: *mut Raw,
    ) -> c_int;
    pub fn LLVMGetBufferStart(buffer: Raw) -> *const c_char;
    pub fn LLVMGetBufferSize(buffer: Raw) -> usize;
    pub fn LLVMCreatePassBuilderOptions() -> Raw;
    pub fn LLVMPassBuilderOptionsSetLoopVectorization(options: Raw, on: c_int);
    pub fn LLVMPassBuilderOptionsSetSLPVectorization(options: Raw, on: c_int);
    pub fn LLVMPassBuilderOptionsSetVerifyEach(options: Raw, on: c_int);
    pub fn LLVMRunPasses(module: Raw, passes: *const c_char, machine: Raw, options: Raw) -> Raw;
    pub fn LLVMGetErrorMessage(error: Raw) -> *mut c_char;

    // The C API registers the translations of all dialects or of none; these two are all that we use. Itanium mangling
    // of `void mlir::register{LLVM,Builtin}DialectTranslation(mlir::MLIRContext &)`; the argument is the context's
    // address, which is what `MlirContext` holds.
    #[link_name = "_ZN4mlir30registerLLVMDialectTranslationERNS_11MLIRContextE"]
    pub fn register_llvm_translation(context: *mut c_void);
    #[link_name = "_ZN4mlir33registerBuiltinDialectTranslationERNS_11MLIRContextE"]
    pub fn register_builtin_translation(context: *mut c_void);
}
