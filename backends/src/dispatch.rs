//! The pass that turns each `gpu.launch_func` into a call of `clef_dispatch` with the descriptor that the lowering
//! made, and removes what stood for the kernels. Afterwards the module is of the `llvm` dialect only.
//!
//! Upstream's lowering of `gpu.launch_func` cannot carry scopes, signals or several agents.

use crate::lower::argument_word;
use crate::mlir::Cx;
use crate::mlir::ops::{Callee, Conv, FuncDef, Linkage, Tail};

/// Operands of a launch before the kernel's arguments: the grid and the block.
const GRID: usize = 6;

/// Lowers all dispatches of the module.
pub fn lower_dispatches(cx: &mut Cx) {
    let launches = cx.find("gpu.launch_func");
    let t = cx.ty;
    if !launches.is_empty() {
        cx.set_location(cx.glue_location("clefc.runtime"));
        let def = FuncDef {
            name: "clef_dispatch",
            params: &[t.ptr, t.ptr],
            ret: t.void,
            conv: Conv::C,
            linkage: Linkage::External,
            flags: &[],
            arg_attrs: None,
            res_attrs: None,
            extra: &[],
        };
        cx.func(&def, false);
    }
    for launch in launches {
        let Some(descriptor) = cx.get_attr(launch, "clef.descriptor") else { continue };
        let operands = cx.operands(launch);
        let args = &operands[GRID.min(operands.len())..];
        cx.set_location(cx.location_of(launch));
        // The words are stored in a slot of the function's entry block, so that loops do not grow the stack.
        let entry = cx.entry_of(launch);
        cx.begin_at(entry);
        let one = cx.const_i32(1);
        let words = cx.array_type(t.i64, args.len());
        let slot = cx.alloca(words, one);
        cx.begin_before(launch);
        for (i, &v) in args.iter().enumerate() {
            let word = argument_word(cx, v);
            let place = cx.offset(slot, 8 * i as i64);
            cx.store(word, place);
        }
        let address = cx.value("llvm.mlir.addressof", &[], t.ptr, &[("global_name", descriptor)]);
        cx.call(Callee::Symbol("clef_dispatch"), &[address, slot], t.void, Conv::C, Tail::No);
        cx.end_insertion();
        cx.erase(launch);
    }
    for module in cx.find("gpu.module") {
        cx.erase(module);
    }
}
