//! From the finished module to LLVM IR, assembly and objects, and the short list of passes before it.
//!
//! Every failure is a bug of the compiler: the messages go to the report as they are.

use super::{Cx, ffi};
use melior::pass::{Pass, PassManager};
use mlir_sys::*;
use std::ffi::{CStr, CString, c_char};
use std::ptr::null_mut;
use std::sync::Once;
use std::time::Instant;

/// What code is made for.
pub struct Target<'a> {
    pub triple: &'a str,
    pub cpu: &'a str,
    /// As LLVM's tools take them: `+ptx80`.
    pub features: &'a str,
    /// 0, 2 or 3.
    pub opt_level: u8,
}

/// What [`Emitter::emit`] gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Object,
    Assembly,
    LlvmText,
}

/// A target machine, and the times of what was done with it.
pub struct Emitter {
    machine: ffi::Raw,
    triple: CString,
    opt_level: u8,
    /// Stage and microseconds.
    pub timings: Vec<(String, u64)>,
}

/// LLVM's message as text.
fn message(raw: *mut c_char) -> String {
    if raw.is_null() {
        return String::from("no message");
    }
    // SAFETY: LLVM gives NUL-terminated strings that are ours to free.
    unsafe {
        let text = CStr::from_ptr(raw).to_string_lossy().into_owned();
        LLVMDisposeMessage(raw);
        text
    }
}

fn initialise(triple: &str) {
    static X86: Once = Once::new();
    static ARM: Once = Once::new();
    static AMD: Once = Once::new();
    static NVIDIA: Once = Once::new();
    // SAFETY: initialisation functions take nothing; each runs once.
    unsafe {
        if triple.starts_with("aarch64") {
            ARM.call_once(|| {
                ffi::LLVMInitializeAArch64TargetInfo();
                ffi::LLVMInitializeAArch64Target();
                ffi::LLVMInitializeAArch64TargetMC();
                ffi::LLVMInitializeAArch64AsmPrinter();
            });
        } else if triple.starts_with("amdgcn") {
            AMD.call_once(|| {
                ffi::LLVMInitializeAMDGPUTargetInfo();
                ffi::LLVMInitializeAMDGPUTarget();
                ffi::LLVMInitializeAMDGPUTargetMC();
                ffi::LLVMInitializeAMDGPUAsmPrinter();
            });
        } else if triple.starts_with("nvptx") {
            NVIDIA.call_once(|| {
                ffi::LLVMInitializeNVPTXTargetInfo();
                ffi::LLVMInitializeNVPTXTarget();
                ffi::LLVMInitializeNVPTXTargetMC();
                ffi::LLVMInitializeNVPTXAsmPrinter();
            });
        } else {
            X86.call_once(|| {
                ffi::LLVMInitializeX86TargetInfo();
                ffi::LLVMInitializeX86Target();
                ffi::LLVMInitializeX86TargetMC();
                ffi::LLVMInitializeX86AsmPrinter();
            });
        }
    }
}

impl Emitter {
    pub fn new(target: &Target) -> Result<Self, String> {
        let start = Instant::now();
        initialise(target.triple);
        let triple = CString::new(target.triple).map_err(|e| e.to_string())?;
        let cpu = CString::new(target.cpu).map_err(|e| e.to_string())?;
        let features = CString::new(target.features).map_err(|e| e.to_string())?;
        let level = i32::from(target.opt_level.min(3));
        // SAFETY: strings are NUL-terminated and outlive the calls; out parameters are valid.
        let machine = unsafe {
            let mut found = null_mut();
            let mut error = null_mut();
            if ffi::LLVMGetTargetFromTriple(triple.as_ptr(), &mut found, &mut error) != 0 {
                return Err(format!("LLVM has no target for {}: {}", target.triple, message(error)));
            }
            // Relocation model 2: position independent. Code model 0: default.
            ffi::LLVMCreateTargetMachine(found, triple.as_ptr(), cpu.as_ptr(), features.as_ptr(), level, 2, 0)
        };
        if machine.is_null() {
            return Err(format!("LLVM makes no target machine for {} {}", target.triple, target.cpu));
        }
        if level == 0 {
            // SAFETY: the machine is alive.
            unsafe { ffi::LLVMSetTargetMachineFastISel(machine, 1) };
        }
        if target.triple.starts_with("amdgcn") {
            // With what LLVM says of registers and occupancy behind each kernel.
            // SAFETY: the machine is alive.
            unsafe { ffi::LLVMSetTargetMachineAsmVerbosity(machine, 1) };
        }
        let mut emitter = Self { machine, triple, opt_level: target.opt_level, timings: Vec::new() };
        emitter.time("target machine", start);
        Ok(emitter)
    }

    fn time(&mut self, what: &str, since: Instant) {
        self.timings.push((what.to_string(), since.elapsed().as_micros() as u64));
    }

    /// LLVM's data layout string of the target.
    pub fn data_layout(&self) -> String {
        // SAFETY: the machine is alive; the string is ours to free.
        unsafe { message(ffi::LLVMCopyStringRepOfTargetData(ffi::LLVMCreateTargetDataLayout(self.machine))) }
    }

    /// Gives functions their debug scopes, so that locations become line tables.
    pub fn add_debug_scopes(&mut self, cx: &Cx) -> Result<(), String> {
        let start = Instant::now();
        let manager = PassManager::new(&cx.context);
        manager.enable_verifier(cfg!(debug_assertions));
        // SAFETY: the function creates a pass that the manager takes.
        unsafe { manager.add_pass(Pass::from_raw_fn(mlirCreateLLVMDIScopeForLLVMFuncOpPass)) };
        // SAFETY: the module is alive and of this context.
        let result = unsafe { mlirPassManagerRunOnOp(manager.to_raw(), cx.module_op().0) };
        self.time("ensure-debug-info-scope-on-llvm-func", start);
        if result.value == 0 {
            return Err(format!("debug scopes: {}", cx.take_messages()));
        }
        Ok(())
    }

    /// Translates, optimises and emits the module, which must be all of the `llvm` dialect.
    pub fn emit(&mut self, cx: &Cx, form: Form) -> Result<Vec<u8>, String> {
        let start = Instant::now();
        // SAFETY: the context is alive; a translation registered twice is ignored.
        let module = unsafe {
            ffi::register_builtin_translation(cx.raw.ptr);
            ffi::register_llvm_translation(cx.raw.ptr);
            let context = LLVMContextCreate();
            LLVMContextSetDiscardValueNames(context, 1);
            mlirTranslateModuleToLLVMIR(cx.module_op().0, context)
        };
        self.time("translate", start);
        if module.is_null() {
            // Translation says little; the verifier, which a release does not run on each program, says what is wrong.
            let said = cx.take_messages();
            let verdict = cx.verify().err().unwrap_or_default();
            return Err(format!("no LLVM IR: {said} {verdict}"));
        }
        // SAFETY: the module is alive.
        unsafe { LLVMSetTarget(module, self.triple.as_ptr()) };
        self.optimise(module.cast())?;
        if form == Form::LlvmText {
            // SAFETY: the module is alive; the string is ours to free.
            return Ok(message(unsafe { LLVMPrintModuleToString(module) }).into_bytes());
        }
        self.generate(module.cast(), form)
    }

    /// Optimises a module given as LLVM IR and emits it in these forms, one after the other.
    pub fn emit_text(&mut self, text: &str, forms: &[Form]) -> Result<Vec<Vec<u8>>, String> {
        let start = Instant::now();
        let mut module = null_mut();
        let mut error = null_mut();
        // SAFETY: the buffer is a copy that parsing takes; out parameters are valid.
        let failed = unsafe {
            let buffer = ffi::LLVMCreateMemoryBufferWithMemoryRangeCopy(
                text.as_ptr().cast(),
                text.len(),
                c"kernels".as_ptr(),
            );
            ffi::LLVMParseIRInContext(LLVMContextCreate().cast(), buffer, &mut module, &mut error)
        };
        self.time("parse", start);
        if failed != 0 {
            return Err(format!("LLVM IR of kernels does not parse: {}", message(error)));
        }
        self.optimise(module)?;
        forms
            .iter()
            .map(|&form| {
                // Code generation changes a module, so each form but the last one works on a copy.
                // SAFETY: the module is alive.
                let copy = unsafe { ffi::LLVMCloneModule(module) };
                self.generate(copy, form)
            })
            .collect()
    }

    fn optimise(&mut self, module: ffi::Raw) -> Result<(), String> {
        let passes = match self.opt_level {
            // Nothing but what makes the code shorter for the code generator.
            0 => return Ok(()),
            1 | 2 => c"default<O2>",
            _ => c"default<O3>",
        };
        let start = Instant::now();
        // SAFETY: module and machine are alive; the pipeline text is a constant.
        let error = unsafe {
            let options = ffi::LLVMCreatePassBuilderOptions();
            ffi::LLVMPassBuilderOptionsSetLoopVectorization(options, 1);
            ffi::LLVMPassBuilderOptionsSetSLPVectorization(options, 1);
            ffi::LLVMPassBuilderOptionsSetVerifyEach(options, 0);
            ffi::LLVMRunPasses(module, passes.as_ptr(), self.machine, options)
        };
        self.time("optimise", start);
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: taking the message frees the error.
        Err(format!("LLVM's passes: {}", message(unsafe { ffi::LLVMGetErrorMessage(error) })))
    }

    fn generate(&mut self, module: ffi::Raw, form: Form) -> Result<Vec<u8>, String> {
        let start = Instant::now();
        let kind = i32::from(form == Form::Object);
        let mut error = null_mut();
        let mut buffer = null_mut();
        // SAFETY: all handles are alive; the buffer is copied before anything else happens.
        let bytes = unsafe {
            let failed =
                ffi::LLVMTargetMachineEmitToMemoryBuffer(self.machine, module, kind, &mut error, &mut buffer);
            if failed != 0 {
                return Err(format!("LLVM's code generator: {}", message(error)));
            }
            let start = ffi::LLVMGetBufferStart(buffer).cast::<u8>();
            std::slice::from_raw_parts(start, ffi::LLVMGetBufferSize(buffer)).to_vec()
        };
        self.time("code generation", start);
        Ok(bytes)
    }
}
