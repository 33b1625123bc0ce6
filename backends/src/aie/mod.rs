//! NPU kernels as MLIR of the AIE dialects, for XDNA2 (`npu2`).
//!
//! Each dispatch to the NPU is one `aie.device`: its object FIFOs have static sizes, which [`sizes`] finds at the
//! dispatch. Dispatches of a kernel with the same sizes and scalars share a device. A whole buffer is one object; one
//! core computes ([`core`]), and [`design`] places tiles and FIFOs. A buffer that the kernel does not overwrite
//! completely goes in and comes out again, so that what it leaves alone stays.
//!
//! Promises: what is returned has passed [`check`], which shares no code with the rest. A dispatch without a form is
//! refused with place and reason. Does not spread a kernel over several cores, nor stream parts of buffers.

pub mod check;
mod core;
mod design;
mod ops;
mod sizes;

use self::core::{Core, Memory, Refusal, STATUS, STATUS_TYPE, Value};
use crate::gpu::spirv::types::{self, Scalar};
use clef_frontend::typed::AgentKind;
use clef_psg::graph::Psg;
use clef_psg::id::{KernelId, NodeId};
use clef_psg::job::{Job, Refused};
use clef_psg::kernel::KernelFacts;
use clef_psg::node::{Const, Op};
use clef_psg::plan::Mode;
use design::{Design, MEMORY, MOST, Port, Stream};
use sizes::{Sizes, Source};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The module of a program's NPU dispatches.
#[derive(Debug)]
pub struct Module {
    /// As `aie-opt` reads it.
    pub pretty: String,
    /// The same with the dialects' operations in generic form.
    pub generic: String,
}

/// The module of the dispatches that have a form, and those that have none. An error is a bug of the compiler.
pub fn module(job: &Job) -> Result<(Module, Vec<Refused>), String> {
    let psg = &job.psg;
    let mut sizes = Sizes::new(psg, &job.kernels);
    let mut designs: BTreeMap<String, Vec<Design>> = BTreeMap::new();
    let mut made: Vec<(KernelId, Vec<Given>)> = Vec::new();
    let mut refused = Vec::new();
    for (node, n) in psg.nodes.iter() {
        let Op::Dispatch { kernel, agent: AgentKind::Npu, .. } = n.op else { continue };
        let name = psg.kernels[kernel].name.to_string();
        let one = arguments(psg, &job.kernels, &mut sizes, kernel, node).and_then(|given| {
            if made.contains(&(kernel, given.clone())) {
                return Ok(());
            }
            let list = designs.entry(name.clone()).or_default();
            let symbol =
                if list.is_empty() { clean(&name) } else { format!("{}_{}", clean(&name), list.len()) };
            list.push(design(psg, &job.kernels, kernel, &given, symbol, node)?);
            made.push((kernel, given));
            Ok(())
        });
        if let Err(Refusal { span, why }) = one {
            refused.push(Refused { kernel: name, span, why });
        }
    }
    let (mut pretty, mut generic) = (String::from("module {\n"), String::from("module {\n"));
    for design in designs.values().flatten() {
        pretty.push_str(&design.text(false));
        generic.push_str(&design.text(true));
    }
    pretty.push_str("}\n");
    generic.push_str("}\n");
    check::check(&pretty).map_err(|what| format!("the module for the NPU is not well formed: {what}"))?;
    Ok((Module { pretty, generic }, refused))
}

/// A symbol that MLIR accepts.
fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What a dispatch gives for a parameter.
#[derive(Clone, PartialEq)]
enum Given {
    /// Elements.
    Buffer(u64),
    Value(Const),
    Unit,
}

fn arguments(
    psg: &Psg,
    facts: &KernelFacts,
    sizes: &mut Sizes,
    kernel: KernelId,
    node: NodeId,
) -> Result<Vec<Given>, Refusal> {
    let declared = &psg.kernels[kernel];
    let mut given = Vec::new();
    let mut seen: Vec<(Source, bool, String)> = Vec::new();
    for (i, (param, &operand)) in declared.params.iter().zip(&psg.nodes[node].operands).enumerate() {
        let refuse = |why: String| Refusal { span: psg.spans[node], why };
        let Some(element) = param.element else {
            let scalar = types::scalar(psg, param.ty);
            given.push(match (sizes.constant(operand), scalar) {
                (_, None) if matches!(psg.types.get(param.ty), clef_psg::ty::Type::Unit) => Given::Unit,
                (Some(value), _) => Given::Value(value),
                (None, _) => {
                    return Err(refuse(format!(
                        "the value of `{}` is not the same constant in every run of this dispatch",
                        param.name
                    )));
                }
            });
            continue;
        };
        let (sources, bytes) = sizes.buffer(operand);
        let (Some(bytes), Some(element)) = (bytes, types::scalar(psg, element)) else {
            return Err(refuse(format!(
                "object FIFOs have static sizes, and the size of `{}` is not the same constant in every run of this dispatch",
                param.name
            )));
        };
        if bytes == 0 || !bytes.is_multiple_of(4) {
            return Err(refuse(format!(
                "the NPU moves whole words of 4 bytes, and `{}` has {bytes} bytes",
                param.name
            )));
        }
        let writes = facts.kernels[kernel].params[i].mode.is_some_and(Mode::writes);
        for source in sources {
            let twin = seen.iter().find(|(other, w, _)| *other == source && (*w || writes));
            if let Some((_, _, other)) = twin {
                return Err(refuse(format!(
                    "`{other}` and `{}` may be the same buffer, and the NPU has a copy of each",
                    param.name
                )));
            }
            seen.push((source, writes, param.name.to_string()));
        }
        given.push(Given::Buffer(bytes / u64::from(element.size())));
    }
    Ok(given)
}

fn design(
    psg: &Psg,
    facts: &KernelFacts,
    kernel: KernelId,
    given: &[Given],
    name: String,
    node: NodeId,
) -> Result<Design, Refusal> {
    let declared = &psg.kernels[kernel];
    let here = |why: String| Refusal { span: psg.spans[node], why };
    let Some(func) = declared.host.or(declared.func) else {
        return Err(here("its code is in a prebuilt file".into()));
    };
    let mut core = Core::new(psg);
    let mut design = Design {
        name,
        args: Vec::new(),
        streams: Vec::new(),
        head: String::new(),
        body: String::new(),
        variables: Vec::new(),
    };
    let mut copies = String::new();
    let params = psg.funcs[func].params.clone();
    for (i, ((param, given), &value)) in declared.params.iter().zip(given).zip(&params).enumerate() {
        let bound = match (given, param.element) {
            (Given::Buffer(length), Some(element)) => {
                let element = element_type(psg, declared.span, &param.name, element)?;
                let memory = Memory { name: format!("%buffer{i}"), element, length: *length };
                let fact = facts.kernels[kernel].params[i];
                stream(&mut design, &mut copies, &clean(&param.name), &memory, (fact.mode, fact.covers));
                Value::Memory(memory)
            }
            (Given::Value(constant), _) => match types::scalar(psg, param.ty) {
                Some(Scalar::Float { bits }) if bits != 32 => {
                    return Err(here(format!("the NPU's cores do not compute with float{bits}")));
                }
                Some(scalar) => Value::Scalar(core.literal(value, constant, scalar)?, scalar),
                None => {
                    return Err(here(format!("parameter `{}` is neither a number nor a buffer", param.name)));
                }
            },
            _ => Value::Unit,
        };
        core.values.insert(value, bound);
    }
    core.region(psg.funcs[func].body)?;
    if core.records {
        status(&mut design, &mut core, &mut copies);
    }
    design.variables = core.variables;
    design.head = core.head;
    design.body = copies + &core.body;
    fits(&design).map_err(here)?;
    Ok(design)
}

fn element_type(
    psg: &Psg,
    span: clef_frontend::span::Span,
    name: &str,
    element: clef_psg::id::TypeId,
) -> Result<Scalar, Refusal> {
    match types::scalar(psg, element) {
        Some(Scalar::Float { bits: 16 | 64 } | Scalar::Int { bits: 64, .. }) | None => Err(Refusal {
            span,
            why: format!("elements of `{name}` are of a type that the NPU does not move"),
        }),
        Some(scalar) => Ok(scalar),
    }
}

/// The object FIFOs of a buffer, and the copy from what comes in to what goes out.
fn stream(
    design: &mut Design,
    copies: &mut String,
    name: &str,
    memory: &Memory,
    (mode, covers): (Option<Mode>, bool),
) {
    let arg = design.args.len();
    let memref = memory.memref();
    design.args.push(memref.clone());
    let Some(mode) = mode else { return };
    let both = mode == Mode::ReadWrite || mode == Mode::Write && !covers;
    let bytes = memory.length * u64::from(memory.element.size());
    let mut add = |name: String, port, value: String| {
        let elements = memory.length;
        design.streams.push(Stream { name, memref: memref.clone(), elements, bytes, port, arg, value });
    };
    let old = format!("{}_old", memory.name);
    match (both, mode) {
        (true, _) => {
            add(format!("{name}_in"), Port::Consume, old.clone());
            add(format!("{name}_out"), Port::Produce, memory.name.clone());
        }
        (false, Mode::Read) => add(name.to_owned(), Port::Consume, memory.name.clone()),
        (false, _) => add(name.to_owned(), Port::Produce, memory.name.clone()),
    }
    if both {
        let (at, end, moved) = (format!("%copy{arg}"), format!("%end{arg}"), format!("%moved{arg}"));
        let _ = writeln!(copies, "        {end} = arith.constant {} : index", memory.length);
        let _ = writeln!(copies, "        scf.for {at} = %zero to {end} step %one {{");
        let _ = writeln!(copies, "          {moved} = memref.load {old}[{at}] : {memref}");
        let _ = writeln!(copies, "          memref.store {moved}, {}[{at}] : {memref}", memory.name);
        let _ = writeln!(copies, "        }}");
    }
}

/// The object that says what went wrong; its first word is 0 where nothing did.
fn status(design: &mut Design, core: &mut Core, copies: &mut String) {
    let arg = design.args.len();
    design.args.push(STATUS_TYPE.to_owned());
    design.streams.push(Stream {
        name: "clef_status".to_owned(),
        memref: STATUS_TYPE.to_owned(),
        elements: 4,
        bytes: 16,
        port: Port::Produce,
        arg,
        value: STATUS.to_owned(),
    });
    let zero = core.constant("0 : i32");
    for n in 0..4 {
        let at = core.index(n);
        let _ = writeln!(copies, "        memref.store {zero}, {STATUS}[{at}] : {STATUS_TYPE}");
    }
}

fn fits(design: &Design) -> Result<(), String> {
    for (port, way) in [(Port::Consume, "into"), (Port::Produce, "out of")] {
        let count = design.streams.iter().filter(|s| s.port == port).count();
        if count > MOST {
            return Err(format!("{count} buffers go {way} the NPU, and {MOST} can"));
        }
    }
    let memory = design.memory();
    if memory > MEMORY {
        return Err(format!("its buffers take {memory} bytes of a core's memory, which has {MEMORY}"));
    }
    Ok(())
}
