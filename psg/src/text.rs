//! The graph as readable text, deterministic: what `clefc emit psg` prints and golden files hold.
//!
//! One line a node, regions indented below it. Nothing is hidden, nothing is computed: it reads the tables in order.

use crate::graph::{Func, Psg};
use crate::id::{FuncId, NodeId, RegionId, TypeId};
use crate::node::{Const, FailKind, ForKind, Op};
use crate::ty::{AggKind, Type, Types};
use clef_frontend::ast::{FloatKind, IntKind};
use std::fmt::Write;

/// A type as the user writes it: `int`, `Tree`, `(int, string) -> bool`.
pub fn type_name(types: &Types, ty: TypeId) -> String {
    match types.get(ty) {
        Type::Unit => "unit".into(),
        Type::Bool => "bool".into(),
        Type::Char => "char".into(),
        Type::String => "string".into(),
        Type::Int(kind) => int_name(*kind).into(),
        Type::Float(kind) => float_name(*kind).into(),
        Type::Agg(agg) => types.aggs[*agg].name.to_string(),
        Type::Array(t) => format!("{}[]", atom(types, *t)),
        Type::Closure { params, ret } => {
            let mut text: String = params.iter().map(|p| format!("{} -> ", atom(types, *p))).collect();
            text.push_str(&type_name(types, *ret));
            text
        }
        Type::NativePtr(t) => format!("nativeptr<{}>", type_name(types, *t)),
        Type::Var(t) => format!("mutable {}", type_name(types, *t)),
    }
}

fn atom(types: &Types, ty: TypeId) -> String {
    let name = type_name(types, ty);
    let composite = match types.get(ty) {
        Type::Closure { .. } => true,
        Type::Agg(agg) => types.aggs[*agg].kind == AggKind::Tuple,
        _ => false,
    };
    if composite { format!("({name})") } else { name }
}

fn int_name(kind: IntKind) -> &'static str {
    match kind {
        IntKind::I8 => "sbyte",
        IntKind::U8 => "byte",
        IntKind::I16 => "int16",
        IntKind::U16 => "uint16",
        IntKind::I32 => "int",
        IntKind::U32 => "uint32",
        IntKind::I64 => "int64",
        IntKind::U64 => "uint64",
        IntKind::ISize => "nativeint",
        IntKind::USize => "unativeint",
    }
}

fn float_name(kind: FloatKind) -> &'static str {
    match kind {
        FloatKind::F16 => "float16",
        FloatKind::BF16 => "bfloat16",
        FloatKind::F32 => "float32",
        FloatKind::F64 => "float",
    }
}

/// The whole graph.
pub fn print(psg: &Psg) -> String {
    let mut out = String::new();
    print_types(psg, &mut out);
    for (id, external) in psg.externs.iter() {
        let params: Vec<String> = external
            .params
            .iter()
            .map(|(name, ty, effect)| {
                let effect = effect.map_or(String::new(), |e| format!("[{e:?}] "));
                format!("{effect}{name}: {}", type_name(&psg.types, *ty))
            })
            .collect();
        let ret = type_name(&psg.types, external.ret);
        line(
            &mut out,
            0,
            &format!("extern {id} {}:{}({}): {ret}", external.library, external.entry, params.join(", ")),
        );
    }
    for (id, global) in psg.globals.iter() {
        let mutable = if global.is_mutable { "mutable " } else { "" };
        line(
            &mut out,
            0,
            &format!("global {id} {mutable}{}: {}", global.name, type_name(&psg.types, global.ty)),
        );
    }
    for (id, kernel) in psg.kernels.iter() {
        let code = match (kernel.func, kernel.object) {
            (Some(func), _) => psg.funcs[func].name.to_string(),
            (None, Some(object)) => format!("{:?}", object.as_str()),
            (None, None) => "nothing".into(),
        };
        line(&mut out, 0, &format!("kernel {id} {:?} = {code}", kernel.name.as_str()));
    }
    for (label, func) in [("init", psg.init), ("entry", psg.entry)] {
        if let Some(func) = func {
            line(&mut out, 0, &format!("{label} {}", psg.funcs[func].name));
        }
    }
    for root in &psg.roots {
        line(&mut out, 0, &format!("root {}", psg.funcs[*root].name));
    }
    for (id, _) in psg.funcs.iter() {
        out.push('\n');
        print_func(psg, id, &mut out);
    }
    out
}

/// One function.
pub fn print_func(psg: &Psg, id: FuncId, out: &mut String) {
    let func: &Func = &psg.funcs[id];
    let params: Vec<String> =
        func.params.iter().map(|p| format!("{p}: {}", type_name(&psg.types, psg.nodes[*p].ty))).collect();
    let captures = if func.captures > 0 { format!(" captures {}", func.captures) } else { String::new() };
    let ret = type_name(&psg.types, func.ret);
    line(
        out,
        0,
        &format!("{id} {}({}): {ret}{captures}{}", func.name, params.join(", "), place(psg, func.span)),
    );
    print_region(psg, func.body, 1, out);
}

/// ` // file:line`, nothing where the place is unknown.
fn place(psg: &Psg, span: clef_frontend::span::Span) -> String {
    match psg.files.get(span.file.0 as usize) {
        Some(file) if span.end > 0 => format!(" // {}:{}", file.name, file.lines.line_column(span.start).0),
        _ => String::new(),
    }
}

fn print_types(psg: &Psg, out: &mut String) {
    for (id, agg) in psg.types.aggs.iter() {
        let kind = match agg.kind {
            AggKind::Record => "record",
            AggKind::Tuple => "tuple",
            AggKind::Union => "union",
            AggKind::Enum => "enum",
            AggKind::Buffer(_) => "buffer",
        };
        let cases: Vec<String> = agg
            .cases
            .iter()
            .map(|case| {
                let fields: Vec<String> = case
                    .fields
                    .iter()
                    .map(|f| {
                        let mutable = if f.is_mutable { "mutable " } else { "" };
                        let unit = f.unit.map_or(String::new(), |u| format!("<{u}>"));
                        format!("{mutable}{}: {}{unit}", f.name, type_name(&psg.types, f.ty))
                    })
                    .collect();
                if agg.kind == AggKind::Union {
                    format!("{}({})", case.name, fields.join(", "))
                } else {
                    fields.join("; ")
                }
            })
            .collect();
        line(out, 0, &format!("{kind} {id} {} = {}", agg.name, cases.join(" | ")));
    }
}

fn line(out: &mut String, depth: usize, text: &str) {
    for _ in 0..depth {
        out.push_str("  ");
    }
    out.push_str(text);
    out.push('\n');
}

/// What is left to print: nodes of a region from a place on, or the end of one.
enum Todo {
    Nodes(RegionId, usize, usize),
    Line(usize, String),
}

fn print_region(psg: &Psg, region: RegionId, depth: usize, out: &mut String) {
    let mut todo = vec![Todo::Nodes(region, 0, depth)];
    while let Some(item) = todo.pop() {
        let (region, at, depth) = match item {
            Todo::Nodes(region, at, depth) => (region, at, depth),
            Todo::Line(depth, text) => {
                line(out, depth, &text);
                continue;
            }
        };
        let Some(body) = psg.regions.get(region) else {
            line(out, depth, "(no body)");
            continue;
        };
        let Some(&node) = body.nodes.get(at) else {
            if let Some(result) = body.result {
                line(out, depth, &format!("= {result}"));
            }
            continue;
        };
        line(out, depth, &node_text(psg, node));
        todo.push(Todo::Nodes(region, at + 1, depth));
        for (i, r) in psg.nodes[node].regions.iter().enumerate().rev() {
            todo.push(Todo::Nodes(*r, 0, depth + 2));
            let params = psg.regions.get(*r).map_or(String::new(), |r| {
                r.params
                    .iter()
                    .map(|p| format!(" {p}: {}", type_name(&psg.types, psg.nodes[*p].ty)))
                    .collect()
            });
            todo.push(Todo::Line(depth + 1, format!("{}{params}:", region_label(&psg.nodes[node].op, i))));
        }
    }
}

fn region_label(op: &Op, index: usize) -> String {
    match (op, index) {
        (Op::If, 0) => "then".into(),
        (Op::If, _) => "else".into(),
        (Op::While, 0) => "while".into(),
        (Op::Switch(values), i) => values.get(i).map_or("otherwise".into(), |v| format!("case {v}")),
        _ => "do".into(),
    }
}

/// `n5: int = add n3 n4`
pub fn node_text(psg: &Psg, node: NodeId) -> String {
    let n = &psg.nodes[node];
    let mut text = match psg.types.get(n.ty) {
        Type::Unit => op_text(psg, &n.op),
        _ => format!("{node}: {} = {}", type_name(&psg.types, n.ty), op_text(psg, &n.op)),
    };
    if matches!(psg.types.get(n.ty), Type::Unit) && matches!(n.op, Op::Const(_)) {
        text = format!("{node} = {text}");
    }
    for operand in &n.operands {
        let _ = write!(text, " {operand}");
    }
    text
}

fn op_text(psg: &Psg, op: &Op) -> String {
    let tail = |tail: &bool| if *tail { "tail " } else { "" };
    match op {
        Op::Const(value) => const_text(value),
        Op::Param(n) => format!("param {n}"),
        Op::RegionParam(n) => format!("region-param {n}"),
        Op::Binary(op) => format!("{op:?}").to_lowercase(),
        Op::Unary(op) => format!("{op:?}").to_lowercase(),
        Op::Convert => "convert".into(),
        Op::Make(case) => format!("make {case}"),
        Op::Field { case, field } => format!("field {case}.{field}"),
        Op::Tag => "tag".into(),
        Op::SetField(field) => format!("set-field {field}"),
        Op::ArrayLit => "array".into(),
        Op::ArrayNew => "array-new".into(),
        Op::Length => "length".into(),
        Op::ArrayGet { checked } => format!("get{}", unchecked(*checked)),
        Op::ArraySet { checked } => format!("set{}", unchecked(*checked)),
        Op::Intrinsic(name) => format!("intrinsic {name}"),
        Op::FormatValue(spec) => format!("format {}", spec_text(spec)),
        Op::Concat => "concat".into(),
        Op::Print { to_stderr } => (if *to_stderr { "print-error" } else { "print" }).into(),
        Op::Var => "var".into(),
        Op::VarGet => "var-get".into(),
        Op::VarSet => "var-set".into(),
        Op::GlobalGet(g) => format!("global-get {}", psg.globals.get(*g).map_or("?", |g| g.name.as_str())),
        Op::GlobalSet(g) => format!("global-set {}", psg.globals.get(*g).map_or("?", |g| g.name.as_str())),
        Op::Call { func, tail: t } => {
            format!("{}call {}", tail(t), psg.funcs.get(*func).map_or("?", |f| f.name.as_str()))
        }
        Op::CallClosure { tail: t } => format!("{}call-closure", tail(t)),
        Op::Closure(func) => format!("closure {}", psg.funcs.get(*func).map_or("?", |f| f.name.as_str())),
        Op::CallExtern(x) => match psg.externs.get(*x) {
            Some(x) => format!("call-extern {}:{}", x.library, x.entry),
            None => "call-extern ?".into(),
        },
        Op::If => "if".into(),
        Op::Switch(_) => "switch".into(),
        Op::While => "loop".into(),
        Op::For(ForKind::Up) => "for".into(),
        Op::For(ForKind::Down) => "for-down".into(),
        Op::For(ForKind::By) => "for-by".into(),
        Op::Parallel => "parallel".into(),
        Op::Fail(kind) => match kind {
            FailKind::Message => "fail".into(),
            FailKind::Match => "fail-match".into(),
            FailKind::ZeroStep => "fail-zero-step".into(),
        },
        Op::AllocUnified => "alloc-unified".into(),
        Op::BufferGet { checked } => format!("buffer-get{}", unchecked(*checked)),
        Op::BufferSet { checked } => format!("buffer-set{}", unchecked(*checked)),
        Op::BufferLength => "buffer-length".into(),
        Op::Dispatch { kernel, agent, device, queue } => {
            let name = psg.kernels.get(*kernel).map_or("?", |k| k.name.as_str());
            format!("dispatch {name:?} on {agent:?} {device}.{queue}")
        }
        Op::Marker => "marker".into(),
        Op::Barrier => "barrier".into(),
        Op::WorkgroupArray(n) => format!("workgroup-array {n}"),
        Op::ItemArray(n) => format!("item-array {n}"),
        Op::Group { scope, op } => format!("{scope:?}-{op:?}").to_lowercase(),
        Op::Atomic(op) => format!("atomic-{}", format!("{op:?}").to_lowercase()),
        Op::Dup => "dup".into(),
        Op::Drop => "drop".into(),
    }
}

fn unchecked(checked: bool) -> &'static str {
    if checked { "" } else { "-unchecked" }
}

fn const_text(value: &Const) -> String {
    match value {
        Const::Unit => "()".into(),
        Const::Bool(b) => b.to_string(),
        Const::Char(c) => format!("{c:?}"),
        Const::Int(i) => i.to_string(),
        Const::Float(f) => format!("{f:?}"),
        Const::String(s) => format!("{:?}", s.as_str()),
    }
}

fn spec_text(spec: &clef_frontend::typed::FormatSpec) -> String {
    let mut text = String::from("%");
    for (on, flag) in [(spec.left, '-'), (spec.zero, '0'), (spec.plus, '+'), (spec.space, ' ')] {
        if on {
            text.push(flag);
        }
    }
    if spec.width > 0 {
        let _ = write!(text, "{}", spec.width);
    }
    if let Some(precision) = spec.precision {
        let _ = write!(text, ".{precision}");
    }
    text.push(spec.conversion);
    text
}
