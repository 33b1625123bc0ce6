//! Operations, one by one.

use super::{Body, llvm_type, size_of};
use std::fmt::Write as _;

impl Body<'_> {
    pub(super) fn operation(&mut self, result: Option<&str>, name: &str, rest: &str) -> Result<(), String> {
        match name {
            "module" => return Ok(()),
            "func" => return Ok(()),
            "EntryPoint" | "ExecutionMode" | "SpecConstant" => return Ok(()),
            // Nobody gives specialisation constants here: the kernel tests itself.
            "mlir.referenceof" => self.bind(result, "false".into()),
            "Return" => self.effect("ret void"),
            "GlobalVariable" => return self.global(rest),
            "Constant" => {
                let literal = literal(rest)?;
                self.bind(result, literal);
            }
            "Variable" => return self.variable(result, rest),
            "mlir.addressof" => {
                let symbol = rest.split(" : ").next().unwrap_or(rest).trim_start_matches('@');
                let operand = match self.shared.contains_key(symbol) {
                    true => format!("@{}.{symbol}", self.name),
                    false if symbol == "push" => "push".into(),
                    false => format!("input:{symbol}"),
                };
                self.bind(result, operand);
            }
            "AccessChain" => return self.access_chain(result, rest),
            "Load" | "Store" => return self.memory(result, name, rest),
            "mlir.selection" | "mlir.loop" => {
                self.next_scope += 1;
                self.scopes.push(self.next_scope);
            }
            "mlir.merge" => {}
            "Branch" => {
                let label = self.label(rest.trim_start_matches('^'))?;
                self.effect(&format!("br label %{label}"));
            }
            "BranchConditional" => return self.branch(rest),
            "ControlBarrier" => self.barrier(),
            "CompositeConstruct" => return self.construct(result, rest),
            "CompositeExtract" => return self.extract(result, rest),
            "Select" => return self.select(result, rest),
            "GroupNonUniformElect" => {
                let lane = self.lane();
                let first = self.put(&format!("icmp eq i32 {lane}, 0"));
                self.bind(result, first);
            }
            "GroupNonUniformShuffle" => {
                let (values, types) = typed(rest.strip_prefix("<Subgroup> ").unwrap_or(rest))?;
                let operands = self.operands(values)?;
                let ty = types.split(',').next().unwrap_or(types).trim();
                let moved = self.shuffle(&operands[0], ty, &operands[1])?;
                self.bind(result, moved);
            }
            _ if name.starts_with("GroupNonUniform") => {
                let value = self.group_operation(name, rest)?;
                self.bind(result, value);
            }
            _ if name.starts_with("Atomic") => return self.atomic(result, name, rest),
            _ => return self.arithmetic(result, name, rest),
        }
        Ok(())
    }

    fn global(&mut self, rest: &str) -> Result<(), String> {
        let (symbol, ty) = rest.trim_start_matches('@').split_once(' ').ok_or("a strange variable")?;
        let pointee = ty.rsplit_once(" : ").map_or(ty.trim_start_matches(": "), |(_, t)| t);
        let (inner, class) = pointer_parts(pointee.trim_start_matches(": "))?;
        match class {
            "PushConstant" => self.words = inner.matches('[').count(),
            "Workgroup" => {
                let llvm = llvm_type(inner)?;
                let _ = writeln!(
                    self.shared_text,
                    "@{}.{symbol} = internal addrspace(3) global {llvm} poison, align 16",
                    self.name
                );
                self.shared.insert(symbol.to_owned(), llvm);
            }
            _ => {}
        }
        Ok(())
    }

    fn variable(&mut self, result: Option<&str>, rest: &str) -> Result<(), String> {
        let (inner, _) = pointer_parts(rest.trim_start_matches(": "))?;
        let llvm = llvm_type(inner)?;
        self.next += 1;
        let name = format!("%v{}", self.next);
        let space = match self.chip.pointer("Function")? {
            "ptr addrspace(5)" => ", addrspace(5)",
            _ => "",
        };
        let _ = writeln!(self.allocas, "  {name} = alloca {llvm}, align 16{space}");
        self.bind(result, name);
        Ok(())
    }

    fn access_chain(&mut self, result: Option<&str>, rest: &str) -> Result<(), String> {
        let (base, rest) = rest.split_once('[').ok_or("no indices")?;
        let (indices, types) = rest.split_once(']').ok_or("no indices")?;
        let base = self.value(base)?;
        let indices = self.operands(indices)?;
        if base == "push" {
            let index = indices.first().cloned().unwrap_or_default();
            self.bind(result, format!("push:{index}"));
            return Ok(());
        }
        let types = types.trim_start_matches(" : ");
        let (pointer, rest) = types.split_at(end_of_pointer(types)?);
        let (inner, class) = pointer_parts(pointer)?;
        let kinds = rest.split(" -> ").next().unwrap_or(rest).trim_start_matches(", ").split(", ");
        let llvm = llvm_type(inner)?;
        let space = self.chip.pointer(class)?;
        let mut listed = String::new();
        for (kind, index) in kinds.zip(&indices) {
            let _ = write!(listed, ", {kind} {index}");
        }
        let at = self.put(&format!("getelementptr inbounds {llvm}, {space} {base}, i32 0{listed}"));
        self.bind(result, at);
        Ok(())
    }

    /// `"Class" pointer ["Aligned", n] : type` and `"Class" pointer, value ... : type`.
    fn memory(&mut self, result: Option<&str>, name: &str, rest: &str) -> Result<(), String> {
        let (operands, ty) = typed(rest)?;
        let (class, operands) =
            operands.strip_prefix('"').and_then(|o| o.split_once("\" ")).ok_or("no storage class")?;
        let (values, alignment) = match operands.split_once(" [\"Aligned\", ") {
            Some((values, n)) => (values, format!(", align {}", n.trim_end_matches(']'))),
            None => (operands, String::new()),
        };
        let values = self.operands(values)?;
        let from = values.first().cloned().unwrap_or_default();
        if let Some(index) = from.strip_prefix("push:") {
            self.bind(result, format!("%arg{index}"));
            return Ok(());
        }
        if let Some(symbol) = from.strip_prefix("input:") {
            let operand = if ty.starts_with("vector") { from.clone() } else { self.builtin(symbol)? };
            self.bind(result, operand);
            return Ok(());
        }
        let (llvm, space) = (llvm_type(ty)?, self.chip.pointer(class)?);
        match values.get(1) {
            Some(value) if name == "Store" => {
                self.effect(&format!("store {llvm} {value}, {space} {from}{alignment}"));
            }
            _ => {
                let value = self.put(&format!("load {llvm}, {space} {from}{alignment}"));
                self.bind(result, value);
            }
        }
        Ok(())
    }

    fn branch(&mut self, rest: &str) -> Result<(), String> {
        let (condition, labels) = rest.split_once(", ^").ok_or("no labels")?;
        let condition = condition.split(' ').next().unwrap_or(condition);
        let (yes, no) = labels.split_once(", ^").ok_or("one label")?;
        let (condition, yes, no) = (self.value(condition)?, self.label(yes)?, self.label(no)?);
        self.effect(&format!("br i1 {condition}, label %{yes}, label %{no}"));
        Ok(())
    }

    fn construct(&mut self, result: Option<&str>, rest: &str) -> Result<(), String> {
        let (values, types) = typed(rest)?;
        let (parts, whole) = types.split_once(" -> ").ok_or("no result type")?;
        let part = llvm_type(parts.trim_matches(['(', ')']).split(',').next().unwrap_or_default())?;
        let whole = llvm_type(whole)?;
        let mut all = String::from("poison");
        for (n, value) in self.operands(values)?.iter().enumerate() {
            all = self.put(&format!("insertelement {whole} {all}, {part} {value}, i32 {n}"));
        }
        self.bind(result, all);
        Ok(())
    }

    fn extract(&mut self, result: Option<&str>, rest: &str) -> Result<(), String> {
        let (from, rest) = rest.split_once('[').ok_or("no index")?;
        let (index, ty) = rest.split_once(" : i32] : ").ok_or("no index")?;
        let from = self.value(from)?;
        let axis: usize = index.parse().map_err(|_| "a strange index")?;
        let value = match from.as_str() {
            "input:gid" => self.global_id(axis),
            "input:groups" => self.groups(axis),
            _ => {
                let ty = llvm_type(ty)?;
                self.put(&format!("extractelement {ty} {from}, i32 {index}"))
            }
        };
        self.bind(result, value);
        Ok(())
    }

    fn select(&mut self, result: Option<&str>, rest: &str) -> Result<(), String> {
        let (values, types) = typed(rest)?;
        let values = self.operands(values)?;
        let [condition, yes, no] = values.as_slice() else { return Err("three operands".into()) };
        let ty = llvm_type(types.rsplit(", ").next().unwrap_or(types))?;
        let value = self.put(&format!("select i1 {condition}, {ty} {yes}, {ty} {no}"));
        self.bind(result, value);
        Ok(())
    }

    fn atomic(&mut self, result: Option<&str>, name: &str, rest: &str) -> Result<(), String> {
        let (values, _) = typed(rest)?;
        let values = values.rsplit("> ").next().unwrap_or(values);
        let values = self.operands(values)?;
        let scope = self.chip.device_scope();
        let pointer = values.first().ok_or("no pointer")?;
        let given = values.get(1).ok_or("no value")?;
        let place = format!("ptr addrspace(1) {pointer}");
        let operation = match name {
            "AtomicCompareExchange" => {
                let wanted = values.get(2).ok_or("no comparator")?;
                let both = self.put(&format!(
                    "cmpxchg {place}, i32 {wanted}, i32 {given} syncscope(\"{scope}\") monotonic monotonic"
                ));
                let old = self.put(&format!("extractvalue {{ i32, i1 }} {both}, 0"));
                self.bind(result, old);
                return Ok(());
            }
            "AtomicIAdd" => "add",
            "AtomicSMin" => "min",
            "AtomicUMin" => "umin",
            "AtomicSMax" => "max",
            "AtomicUMax" => "umax",
            "AtomicAnd" => "and",
            "AtomicOr" => "or",
            "AtomicXor" => "xor",
            "AtomicExchange" => "xchg",
            _ => return Err(format!("an atomic operation {name}")),
        };
        let old =
            self.put(&format!("atomicrmw {operation} {place}, i32 {given} syncscope(\"{scope}\") monotonic"));
        self.bind(result, old);
        Ok(())
    }

    fn arithmetic(&mut self, result: Option<&str>, name: &str, rest: &str) -> Result<(), String> {
        let (values, types) = typed(rest)?;
        let values = self.operands(values)?;
        if let Some(function) = name.strip_prefix("GL.") {
            let value = self.function(function, &values, types)?;
            self.bind(result, value);
            return Ok(());
        }
        if let Some((from, to)) = types.split_once(" to ") {
            let value = self.conversion(name, &values[0], from, to)?;
            self.bind(result, value);
            return Ok(());
        }
        let llvm = llvm_type(types.split(", ").next().unwrap_or(types))?;
        let first = values.first().ok_or("no operand")?;
        let value = match (name, values.get(1)) {
            ("Not", None) => format!("xor {llvm} {first}, -1"),
            ("LogicalNot", None) => format!("xor i1 {first}, true"),
            ("FNegate", None) => format!("fneg {llvm} {first}"),
            ("SNegate", None) => format!("sub {llvm} 0, {first}"),
            (_, Some(second)) => {
                let operation = binary(name).ok_or_else(|| format!("the operation {name}"))?;
                format!("{operation} {llvm} {first}, {second}")
            }
            _ => return Err(format!("the operation {name}")),
        };
        let value = self.put(&value);
        self.bind(result, value);
        Ok(())
    }

    fn conversion(&mut self, name: &str, value: &str, from: &str, to: &str) -> Result<String, String> {
        if name == "ConvertUToPtr" {
            return Ok(self.put(&format!("inttoptr i64 {value} to ptr addrspace(1)")));
        }
        let bits = |ty: &str| ty.trim().get(1..).and_then(|b| b.parse::<u32>().ok()).unwrap_or(0);
        let grows = bits(to) > bits(from);
        let operation = match name {
            "SConvert" if grows => "sext",
            "UConvert" if grows => "zext",
            "SConvert" | "UConvert" => "trunc",
            "FConvert" if grows => "fpext",
            "FConvert" => "fptrunc",
            "ConvertSToF" => "sitofp",
            "ConvertUToF" => "uitofp",
            "ConvertFToS" => "fptosi",
            "ConvertFToU" => "fptoui",
            "Bitcast" => "bitcast",
            _ => return Err(format!("the conversion {name}")),
        };
        let (from, to) = (llvm_type(from)?, llvm_type(to)?);
        Ok(self.put(&format!("{operation} {from} {value} to {to}")))
    }

    /// The operands of a list of values.
    fn operands(&self, list: &str) -> Result<Vec<String>, String> {
        list.split(',').map(str::trim).filter(|v| !v.is_empty()).map(|v| self.value(v)).collect()
    }

    /// Notes the workgroup's size, which stands at the module's end.
    pub(super) fn prepare(&mut self, text: &str) {
        self.local = size_of(text);
    }
}

/// `values : types`.
fn typed(rest: &str) -> Result<(&str, &str), String> {
    rest.split_once(" : ").map(|(v, t)| (v, t.trim())).ok_or_else(|| "no type".into())
}

/// The pointee and storage class of `!spirv.ptr<inner, Class>`.
fn pointer_parts(ty: &str) -> Result<(&str, &str), String> {
    let inner = ty.trim().strip_prefix("!spirv.ptr<").and_then(|t| t.strip_suffix('>'));
    inner.and_then(|t| t.rsplit_once(", ")).ok_or_else(|| format!("`{ty}` is no pointer"))
}

/// Where a pointer type at the start of a list ends.
fn end_of_pointer(types: &str) -> Result<usize, String> {
    let mut depth = 0_usize;
    for (at, c) in types.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if depth == 1 => return Ok(at + 1),
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Err("a type without an end".into())
}

/// A constant as LLVM spells it: floats by the bits of double precision, halves by their own.
fn literal(rest: &str) -> Result<String, String> {
    let Some((value, ty)) = rest.split_once(" : ") else { return Ok(rest.trim().to_owned()) };
    let bits = || u64::from_str_radix(value.trim_start_matches("0x"), 16).map_err(|e| e.to_string());
    Ok(match ty.trim() {
        "f16" => format!("0xH{:04X}", bits()?),
        "f32" => format!("0x{:016X}", f64::from(f32::from_bits(bits()? as u32)).to_bits()),
        "f64" => format!("0x{:016X}", bits()?),
        _ => value.to_owned(),
    })
}

/// LLVM's instruction for a binary operation.
fn binary(name: &str) -> Option<&'static str> {
    Some(match name {
        "IAdd" => "add",
        "ISub" => "sub",
        "IMul" => "mul",
        "SDiv" => "sdiv",
        "UDiv" => "udiv",
        "SRem" => "srem",
        "UMod" => "urem",
        "FAdd" => "fadd contract",
        "FSub" => "fsub contract",
        "FMul" => "fmul contract",
        "FDiv" => "fdiv",
        "FRem" => "frem",
        "BitwiseAnd" | "LogicalAnd" => "and",
        "BitwiseOr" | "LogicalOr" => "or",
        "BitwiseXor" => "xor",
        "ShiftLeftLogical" => "shl",
        "ShiftRightLogical" => "lshr",
        "ShiftRightArithmetic" => "ashr",
        "IEqual" | "LogicalEqual" => "icmp eq",
        "INotEqual" | "LogicalNotEqual" => "icmp ne",
        "SLessThan" => "icmp slt",
        "SLessThanEqual" => "icmp sle",
        "SGreaterThan" => "icmp sgt",
        "SGreaterThanEqual" => "icmp sge",
        "ULessThan" => "icmp ult",
        "ULessThanEqual" => "icmp ule",
        "UGreaterThan" => "icmp ugt",
        "UGreaterThanEqual" => "icmp uge",
        "FOrdEqual" => "fcmp oeq",
        "FUnordNotEqual" => "fcmp une",
        "FOrdLessThan" => "fcmp olt",
        "FOrdLessThanEqual" => "fcmp ole",
        "FOrdGreaterThan" => "fcmp ogt",
        "FOrdGreaterThanEqual" => "fcmp oge",
        _ => return None,
    })
}
