//! Buffers, kernels on the host, dispatches and waits.

use crate::memory::{agg, recursive};
use crate::support::*;
use clef_backends::job::{Route, RoutePlan, Want};
use clef_frontend::ast::IntKind;
use clef_frontend::typed::AgentKind;
use clef_psg::builder::FuncBuilder;
use clef_psg::graph::{Kernel, KernelParam, Psg};
use clef_psg::id::{KernelId, NodeId, TypeId};
use clef_psg::node::{BinOp, Const, ForKind, Op};
use clef_psg::plan::{CostTable, DispatchSync, Family, FencePlan, NodeSync, Scope};
use clef_psg::ty::{Agg, AggKind, Case, Field, Type};

struct Program {
    psg: Psg,
    dispatch: NodeId,
    /// The node before which the host waits.
    reader: NodeId,
}

fn buffer_type(psg: &mut Psg, t: T, agents: TypeId, hint: TypeId) -> TypeId {
    let address = psg.ty(Type::Int(IntKind::ISize));
    let fields = [("Address", address), ("Size", t.int), ("Agents", agents), ("Hint", hint)];
    let fields = fields
        .map(|(name, ty)| Field { name: name.into(), ty, is_mutable: false, fixed: None, unit: None })
        .into_iter()
        .collect();
    let cases = vec![Case { name: "UnifiedBuffer".into(), fields }];
    let id =
        psg.types.aggs.push(Agg { name: "UnifiedBuffer<int>".into(), kind: AggKind::Buffer(t.int), cases });
    psg.ty(Type::Agg(id))
}

/// `for i in parallel (0 .. length b - 1) do b.[i] <- b.[i] * a + i`
fn scale(psg: &mut Psg, t: T, buffer: TypeId) {
    let mut f = FuncBuilder::new(psg, on_line(1));
    let a = f.param(t.int);
    let b = f.param(buffer);
    let zero = int(&mut f, t, 0);
    let length = f.push(Op::BufferLength, &[b], t.int);
    let one = int(&mut f, t, 1);
    let last = binary(&mut f, BinOp::Sub, length, one, t.int);
    f.open();
    let i = f.region_param(t.int);
    let old = f.push(Op::BufferGet { checked: true }, &[b, i], t.int);
    let times = binary(&mut f, BinOp::Mul, old, a, t.int);
    let new = binary(&mut f, BinOp::Add, times, i, t.int);
    f.push(Op::BufferSet { checked: false }, &[b, i, new], t.unit);
    let body = f.close(None);
    f.push_with(Op::Parallel, &[zero, last], &[body], t.unit);
    let func = f.finish("Main.scale", t.unit, None, 0);
    let param = |name: &str, ty, element| KernelParam { name: name.into(), ty, element, declared: None };
    psg.kernels.push(Kernel {
        name: "scale".into(),
        func: Some(func),
        params: vec![param("a", t.int, None), param("b", buffer, Some(t.int))],
        object: None,
        host: None,
        workgroup: None,
        span: on_line(1),
    });
}

fn program() -> Program {
    let (mut psg, t) = graph();
    let kind = agg(
        &mut psg,
        "HSAAgentKind",
        AggKind::Union,
        &[("CPU", &[]), ("GPU_RDNA", &[(t.int, false)]), ("NPU_XDNA", &[])],
    );
    let hint = agg(&mut psg, "HSAMemoryHint", AggKind::Union, &[("PreferCPU", &[]), ("PreferGPU", &[])]);
    let agents = recursive(&mut psg, "list<HSAAgentKind>", &[("Nil", &[]), ("Cons", &[Some(kind), None])]);
    let buffer = buffer_type(&mut psg, t, agents, hint);
    let address_type = psg.ty(Type::Int(IntKind::ISize));
    scale(&mut psg, t, buffer);
    let mut f = FuncBuilder::new(&mut psg, on_line(2));
    let nil = f.push(Op::Make(0), &[], agents);
    let one = int(&mut f, t, 1);
    let gpu = f.push(Op::Make(1), &[one], kind);
    let list = f.push(Op::Make(1), &[gpu, nil], agents);
    let npu = f.push(Op::Make(2), &[], kind);
    let list = f.push(Op::Make(1), &[npu, list], agents);
    let cpu = f.push(Op::Make(0), &[], kind);
    let list = f.push(Op::Make(1), &[cpu, list], agents);
    let prefer = f.push(Op::Make(1), &[], hint);
    let bytes = int(&mut f, t, 4 * 101);
    let address = f.push(Op::AllocUnified, &[bytes, list, prefer], address_type);
    let b = f.push(Op::Make(0), &[address, bytes, list, prefer], buffer);
    let (zero, hundred) = (int(&mut f, t, 0), int(&mut f, t, 100));
    f.open();
    let i = f.region_param(t.int);
    f.push(Op::BufferSet { checked: true }, &[b, i, i], t.unit);
    let body = f.close(None);
    f.push_with(Op::For(ForKind::Up), &[zero, hundred], &[body], t.unit);
    f.span = on_line(3);
    let three = int(&mut f, t, 3);
    let address = f.push(Op::Field { case: 0, field: 0 }, &[b], address_type);
    let op = Op::Dispatch { kernel: KernelId(0), agent: AgentKind::Gpu, device: 0, queue: 1 };
    let dispatch = f.push(op, &[three, address], t.unit);
    let index = f.constant(Const::Int(100), t.int);
    let reader = f.push(Op::BufferGet { checked: true }, &[b, index], t.int);
    print_int(&mut f, t, reader);
    f.push(Op::Drop, &[b], t.unit);
    let main = f.finish("Main.main", t.int, Some(zero), 0);
    psg.entry = Some(main);
    Program { psg, dispatch, reader }
}

fn routes(p: &Program) -> Vec<RoutePlan> {
    let mut sync = NodeSync::default();
    sync.waits.insert(p.reader, vec![p.dispatch]);
    let both =
        DispatchSync { acquire: Some(Scope::System), release: Some(Scope::System), ..Default::default() };
    sync.dispatches.insert(p.dispatch, both);
    let table = CostTable {
        name: "test".into(),
        family: Family::Hsa,
        wait: 0,
        barrier: 0,
        semaphore: 0,
        release_agent: 0,
        release_system: 0,
        acquire_agent: 0,
        acquire_system: 0,
        clean: 0,
    };
    let plan = FencePlan {
        table,
        locations: vec![],
        accesses: vec![],
        handoffs: vec![],
        elements: vec![],
        certificate: vec![],
        markers: vec![],
    };
    vec![RoutePlan { route: Route::Hsa, sync, plan }]
}

#[test]
fn a_dispatch_runs_with_its_packet_header_and_is_waited_for() {
    let p = program();
    let mut job = job(p.psg.clone(), 0, Want::Object);
    job.routes = routes(&p);
    for level in [0, 3] {
        job.options.opt_level = level;
        let output = run_job(&job);
        let errors = String::from_utf8_lossy(&output.stderr);
        let expected = "allocate 404 agents 203 hint 1 line 2\n\
            dispatch scale agent 1 queue 1 header 1502 after 0 line 3\nwait for 1 routes 1\n400\n";
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{errors}");
        assert!(errors.contains("live 0\n"), "{errors}");
    }
}

#[test]
fn the_plan_stands_in_the_mlir() {
    let p = program();
    let mut job = job(p.psg.clone(), 0, Want::Mlir);
    job.routes = routes(&p);
    let answer = answer(&job);
    let text = String::from_utf8_lossy(&answer.files[0].1);
    for part in [
        "gpu.launch_func  @scale::@scale",
        "clef.acquire = \"system\"",
        "clef.header = 5378 : i16",
        "clef.wait = [@clef.site.0]",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    mlir_opt_accepts(&text);
}

#[test]
fn kernels_become_vector_code() {
    let mut p = program();
    // As the driver does: the check of the index is proved away.
    assert_ne!(clef_psg::bounds::remove_checks(&mut p.psg), 0);
    let job = job(p.psg, 3, Want::Llvm);
    let answer = answer(&job);
    let text = String::from_utf8_lossy(&answer.files[0].1);
    let body = text.split("@clef.parallel.0(").nth(1).expect("the outlined loop");
    assert!(body.split("\n}").next().expect("its end").contains("mul <8 x i32>"), "{text}");
}
