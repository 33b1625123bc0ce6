//! Compiles hand-built graphs, links them with a stub of the runtime and runs them.

use clef_backends::job::{Answer, Job, Options, Want};
use clef_frontend::span::{FileId, LineIndex, Span};
use clef_psg::builder::FuncBuilder;
use clef_psg::graph::{FileInfo, Psg};
use clef_psg::id::{NodeId, TypeId};
use clef_psg::node::{BinOp, Const, Op};
use clef_psg::ty::Type;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

pub const SOURCE: &str = "line one\nline two\nline three\n";

/// A place on a line of the pretended source.
pub fn on_line(line: usize) -> Span {
    let start = (line - 1) * 9;
    Span::new(FileId(0), start, start + 4)
}

/// Common types of a graph under construction.
#[derive(Clone, Copy)]
pub struct T {
    pub unit: TypeId,
    pub bool: TypeId,
    pub int: TypeId,
    pub float: TypeId,
    pub string: TypeId,
}

pub fn graph() -> (Psg, T) {
    let mut psg = Psg::default();
    psg.files.push(FileInfo { name: "test.clef".to_string(), lines: LineIndex::new(SOURCE) });
    let t = T {
        unit: psg.ty(Type::Unit),
        bool: psg.ty(Type::Bool),
        int: psg.ty(Type::Int(clef_frontend::ast::IntKind::I32)),
        float: psg.ty(Type::Float(clef_frontend::ast::FloatKind::F64)),
        string: psg.ty(Type::String),
    };
    (psg, t)
}

pub fn int(f: &mut FuncBuilder, t: T, value: i64) -> NodeId {
    f.constant(Const::Int(value), t.int)
}

pub fn binary(f: &mut FuncBuilder, op: BinOp, a: NodeId, b: NodeId, ty: TypeId) -> NodeId {
    f.push(Op::Binary(op), &[a, b], ty)
}

/// Prints an integer and a line end, and gives the texts back.
pub fn print_int(f: &mut FuncBuilder, t: T, v: NodeId) {
    let spec = clef_frontend::typed::FormatSpec { conversion: 'd', ..Default::default() };
    let text = f.push(Op::FormatValue(spec), &[v], t.string);
    let end = f.constant(Const::String("\n".into()), t.string);
    let line = f.push(Op::Concat, &[text, end], t.string);
    f.push(Op::Print { to_stderr: false }, &[line], t.unit);
    f.push(Op::Drop, &[text], t.unit);
    f.push(Op::Drop, &[line], t.unit);
}

pub fn job(psg: Psg, opt_level: u8, want: Want) -> Job {
    let (kernels, _) = clef_psg::kernel::analyse(&psg);
    Job {
        psg,
        kernels,
        routes: Vec::new(),
        options: Options {
            opt_level,
            cpu: "x86-64-v3".to_string(),
            triple: "x86_64-unknown-linux-gnu".to_string(),
            vulkan: false,
            chips: Vec::new(),
            gpu_agent: None,
            adversarial: false,
            debug_info: true,
            dump_after: None,
            time_passes: false,
            libraries: Vec::new(),
            npu: Vec::new(),
        },
        want,
    }
}

pub fn answer(job: &Job) -> Answer {
    let answer = clef_backends::run(job);
    assert_eq!(answer.bug, None);
    answer
}

fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("clef-native-{}-{n}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// Compiles at a level, links, runs.
pub fn run_at(psg: &Psg, opt_level: u8) -> Output {
    run_job(&job(psg.clone(), opt_level, Want::Object))
}

/// Compiles, links, runs.
pub fn run_job(job: &Job) -> Output {
    let answer = answer(job);
    let folder = folder();
    let (object, program) = (folder.join("program.o"), folder.join("program"));
    std::fs::write(&object, &answer.files[0].1).expect("the object");
    let stub = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native/stub.c");
    let cc = Command::new("cc").arg("-O1").arg(&object).arg(stub).arg("-lm").arg("-o").arg(&program).output();
    let cc = cc.expect("cc");
    assert!(cc.status.success(), "{}", String::from_utf8_lossy(&cc.stderr));
    let output = Command::new(&program).output().expect("the program");
    std::fs::remove_dir_all(folder).expect("the folder");
    output
}

/// Runs at -O0 and -O3: the same text and code, and nothing left alive.
pub fn expect(psg: &Psg, stdout: &str, code: i32) {
    for level in [0, 3] {
        let output = run_at(psg, level);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "at level {level}: {errors}");
        assert_eq!(output.status.code(), Some(code), "at level {level}: {errors}");
        assert!(errors.contains("live 0\n"), "at level {level}: {errors}");
    }
}

/// Runs at -O0 and -O3: the program stops with this message.
pub fn expect_stop(psg: &Psg, message: &str) {
    for level in [0, 3] {
        let output = run_at(psg, level);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(message), "at level {level}: {errors}");
        assert_eq!(output.status.code(), Some(134), "at level {level}: {errors}");
    }
}

/// Upstream's tool accepts the text, where it is installed.
pub fn mlir_opt_accepts(text: &str) {
    let folder = folder();
    let file = folder.join("program.mlir");
    std::fs::write(&file, text).expect("the text");
    match Command::new("mlir-opt-22").arg(&file).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(e) => eprintln!("mlir-opt-22 does not run ({e}): its opinion is not asked"),
    }
    std::fs::remove_dir_all(folder).expect("the folder");
}
