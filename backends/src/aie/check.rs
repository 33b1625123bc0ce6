//! A check of AIE modules that knows nothing of how they were made: a table of operations and types, and the array.
//!
//! Reads the pretty form line by line, one operation a line. Accepts only operations of its table, with operands that are
//! defined where they are used and have the types that the operation wants; tiles that XDNA2 has; object FIFOs whose
//! ends fit their use; DMA channels and memory that a tile has; transfers as long as their object. Does not prove that
//! the cores compute the right thing.

mod array;
mod table;
#[cfg(test)]
mod tests;

use array::Device;
use std::collections::{BTreeMap, HashMap};

/// Checks a module; an error names the line.
pub fn check(text: &str) -> Result<(), String> {
    let mut checker = Checker::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() {
            checker.line(line).map_err(|what| format!("line {}: {what}: `{line}`", number + 1))?;
        }
    }
    if checker.open.is_empty() { Ok(()) } else { Err("the module does not end".into()) }
}

/// What an open brace belongs to.
enum Open {
    Module,
    Device,
    Core,
    Sequence,
    /// A structured operation: what its regions yield, whether they did, and the result that follows.
    Structured {
        yields: Option<String>,
        done: bool,
        result: Option<String>,
        condition: bool,
    },
}

#[derive(Default)]
struct Checker {
    open: Vec<Open>,
    /// Types of values, by scope.
    scopes: Vec<HashMap<String, String>>,
    device: Device,
    /// Results of switches, by depth.
    switches: BTreeMap<usize, Option<String>>,
}

type Checked = Result<(), String>;

impl Checker {
    fn line(&mut self, line: &str) -> Checked {
        if let Some(rest) = line.strip_prefix('}') {
            return self.close(rest.trim());
        }
        let (result, operation) = match line.split_once(" = ") {
            Some((name, operation)) if name.starts_with('%') => (Some(name), operation),
            _ => (None, line),
        };
        let end = operation.find([' ', '(']).unwrap_or(operation.len());
        let (name, rest) = operation.split_at(end);
        let rest = rest.trim();
        if self.open.is_empty() != (name == "module") {
            return Err("outside of a module".into());
        }
        match name {
            "module" | "aie.device" | "aie.core" | "aie.runtime_sequence" => self.part(name, result, rest),
            _ if name.starts_with("aie") => {
                let ty = self.array_operation(name, rest)?;
                self.define(result, ty)
            }
            "scf.for" | "scf.if" | "scf.while" | "scf.index_switch" | "case" | "default" | "scf.yield"
            | "scf.condition(" | "scf.condition" => self.structured(name, result, rest),
            _ => {
                if !self.inside_core() {
                    return Err("only a core computes".into());
                }
                let ty = table::operation(name, rest, &|value| self.type_of(value))?;
                self.define(result, ty)
            }
        }
    }

    fn inside_core(&self) -> bool {
        self.open.iter().any(|o| matches!(o, Open::Core))
    }

    fn type_of(&self, value: &str) -> Result<String, String> {
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(value.trim()));
        found.cloned().ok_or_else(|| format!("`{}` is not defined here", value.trim()))
    }

    fn want(&self, value: &str, ty: &str) -> Checked {
        let has = self.type_of(value)?;
        if has == ty { Ok(()) } else { Err(format!("`{value}` is of type {has}, not {ty}")) }
    }

    fn define(&mut self, result: Option<&str>, ty: Option<String>) -> Checked {
        match (result, ty) {
            (Some(name), Some(ty)) => {
                if self.type_of(name).is_ok() {
                    return Err(format!("`{name}` is defined twice"));
                }
                if let Some(scope) = self.scopes.last_mut() {
                    scope.insert(name.to_owned(), ty);
                }
                Ok(())
            }
            (None, None) => Ok(()),
            (Some(_), None) => Err("the operation has no value".into()),
            (None, Some(_)) => Err("the operation's value has no name".into()),
        }
    }

    fn enter(&mut self, open: Open) {
        self.open.push(open);
        self.scopes.push(HashMap::new());
    }

    // --- parts of a module

    fn part(&mut self, name: &str, result: Option<&str>, rest: &str) -> Checked {
        let inner = rest.strip_suffix('{').ok_or("no body")?.trim();
        match (name, self.open.last()) {
            ("module", None) if inner.is_empty() => self.enter(Open::Module),
            ("aie.device", Some(Open::Module)) => {
                let symbol = inner.strip_prefix("(npu2) @").ok_or("a device that is not npu2")?;
                self.device.begin(symbol)?;
                self.enter(Open::Device);
            }
            ("aie.core", Some(Open::Device)) => {
                let tile = inner.strip_prefix('(').and_then(|t| t.strip_suffix(')')).ok_or("no tile")?;
                self.want(tile, "tile")?;
                self.device.open_core(tile)?;
                self.define(result, Some("core".into()))?;
                self.enter(Open::Core);
                return Ok(());
            }
            ("aie.runtime_sequence", Some(Open::Device)) => {
                let args = inner.strip_prefix('(').and_then(|t| t.strip_suffix(')')).ok_or("no arguments")?;
                self.enter(Open::Sequence);
                for arg in args.split(", ").filter(|a| !a.is_empty()) {
                    let (name, ty) = arg.split_once(": ").ok_or("an argument without a type")?;
                    table::memref(ty)?;
                    self.define(Some(name), Some(ty.to_owned()))?;
                }
            }
            _ => return Err("not allowed here".into()),
        }
        if result.is_some() { Err("the operation has no value".into()) } else { Ok(()) }
    }

    fn close(&mut self, rest: &str) -> Checked {
        self.scopes.pop();
        self.switches.retain(|&depth, _| depth < self.open.len());
        match (self.open.pop(), rest) {
            (None, _) => Err("nothing to close".into()),
            (Some(Open::Module | Open::Sequence), "") => Ok(()),
            (Some(Open::Device), "") => self.device.end(),
            (Some(Open::Core), attributes) => self.device.close_core(attributes),
            (Some(Open::Structured { yields, done, result, condition }), rest) => {
                if yields.is_some() && !done {
                    return Err("a region without a value".into());
                }
                match rest {
                    "" if condition => Err("a loop without a body".into()),
                    "" => self.define(result.as_deref(), yields.filter(|_| result.is_some())),
                    "else {" if !condition => {
                        self.enter(Open::Structured { yields, done: false, result, condition });
                        Ok(())
                    }
                    "do {" if condition => {
                        self.enter(Open::Structured { yields: None, done: false, result, condition: false });
                        Ok(())
                    }
                    _ => Err("not understood".into()),
                }
            }
            _ => Err("not understood".into()),
        }
    }

    // --- structured control

    fn structured(&mut self, name: &str, result: Option<&str>, rest: &str) -> Checked {
        if !self.inside_core() {
            return Err("only a core computes".into());
        }
        let plain = |yields, result, condition| Open::Structured { yields, done: false, result, condition };
        match name {
            "scf.for" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [counter, "=", low, "to", high, "step", step, "{"] = words.as_slice() else {
                    return Err("a strange loop".into());
                };
                for bound in [low, high, step] {
                    self.want(bound, "index")?;
                }
                self.enter(plain(None, None, false));
                self.define(Some(counter), Some("index".into()))
            }
            "scf.if" => {
                let head = rest.strip_suffix('{').ok_or("no body")?.trim();
                let (condition, ty) = match head.split_once(" -> ") {
                    Some((c, ty)) => (c, Some(ty.trim_matches(['(', ')']).to_owned())),
                    None => (head, None),
                };
                self.want(condition, "i1")?;
                if result.is_some() != ty.is_some() {
                    return Err("value and type do not go together".into());
                }
                self.enter(plain(ty, result.map(str::to_owned), false));
                Ok(())
            }
            "scf.while" if rest == ": () -> () {" => {
                self.enter(plain(None, None, true));
                Ok(())
            }
            "scf.index_switch" => {
                let (on, ty) = rest.split_once(" -> ").map_or((rest, None), |(o, t)| (o, Some(t.to_owned())));
                self.want(on, "index")?;
                self.switches.insert(self.open.len(), ty.clone());
                self.define(result, ty)
            }
            "case" | "default" => {
                let ty = self.switches.get(&self.open.len()).cloned().ok_or("no switch")?;
                self.enter(plain(ty, None, false));
                Ok(())
            }
            "scf.yield" => self.yields(rest),
            _ => {
                let value = rest.trim_matches(['(', ')']);
                self.want(value, "i1")?;
                match self.open.last() {
                    Some(Open::Structured { condition: true, .. }) => Ok(()),
                    _ => Err("no loop".into()),
                }
            }
        }
    }

    fn yields(&mut self, rest: &str) -> Checked {
        let given = match rest.split_once(" : ") {
            Some((value, ty)) => {
                self.want(value, ty)?;
                Some(ty.to_owned())
            }
            None => None,
        };
        match self.open.last_mut() {
            Some(Open::Structured { yields, done, .. }) if *yields == given => {
                *done = true;
                Ok(())
            }
            Some(Open::Structured { yields, .. }) => {
                Err(format!("yields {given:?} where {yields:?} is wanted"))
            }
            _ => Err("nothing yields here".into()),
        }
    }

    // --- tiles, FIFOs, transfers

    fn array_operation(&mut self, name: &str, rest: &str) -> Result<Option<String>, String> {
        let sequence = matches!(self.open.last(), Some(Open::Sequence));
        let device = matches!(self.open.last(), Some(Open::Device));
        match name {
            "aie.tile" if device => {
                self.device.tile(rest)?;
                Ok(Some("tile".into()))
            }
            "aie.objectfifo" if device => self.device.fifo(rest, &self.scopes).map(|()| None),
            "aie.objectfifo.acquire" if self.inside_core() => self.device.acquire(rest).map(Some),
            "aie.objectfifo.subview.access" if self.inside_core() => {
                let (view, types) = rest.split_once("[0] : ").ok_or("not the first object")?;
                let (from, to) = types.split_once(" -> ").ok_or("no result type")?;
                self.want(view, from)?;
                if from != format!("!aie.objectfifosubview<{to}>") {
                    return Err(format!("an object of {from} is no {to}"));
                }
                Ok(Some(to.to_owned()))
            }
            "aie.objectfifo.release" if self.inside_core() => self.device.release(rest).map(|()| None),
            "aie.end" if rest.is_empty() && matches!(self.open.last(), Some(Open::Core)) => Ok(None),
            "aiex.npu.dma_memcpy_nd" if sequence => {
                let (arg, _) =
                    rest.trim_start_matches('(').split_once('[').ok_or("a transfer of no argument")?;
                let (_, ty) = rest.rsplit_once(" : ").ok_or("no type")?;
                self.want(arg, ty)?;
                self.device.transfer(rest, ty).map(|()| None)
            }
            "aiex.npu.dma_wait" if sequence => self.device.wait(rest).map(|()| None),
            _ => Err(format!("the operation {name} is not known here")),
        }
    }
}
