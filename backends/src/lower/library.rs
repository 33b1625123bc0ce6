//! Foreign functions of libraries that are loaded when they are first needed.
//!
//! Each has a variable with its address, null at first: the call in the source that finds it null asks the runtime,
//! which stops the program where there is no such library or function. The call itself is the one that a linked function
//! gets, through the address.

use super::Lower;
use crate::mlir::Value;
use crate::mlir::ops::{ICmp, Linkage};
use clef_psg::id::{ExternId, NodeId};
use clef_psg::job::RuntimeLibrary;

impl<'a> Lower<'a> {
    /// The library of a foreign function, if it is loaded at run time.
    fn runtime_library(&self, id: ExternId) -> Option<&'a RuntimeLibrary> {
        let name = self.psg.externs[id].library.as_str();
        self.options.libraries.iter().find(|l| l.is_named(name))
    }

    /// The address to call, or nothing where the linker resolves the name.
    pub(super) fn loaded_function(&mut self, node: NodeId, id: ExternId) -> Option<Value> {
        let library = self.runtime_library(id)?;
        let entry = self.psg.externs[id].entry;
        let t = self.cx.ty;
        let slot = self.loaded_slot(&library.name, &entry);
        let known = self.cx.load(t.ptr, slot);
        let null = self.cx.zero(t.ptr);
        let is_known = self.cx.icmp(ICmp::Ne, known, null);
        let (load, out) = (self.block(&[]), self.block(&[t.ptr]));
        let go = self.block(&[]);
        self.cx.cond_br(is_known, go, load, Some((1000, 1)));
        self.cx.set_block(go);
        self.cx.br(out, &[known]);
        self.cx.set_block(load);
        let texts = [
            library.name.clone(),
            library.files.join("\n"),
            entry.to_string(),
            library.package.clone().unwrap_or_default(),
        ];
        let mut args = Vec::with_capacity(texts.len() + 1);
        for text in &texts {
            let symbol = self.c_string(text);
            args.push(self.cx.address_of(&symbol));
        }
        args.push(self.loc_of(node));
        let found = self.runtime_ptr("clef_library_symbol", &args);
        let slot = self.loaded_slot(&library.name, &entry);
        self.cx.store(found, slot);
        self.cx.br(out, &[found]);
        self.cx.set_block(out);
        Some(self.cx.arg(out, 0))
    }

    /// The variable that holds a function's address.
    fn loaded_slot(&mut self, library: &str, entry: &str) -> Value {
        let symbol = format!("clef.loaded.{library}.{entry}");
        let ptr = self.cx.ty.ptr;
        if self.declared.insert(symbol.clone())
            && let Some(init) = self.cx.global(&symbol, ptr, None, false, Linkage::Internal)
        {
            let here = self.cx.block();
            self.cx.set_block(init);
            let null = self.cx.zero(ptr);
            self.cx.ret(Some(null));
            if let Some(block) = here {
                self.cx.set_block(block);
            }
        }
        self.cx.address_of(&symbol)
    }
}
