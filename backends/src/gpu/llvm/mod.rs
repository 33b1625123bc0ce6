//! AMDGPU and NVPTX forms of kernels: LLVM IR from the SPIR-V form of a launch.
//!
//! The SPIR-V form ([`super::spirv`]) has decided everything that matters on a GPU: vectors, unrolling, what the group
//! computes together, what a failed check records. Here its operations become LLVM's, one for one, so that all devices run
//! the same kernel. What differs is in [`target`] (identities, barriers, shuffles) and [`math`] (functions without a
//! device library).
//!
//! Arguments are the words of the runtime's parameter block, in its order: on AMDGPU the kernel argument segment has the
//! layout of the Vulkan push constants. An operation that is not known is a bug of the compiler, never dropped.

mod group;
mod math;
pub mod occupancy;
mod ops;
pub mod target;

use super::spirv::Module;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use target::{Chip, Family};

/// LLVM IR of launches, in one module for a chip.
pub fn module(chip: &Chip, launches: &[&Module], data_layout: &str) -> Result<String, String> {
    let mut declared = BTreeSet::new();
    let mut text =
        format!("target datalayout = \"{data_layout}\"\ntarget triple = \"{}\"\n\n", chip.triple());
    for (number, launch) in launches.iter().enumerate() {
        let mut body = Body::new(chip, &launch.name);
        body.prepare(&launch.text);
        for line in launch.text.lines() {
            body.line(line).map_err(|what| format!("{what} in `{}` of {}", line.trim(), launch.name))?;
        }
        body.finish(&mut text, number);
        declared.append(&mut body.declared);
    }
    for declaration in declared {
        let _ = writeln!(text, "{declaration}");
    }
    for (number, launch) in launches.iter().enumerate() {
        let [x, y, z] = size_of(&launch.text);
        let limits = match chip.family() {
            Family::Amd => format!(
                "\"amdgpu-flat-work-group-size\"=\"{0},{0}\" \"uniform-work-group-size\"=\"true\" \"target-cpu\"=\"{1}\"",
                x * y * z,
                chip.name
            ),
            Family::Nvidia => format!("\"nvvm.reqntid\"=\"{x},{y},{z}\""),
        };
        let _ = writeln!(text, "attributes #{number} = {{ nounwind convergent {limits} }}");
        let _ = writeln!(text, "!{number} = !{{i32 {x}, i32 {y}, i32 {z}}}");
    }
    if chip.family() == Family::Amd {
        let n = launches.len();
        let _ = writeln!(text, "!llvm.module.flags = !{{!{n}}}");
        let _ = writeln!(text, "!{n} = !{{i32 1, !\"amdhsa_code_object_version\", i32 500}}");
    }
    Ok(text)
}

/// Work-items of a workgroup, from the execution mode.
fn size_of(text: &str) -> [u32; 3] {
    let mut size = [1; 3];
    if let Some((_, rest)) = text.split_once("\"LocalSize\", ") {
        let listed = rest.split(" loc").next().unwrap_or_default();
        for (place, number) in size.iter_mut().zip(listed.split(", ")) {
            *place = number.trim().parse().unwrap_or(1);
        }
    }
    size
}

/// A function being translated.
struct Body<'a> {
    chip: &'a Chip,
    name: &'a str,
    /// What stands for a SPIR-V value: an operand of LLVM, or `push:3`, `input:gid`.
    values: FxHashMap<String, String>,
    /// Memory of variables, at the function's begin.
    allocas: String,
    text: String,
    /// Structured operations around this place, by number, for labels.
    scopes: Vec<u32>,
    next_scope: u32,
    next: u32,
    /// Words of the parameter block.
    words: usize,
    /// By symbol: LLVM's type.
    shared: FxHashMap<String, String>,
    shared_text: String,
    local: [u32; 3],
    declared: BTreeSet<String>,
}

impl<'a> Body<'a> {
    fn new(chip: &'a Chip, name: &'a str) -> Self {
        Self {
            chip,
            name,
            values: FxHashMap::default(),
            allocas: String::new(),
            text: String::new(),
            scopes: Vec::new(),
            next_scope: 0,
            next: 0,
            words: 0,
            shared: FxHashMap::default(),
            shared_text: String::new(),
            local: [1; 3],
            declared: BTreeSet::new(),
        }
    }

    fn finish(&mut self, out: &mut String, number: usize) {
        let arguments: Vec<String> = (0..self.words).map(|n| format!("i64 %arg{n}")).collect();
        let convention = match self.chip.family() {
            Family::Amd => "amdgpu_kernel",
            Family::Nvidia => "ptx_kernel",
        };
        let _ = writeln!(
            out,
            "{}define {convention} void @{}({}) #{number} !reqd_work_group_size !{number} {{\nentry:\n{}  br label %start\nstart:\n{}}}\n",
            self.shared_text,
            self.name,
            arguments.join(", "),
            self.allocas,
            self.text
        );
    }

    /// A line of the SPIR-V module.
    fn line(&mut self, line: &str) -> Result<(), String> {
        let line = line.rfind(" loc(").map_or(line, |at| &line[..at]).trim();
        if let Some(label) = line.strip_prefix('^').and_then(|l| l.strip_suffix(':')) {
            let label = self.label(label)?;
            let _ = writeln!(self.text, "{label}:");
            return Ok(());
        }
        match line {
            "" | "}" if self.scopes.is_empty() => return Ok(()),
            "}" => {
                self.scopes.pop();
                return Ok(());
            }
            _ => {}
        }
        let (result, operation) = match line.split_once(" = ") {
            Some((result, operation)) if result.starts_with('%') => (Some(result), operation),
            _ => (None, line),
        };
        let operation = operation.strip_prefix("spirv.").ok_or("an operation of another dialect")?;
        let (name, rest) = operation.split_once(' ').unwrap_or((operation, ""));
        self.operation(result, name, rest)
    }

    fn label(&self, label: &str) -> Result<String, String> {
        let scope = self.scopes.last().ok_or("a label outside of structured control")?;
        Ok(format!("{label}_{scope}"))
    }

    /// LLVM's operand for a SPIR-V value.
    fn value(&self, name: &str) -> Result<String, String> {
        self.values.get(name.trim()).cloned().ok_or_else(|| format!("`{name}` has no value"))
    }

    fn bind(&mut self, result: Option<&str>, operand: String) {
        if let Some(result) = result {
            self.values.insert(result.to_owned(), operand);
        }
    }

    /// An instruction with a value.
    fn put(&mut self, instruction: &str) -> String {
        self.next += 1;
        let name = format!("%t{}", self.next);
        let _ = writeln!(self.text, "  {name} = {instruction}");
        name
    }

    fn effect(&mut self, instruction: &str) {
        let _ = writeln!(self.text, "  {instruction}");
    }

    /// A call of an intrinsic, which is declared along the way.
    fn call(&mut self, ty: &str, name: &str, arguments: &[(&str, &str)]) -> String {
        let types: Vec<&str> = arguments.iter().map(|(ty, _)| *ty).collect();
        self.declared.insert(format!("declare {ty} @{name}({})", types.join(", ")));
        let given: Vec<String> = arguments.iter().map(|(ty, value)| format!("{ty} {value}")).collect();
        let call = format!("call {ty} @{name}({})", given.join(", "));
        if ty == "void" {
            self.effect(&call);
            return String::new();
        }
        self.put(&call)
    }
}

/// LLVM's type for a SPIR-V one.
fn llvm_type(ty: &str) -> Result<String, String> {
    let ty = ty.trim();
    Ok(match ty {
        "f16" => "half".into(),
        "f32" => "float".into(),
        "f64" => "double".into(),
        _ if ty.starts_with('i') => ty.into(),
        _ => {
            if let Some(inner) = ty.strip_prefix("vector<").and_then(|t| t.strip_suffix('>')) {
                let (count, element) = inner.split_once('x').ok_or("a strange vector")?;
                format!("<{count} x {}>", llvm_type(element)?)
            } else if let Some(inner) = ty.strip_prefix("!spirv.array<").and_then(|t| t.strip_suffix('>')) {
                let (count, element) = inner.split_once(" x ").ok_or("a strange array")?;
                format!("[{count} x {}]", llvm_type(element)?)
            } else {
                return Err(format!("a type `{ty}`"));
            }
        }
    })
}
