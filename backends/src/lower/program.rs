//! The whole program: globals, functions, closures, glue, and `main`.

use super::memory::HEAP;
use super::{Current, Lower};
use crate::mlir::ops::{Callee, Conv, FuncDef, Linkage, Tail};
use crate::mlir::{Ty, Value};
use clef_psg::id::FuncId;

impl Lower<'_> {
    pub(super) fn program(&mut self) {
        self.plan_functions();
        self.plan_sites();
        let psg = self.psg;
        self.cx.set_location(self.cx.glue_location("clefc.globals"));
        for (id, global) in psg.globals.iter() {
            let Some(ty) = self.types[global.ty] else { continue };
            let symbol = self.global_symbol(id);
            if let Some(init) = self.cx.global(&symbol, ty, None, false, Linkage::Internal) {
                self.cx.set_block(init);
                let zero = self.cx.zero(ty);
                self.cx.ret(Some(zero));
            }
        }
        for id in psg.funcs.ids() {
            self.define_func(id);
        }
        self.define_kernels();
        self.define_program_data();
        for func in self.callbacks.clone() {
            self.define_callback(func);
        }
        let closures = self.closure_functions();
        for (tag, &func) in closures.iter().enumerate() {
            self.define_closure(func, tag as u32);
        }
        if self.has_main() {
            self.define_main();
        }
        for &root in &psg.roots {
            self.define_root(root);
        }
        self.define_closure_drops();
        self.define_glue();
        self.define_dispatch_data();
    }

    /// Whether the program has a C `main`; a library has none.
    pub(super) fn has_main(&self) -> bool {
        let psg = self.psg;
        psg.roots.is_empty() || psg.entry.is_some()
    }

    fn open_c_function(&mut self, name: &str, params: &[Ty], ret: Ty) -> Vec<Value> {
        let def = FuncDef {
            name,
            params,
            ret,
            conv: Conv::C,
            linkage: Linkage::External,
            flags: &[],
            arg_attrs: None,
            res_attrs: None,
            extra: &[],
        };
        let (_, entry) = self.cx.func(&def, true);
        self.current = Current { entry, ..Default::default() };
        match entry {
            Some(entry) => {
                self.cx.set_block(entry);
                (0..params.len()).map(|i| self.cx.arg(entry, i)).collect()
            }
            None => Vec::new(),
        }
    }

    fn call_clef(&mut self, func: FuncId, args: &[Value]) -> Option<Value> {
        let facts = self.funcs[func].clone();
        let ret = self.ret_type(self.psg.funcs[func].ret);
        self.cx.call(Callee::Symbol(&facts.symbol), args, ret, facts.conv, Tail::No)
    }

    /// C's `main`: start of the runtime, initialisation, the entry point, the end.
    fn define_main(&mut self) {
        let psg = self.psg;
        let span = psg.entry.or(psg.init).map(|f| psg.funcs[f].span);
        let location = match span {
            Some(span) => self.location_at(span),
            None => self.cx.glue_location("clefc.main"),
        };
        self.cx.set_location(location);
        let t = self.cx.ty;
        let args = self.open_c_function("main", &[t.i32, t.ptr], t.i32);
        self.runtime("clef_start", &args, t.void);
        self.find_heap();
        if let Some(init) = psg.init {
            self.call_clef(init, &[]);
        }
        let mut code = None;
        if let Some(entry) = psg.entry {
            let takes_args =
                psg.funcs[entry].params.first().is_some_and(|&p| self.types[psg.nodes[p].ty].is_some());
            let list = if takes_args { vec![self.runtime_ptr("clef_args", &args)] } else { Vec::new() };
            code = self.call_clef(entry, &list);
            // The entry point borrowed its arguments.
            if let (Some(&args), Some(&param)) = (list.first(), psg.funcs[entry].params.first()) {
                self.drop_value(args, psg.nodes[param].ty);
            }
        }
        let code = code.unwrap_or_else(|| self.cx.const_i32(0));
        let status = self.runtime("clef_finish", &[code], t.i32);
        self.cx.ret(status);
        self.current = Current::default();
    }

    /// Remembers the main thread's heap, for allocation in place.
    fn find_heap(&mut self) {
        let ptr = self.cx.ty.ptr;
        if let Some(init) = self.cx.global(HEAP, ptr, None, false, Linkage::Internal) {
            let here = self.cx.block();
            self.cx.set_block(init);
            let null = self.cx.zero(ptr);
            self.cx.ret(Some(null));
            if let Some(block) = here {
                self.cx.set_block(block);
            }
        }
        let heap = self.runtime_ptr("clef_heap", &[]);
        let place = self.cx.address_of(HEAP);
        self.cx.store(heap, place);
    }

    /// The C function of an exported function of a library.
    fn define_root(&mut self, func: FuncId) {
        let psg = self.psg;
        let location = self.location_at(psg.funcs[func].span);
        self.cx.set_location(location);
        let name = psg.funcs[func].name.replace('.', "_");
        let params = self.param_types(func);
        let ret = self.ret_type(psg.funcs[func].ret);
        let args = self.open_c_function(&name, &params, ret);
        let result = self.call_clef(func, &args);
        self.cx.ret(result);
        self.current = Current::default();
    }
}
