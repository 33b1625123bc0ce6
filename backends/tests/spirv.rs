//! SPIR-V forms of kernels: made from hand-built graphs, serialised, and accepted by `spirv-val`.

use clef_backends::gpu::spirv::{Module, modules};
use clef_backends::mlir::spirv::{Source, serialise};
use clef_frontend::ast::{FloatKind, IntKind};
use clef_frontend::span::{LineIndex, Span};
use clef_psg::builder::FuncBuilder;
use clef_psg::graph::{FileInfo, Kernel, KernelParam, Psg};
use clef_psg::id::{KernelId, NodeId, TypeId};
use clef_psg::kernel;
use clef_psg::node::{BinOp, Const, ForKind, Op, UnOp};
use clef_psg::ty::{Agg, AggKind, Type};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use ustr::Ustr;

struct Types {
    unit: TypeId,
    int: TypeId,
    byte: TypeId,
    float: TypeId,
    boolean: TypeId,
    ints: TypeId,
    bytes: TypeId,
    floats: TypeId,
}

fn types(psg: &mut Psg) -> Types {
    let scalar = |psg: &mut Psg, ty| psg.ty(ty);
    let int = scalar(psg, Type::Int(IntKind::I32));
    let byte = scalar(psg, Type::Int(IntKind::U8));
    let float = scalar(psg, Type::Float(FloatKind::F32));
    let buffer = |psg: &mut Psg, element| {
        let agg =
            Agg { name: Ustr::from("UnifiedBuffer"), kind: AggKind::Buffer(element), cases: Vec::new() };
        let id = psg.types.aggs.push(agg);
        psg.ty(Type::Agg(id))
    };
    Types {
        unit: psg.ty(Type::Unit),
        boolean: psg.ty(Type::Bool),
        ints: buffer(psg, int),
        bytes: buffer(psg, byte),
        floats: buffer(psg, float),
        int,
        byte,
        float,
    }
}

fn start() -> (Psg, Types) {
    let mut psg = Psg::default();
    psg.files.push(FileInfo { name: "Kernel.clef".into(), lines: LineIndex::new("one\ntwo\n") });
    let types = types(&mut psg);
    (psg, types)
}

/// Registers the function as a kernel with these parameters (type, element).
fn finish(mut psg: Psg, func: clef_psg::id::FuncId, params: &[(TypeId, Option<TypeId>)]) -> Vec<Module> {
    let params = params
        .iter()
        .map(|&(ty, element)| KernelParam { name: Ustr::from("p"), ty, element, declared: None })
        .collect();
    let kernel = Kernel {
        name: Ustr::from("test"),
        func: Some(func),
        params,
        object: None,
        host: None,
        workgroup: None,
        span: Span::default(),
    };
    let id: KernelId = psg.kernels.push(kernel);
    let (facts, found) = kernel::analyse(&psg);
    assert!(found.is_empty(), "{found:?}");
    modules(&psg, &facts, id, true).unwrap_or_else(|refusal| panic!("refused: {}", refusal.why))
}

/// Serialises and runs `spirv-val`.
fn accept(modules: &[Module]) {
    let sources: Vec<Source> =
        modules.iter().map(|m| Source { name: &m.name, text: &m.text, target_env: &m.target_env }).collect();
    let binaries = serialise(&sources).unwrap_or_else(|why| panic!("{why}\n{}", modules[0].text));
    // Tests run side by side, and their modules have one name.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for (module, binary) in modules.iter().zip(binaries) {
        assert_eq!(&binary[..4], &[0x03, 0x02, 0x23, 0x07], "SPIR-V's magic number");
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("clef-{}-{n}-{}.spv", std::process::id(), module.name));
        std::fs::write(&path, &binary).unwrap_or_else(|e| panic!("{e}"));
        let checked = Command::new("spirv-val").args(["--target-env", "vulkan1.2"]).arg(&path).output();
        let _ = std::fs::remove_file(&path);
        let checked = checked.unwrap_or_else(|e| panic!("spirv-val (package spirv-tools): {e}"));
        assert!(checked.status.success(), "{}\n{}", String::from_utf8_lossy(&checked.stderr), module.text);
    }
}

/// `for i in parallel (0 .. Buffer.length p - 1) do body i`.
fn over(f: &mut FuncBuilder, t: &Types, buffer: NodeId, body: impl FnOnce(&mut FuncBuilder, NodeId)) {
    let zero = f.constant(Const::Int(0), t.int);
    let one = f.constant(Const::Int(1), t.int);
    let length = f.push(Op::BufferLength, &[buffer], t.int);
    let last = f.push(Op::Binary(BinOp::Sub), &[length, one], t.int);
    f.open();
    let i = f.region_param(t.int);
    body(f, i);
    let region = f.close(None);
    f.push_with(Op::Parallel, &[zero, last], &[region], t.unit);
}

#[test]
fn saxpy_is_valid() {
    let (mut psg, t) = start();
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let (a, x, y) = (f.param(t.float), f.param(t.floats), f.param(t.floats));
    over(&mut f, &t, y, |f, i| {
        let xi = f.push(Op::BufferGet { checked: true }, &[x, i], t.float);
        let yi = f.push(Op::BufferGet { checked: false }, &[y, i], t.float);
        let ax = f.push(Op::Binary(BinOp::Mul), &[a, xi], t.float);
        let sum = f.push(Op::Binary(BinOp::Add), &[ax, yi], t.float);
        f.push(Op::BufferSet { checked: false }, &[y, i, sum], t.unit);
    });
    let func = f.finish("saxpy", t.unit, None, 0);
    let made = finish(psg, func, &[(t.float, None), (t.floats, Some(t.float)), (t.floats, Some(t.float))]);
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].push_len, 8 + 16 + 16 + 24 + 8);
    accept(&made);
}

/// Loops, conditions, variables, bytes, division, conversions, a function of floats, in two dimensions.
#[test]
fn control_and_narrow_types_are_valid() {
    let (mut psg, t) = start();
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let (w, y, n) = (f.param(t.bytes), f.param(t.floats), f.param(t.int));
    over(&mut f, &t, y, |f, i| {
        let zero = f.constant(Const::Int(0), t.int);
        f.open();
        let j = f.region_param(t.int);
        let start = f.constant(Const::Float(0.5), t.float);
        let variable = f.psg.ty(Type::Var(t.float));
        let sum = f.push(Op::Var, &[start], variable);
        f.open();
        let k = f.region_param(t.int);
        let b = f.push(Op::BufferGet { checked: true }, &[w, k], t.byte);
        let wide = f.push(Op::Convert, &[b], t.int);
        let digit = f.push(Op::Binary(BinOp::Rem), &[wide, n], t.int);
        let hit = f.push(Op::Binary(BinOp::Eq), &[digit, j], t.boolean);
        f.open();
        let now = f.push(Op::VarGet, &[sum], t.float);
        let root = f.push(Op::Unary(UnOp::Exp), &[now], t.float);
        let then = f.close(Some(root));
        f.open();
        let real = f.push(Op::Convert, &[digit], t.float);
        let back = f.push(Op::Convert, &[real], t.int);
        let again = f.push(Op::Convert, &[back], t.float);
        let otherwise = f.close(Some(again));
        let value = f.push_with(Op::If, &[hit], &[then, otherwise], t.float);
        f.push(Op::VarSet, &[sum, value], t.unit);
        let body = f.close(None);
        f.push_with(Op::For(ForKind::Down), &[n, zero], &[body], t.unit);
        f.open();
        let now = f.push(Op::VarGet, &[sum], t.float);
        let limit = f.constant(Const::Float(100.0), t.float);
        let go = f.push(Op::Binary(BinOp::Lt), &[now, limit], t.boolean);
        let test = f.close(Some(go));
        f.open();
        let now = f.push(Op::VarGet, &[sum], t.float);
        let twice = f.push(Op::Binary(BinOp::Add), &[now, now], t.float);
        f.push(Op::VarSet, &[sum, twice], t.unit);
        let body = f.close(None);
        f.push_with(Op::While, &[], &[test, body], t.unit);
        let end = f.push(Op::VarGet, &[sum], t.float);
        f.push(Op::BufferSet { checked: true }, &[y, i, end], t.unit);
        let inner = f.close(None);
        f.push_with(Op::Parallel, &[zero, n], &[inner], t.unit);
    });
    let func = f.finish("mixed", t.unit, None, 0);
    let made = finish(psg, func, &[(t.bytes, Some(t.byte)), (t.floats, Some(t.float)), (t.int, None)]);
    accept(&made);
}

/// Eight buffers do not fit the guaranteed push constants: the parameters travel in memory.
#[test]
fn many_parameters_are_spilled() {
    let (mut psg, t) = start();
    let mut f = FuncBuilder::new(&mut psg, Span::default());
    let buffers: Vec<NodeId> = (0..8).map(|_| f.param(t.ints)).collect();
    over(&mut f, &t, buffers[7], |f, i| {
        let first = f.push(Op::BufferGet { checked: true }, &[buffers[0], i], t.int);
        f.push(Op::BufferSet { checked: true }, &[buffers[7], i, first], t.unit);
    });
    let func = f.finish("many", t.unit, None, 0);
    let made = finish(psg, func, &[(t.ints, Some(t.int)); 8]);
    assert!(made[0].push_len > 128);
    accept(&made);
}
