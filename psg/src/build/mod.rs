//! Construction of the graph: typed tree in, monomorphic functions out.
//!
//! # What it does
//!
//! Starting at the roots (entry point, top-level effects, public functions of a library, kernels) every reachable
//! function is lowered once for each combination of type arguments ([`types`]) and of known functions passed to it
//! ([`shape`]). Matches become decision trees ([`matching`], [`decide`]), structural operations become functions
//! ([`structural`], [`show`]).
//!
//! # Functions as values
//!
//! A function value of type `a -> b -> c` is always a closure of *maximal arity* (here two), whatever the arity with
//! which its code was written; creating a closure from a function that returns a function makes a wrapper. An effect
//! between the arguments of a curried function value therefore happens when the last argument arrives. Functions that
//! are known where they are used ([`shape::Shape`]) never become closures: calls to them are direct, captures travel
//! as extra last arguments, and a function that gets a known function as argument is cloned for it.
//!
//! # What it promises
//!
//! The result passes [`crate::verify`] if the program had no error diagnostics. Work is linear in the size of the
//! monomorphic program. Names and order are deterministic. It does not look at buffers, effects or reference counts.

mod call;
mod control;
mod decide;
mod expr;
mod format;
mod free;
mod func;
mod intrinsic;
mod matching;
mod numeric;
mod prim;
mod roots;
mod shape;
mod show;
mod structural;
#[cfg(test)]
mod tests;
mod types;

use crate::graph::{FileInfo, Psg};
use crate::id::{ExternId, FuncId, GlobalId, KernelId, TypeId};
use clef_frontend::deep;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::typed::{DefId, DefKind, Program};
use func::Fx;
use rustc_hash::FxHashMap;
use shape::{FuncKey, ShapeId, Shapes};
use std::collections::VecDeque;
use std::rc::Rc;
use structural::Structural;
use types::TypeCx;
use ustr::Ustr;

/// How many copies construction may make.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The versions of one function for known functions passed to it. Calls beyond them pass a closure, so that a
    /// program with a thousand lambdas does not carry `List.map` a thousand times. [`EVERY_VERSION`] for no limit.
    pub versions: u32,
}

/// No limit: what a program with kernels or foreign functions needs. Neither can be given a closure, and the plan of
/// fences sees through calls of known functions only.
pub const EVERY_VERSION: u32 = u32::MAX;

impl Default for Options {
    fn default() -> Self {
        Self { versions: EVERY_VERSION }
    }
}

/// Builds the graph of a program without error diagnostics.
pub fn build(program: &Program, files: Vec<FileInfo>, options: Options) -> (Psg, Vec<Diagnostic>) {
    deep::run(|| Builder::new(program, files, options).run()).unwrap_or_else(|error| {
        let text = format!("the compiler could not start a thread: {error}");
        (Psg::default(), vec![Diagnostic::without_place(clef_frontend::codes::BUILD_LIMIT, text)])
    })
}

/// A function that has an id and whose body is still to be made.
enum Work {
    Func(FuncKey, FuncId),
    /// The code of a closure: maximal arity, calls the known function.
    Wrapper(ShapeId, FuncId),
    Structural(Structural, TypeId, FuncId),
    /// The initial value of a global, needed because something reads it.
    Init(DefId),
}

pub(crate) struct Builder<'p> {
    prog: &'p Program,
    psg: Psg,
    /// Versions that each function may have for known functions passed to it, and how many it has.
    max_versions: u32,
    versions: FxHashMap<ShapeId, u32>,
    diags: Vec<Diagnostic>,
    queue: VecDeque<Work>,
    types: TypeCx,
    shapes: Shapes,
    funcs: FxHashMap<FuncKey, FuncId>,
    wrappers: FxHashMap<ShapeId, FuncId>,
    structural: FxHashMap<(Structural, TypeId), FuncId>,
    globals: FxHashMap<DefId, GlobalId>,
    externs: FxHashMap<(DefId, Rc<[TypeId]>), ExternId>,
    kernels: FxHashMap<DefId, KernelId>,
    /// How often a function's name was asked for.
    names: FxHashMap<Ustr, u32>,
    infos: Vec<Option<Rc<free::BodyInfo>>>,
    /// Bodies of the initialisers that are needed, by place in [`Program::inits`].
    init_bodies: FxHashMap<DefId, crate::graph::Region>,
    /// Definitions that have an initialiser to run; true where it was asked for.
    inits: FxHashMap<DefId, bool>,
    fx: Fx<'p>,
}

impl<'p> Builder<'p> {
    fn new(prog: &'p Program, files: Vec<FileInfo>, options: Options) -> Self {
        let needs_all =
            prog.defs.iter().any(|def| def.kernel.is_some() || matches!(def.kind, DefKind::Extern(_)));
        let mut psg = Psg { files, ..Psg::default() };
        let types = TypeCx::new(&mut psg, prog.types.types.len());
        Self {
            prog,
            max_versions: if needs_all { EVERY_VERSION } else { options.versions },
            versions: FxHashMap::default(),
            diags: Vec::new(),
            queue: VecDeque::new(),
            types,
            shapes: Shapes::default(),
            funcs: FxHashMap::default(),
            wrappers: FxHashMap::default(),
            structural: FxHashMap::default(),
            globals: FxHashMap::default(),
            externs: FxHashMap::default(),
            kernels: FxHashMap::default(),
            names: FxHashMap::default(),
            infos: vec![None; prog.defs.len()],
            init_bodies: FxHashMap::default(),
            inits: prog.inits.iter().map(|def| (*def, false)).collect(),
            fx: Fx::default(),
            psg,
        }
    }

    fn run(mut self) -> (Psg, Vec<Diagnostic>) {
        self.roots();
        self.drain();
        self.finish_init();
        (self.psg, self.diags)
    }

    fn drain(&mut self) {
        while let Some(work) = self.queue.pop_front() {
            match work {
                Work::Func(key, func) => self.lower_func(&key, func),
                Work::Wrapper(shape, func) => self.lower_wrapper(shape, func),
                Work::Structural(kind, ty, func) => self.lower_structural(kind, ty, func),
                Work::Init(def) => self.lower_init(def),
            }
        }
    }

    /// The name, made unique by a number where it is taken.
    fn unique_name(&mut self, name: &str) -> Ustr {
        let base = Ustr::from(name);
        let count = self.names.entry(base).or_insert(0);
        *count += 1;
        if *count == 1 {
            return base;
        }
        let mut n = *count;
        loop {
            let candidate = Ustr::from(&format!("{name}#{n}"));
            if let std::collections::hash_map::Entry::Vacant(entry) = self.names.entry(candidate) {
                entry.insert(1);
                self.names.insert(base, n);
                return candidate;
            }
            n += 1;
        }
    }
}
