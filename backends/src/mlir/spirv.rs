//! SPIR-V binaries from `spirv.module` text: parse, verify, serialise through `gpu-module-to-binary`.
//!
//! It uses a context of its own, so that programs without GPU kernels never register the dialects that this needs.
//! Every failure is a bug of the compiler and carries MLIR's words for the report.

use super::text;
use melior::Context;
use melior::dialect::DialectRegistry;
use melior::pass::{Pass, PassManager};
use melior::utility::register_all_dialects;
use mlir_sys::*;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;

/// A module to serialise.
pub struct Source<'a> {
    pub name: &'a str,
    /// The `spirv.module` operation.
    pub text: &'a str,
    /// `#spirv.target_env<..>`.
    pub target_env: &'a str,
}

/// The binaries, in the order of the modules.
pub fn serialise(sources: &[Source]) -> Result<Vec<Vec<u8>>, String> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let registry = DialectRegistry::new();
    register_all_dialects(&registry);
    let context = Context::new_with_registry(&registry, false);
    let messages = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&messages);
    context.attach_diagnostic_handler(move |d| {
        sink.borrow_mut().push(format!("{}: {d}", d.location()));
        true
    });
    let said = |what: &str| format!("{what}: {}", messages.borrow().join("; "));
    let module = parse(&context, &wrapped(sources)).ok_or_else(|| said("a SPIR-V module does not parse"))?;
    let manager = PassManager::new(&context);
    // SAFETY: the function creates a pass that the manager takes.
    unsafe { manager.add_pass(Pass::from_raw_fn(mlirCreateGPUGpuModuleToBinaryPass)) };
    // SAFETY: manager and module are alive and of one context.
    let ran = unsafe { mlirPassManagerRunOnOp(manager.to_raw(), mlirModuleGetOperation(module)) };
    if ran.value == 0 {
        return Err(said("SPIR-V cannot be serialised"));
    }
    let binaries = binaries(module);
    // SAFETY: the module is ours and used no more.
    unsafe { mlirModuleDestroy(module) };
    if binaries.len() == sources.len() {
        Ok(binaries)
    } else {
        Err(format!("{} SPIR-V modules gave {} binaries", sources.len(), binaries.len()))
    }
}

/// Each module in a `gpu.module` that names its target.
fn wrapped(sources: &[Source]) -> String {
    let mut all = String::from("module attributes {gpu.container_module} {\n");
    for source in sources {
        let _ = write!(all, "gpu.module @{} [{}] {{\n{}}}\n", source.name, source.target_env, source.text);
    }
    all.push_str("}\n");
    all
}

fn parse(context: &Context, source: &str) -> Option<MlirModule> {
    // SAFETY: the context is alive; the string is read during the call only.
    let module = unsafe { mlirModuleCreateParse(context.to_raw(), text(source)) };
    (!module.ptr.is_null()).then_some(module)
}

/// The object of each `gpu.binary` at the top of the module.
fn binaries(module: MlirModule) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    // SAFETY: the module is alive; null ends the list of operations; attributes are checked for their kind by name.
    unsafe {
        let mut op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
        while !op.ptr.is_null() {
            let objects = mlirOperationGetAttributeByName(op, text("objects"));
            if !objects.ptr.is_null() && mlirArrayAttrGetNumElements(objects) > 0 {
                let bytes = mlirGPUObjectAttrGetObject(mlirArrayAttrGetElement(objects, 0));
                found.push(std::slice::from_raw_parts(bytes.data.cast::<u8>(), bytes.length).to_vec());
            }
            op = mlirOperationGetNextInBlock(op);
        }
    }
    found
}
