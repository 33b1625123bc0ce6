#!/usr/bin/env python3
"""Benchmarks of clefc against peers, as ratios in one run: bench.py [host|compile|latency|executor|sync|vulkan|kernels ...]

host     generated host code on seven programs against clang -O3 (and rustc -O, ocamlopt where installed)
compile  check and build of generated programs of N functions, against clang -O0 (and tcc, ocamlopt)
latency  hello world: check, build, start
executor dispatches and plain kernels on the host executor against OpenMP (not pinned; see executor.py)
sync     synchronisation that the compiler placed against the same by hand in C, on the same runtime (wall time)
vulkan   chains of small dispatches and round trips through Vulkan against the same by hand with ash (wall time)
kernels  one small kernel to SPIR-V, PTX and code for all AMD chips (processor and wall time)

Environment: CLEFC (the compiler), CLANG (default clang-22), BENCH_RUNS (default 5), BENCH_SIZES (default 1000,10000).
All runs but those of `sync`, `vulkan` and `kernels` are pinned to one processor; figures are processor time, medians; ratios are medians of pairwise ratios.
"""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from executor import executor
from kernels import kernels

sys.path.append(str(Path(__file__).resolve().parent / "ash"))
from compare import compare  # noqa: E402 (needs the path)

PROCESSORS = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
HERE = Path(__file__).resolve().parent
CLEFC = os.environ.get("CLEFC", str(HERE / "../../target/release/clefc"))
CLANG = os.environ.get("CLANG", "clang-22")
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
SIZES = [int(n) for n in os.environ.get("BENCH_SIZES", "1000,10000").split(",")]
HOST = {
    "nbody": "2000000", "spectral": "1500", "fannkuch": "10", "mandelbrot": "1000",
    "trees": "17", "words": "1000000", "lists": "1000000",
}
HELLO = 'module Hello\n\n[<EntryPoint>]\nlet main argv =\n    printfn "hello"\n    0\n'


def run(command):
    """Wall seconds, processor seconds, peak MiB, output of one process that must succeed."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as child:
        output = child.stdout.read()
        errors = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {child.returncode}: {errors.decode()[-300:]}")
    wall = time.perf_counter() - start
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output


def paired(command, base):
    """Medians of processor time and of the pairwise ratio, largest peak, output of `command`."""
    rows = []
    for _ in range(RUNS):
        a = run(command)
        rows.append((a, run(base)))
    ratio = statistics.median(a[1] / b[1] for a, b in rows)
    return statistics.median(a[1] for a, _ in rows), ratio, max(a[2] for a, _ in rows), rows[-1][0][3]


def build(language, name, work):
    """Command that runs a program, or None where its compiler is not installed."""
    suffix = {"c": "c", "rust": "rs", "ocaml": "ml", "clef": "clef"}[language]
    source = work / f"{name}.{suffix}"
    shutil.copy(HERE / "programs" / language / source.name, source)
    out = work / f"{name}-{language}"
    commands = {
        "c": [CLANG, "-O3", "-march=native", "-ffp-contract=off", str(source), "-o", str(out), "-lm"],
        "rust": ["rustc", "--edition=2021", "-O", str(source), "-o", str(out)],
        "ocaml": ["ocamlopt", "-O3", "-w", "-a", str(source), "-o", str(out)],
        "clef": [CLEFC, "build", "--release", str(source), "-o", str(out)],
    }
    if shutil.which(commands[language][0]) is None:
        return None
    run(commands[language])
    return str(out)


def host(work):
    print("| program | C | Rust | OCaml | clefc | same output |\n|---|---|---|---|---|---|")
    for name, size in HOST.items():
        base = build("c", name, work)
        _, _, _, want = run([base, size])
        cells, same = [], "-"
        for language in ("c", "rust", "ocaml", "clef"):
            try:
                program = build(language, name, work)
                if program is None:
                    cells.append("-")
                    continue
                seconds, ratio, peak, output = paired([program, size], [base, size])
                cells.append(f"{seconds * 1000:.0f} ms ({ratio:.2f}x, {peak:.0f} MiB)")
                if language == "clef":
                    same = "yes" if output == want else "NO"
            except RuntimeError as error:
                cells.append(f"fails: {str(error)[:80]}")
        print(f"| {name} {size} | " + " | ".join(cells) + f" | {same} |", flush=True)


def compile_speed(work):
    print("| tool | N | µs a function | peak MiB |\n|---|---|---|---|")
    for n in SIZES:
        sources = {}
        for language, suffix in (("clef", "clef"), ("c", "c"), ("ocaml", "ml")):
            sources[language] = work / f"Bench.{suffix}"
            text = subprocess.run([sys.executable, str(HERE / "generate.py"), str(n), language],
                                  capture_output=True, check=True).stdout
            sources[language].write_bytes(text)
        out = str(work / "out")
        tools = [
            ("clefc check", [CLEFC, "check", str(sources["clef"])]),
            ("clefc build -O0", [CLEFC, "build", "-O0", str(sources["clef"]), "-o", out]),
            ("clefc build --release", [CLEFC, "build", "--release", str(sources["clef"]), "-o", out]),
            ("clang -fsyntax-only", [CLANG, "-fsyntax-only", str(sources["c"])]),
            ("clang -O0", [CLANG, "-O0", str(sources["c"]), "-o", out]),
            ("tcc", ["tcc", str(sources["c"]), "-o", out]),
            ("ocamlopt", ["ocamlopt", str(sources["ocaml"]), "-o", out]),
        ]
        for name, command in tools:
            if shutil.which(command[0]) is None or (n > 1000 and name == "ocamlopt"):
                continue
            try:
                rows = [run(command) for _ in range(max(1, RUNS if n <= 1000 else 2))]
                cpu = statistics.median(r[1] for r in rows)
                print(f"| {name} | {n} | {cpu / n * 1e6:.1f} | {max(r[2] for r in rows):.0f} |", flush=True)
            except RuntimeError as error:
                print(f"| {name} | {n} | fails: {str(error)[:100]} | |", flush=True)


def latency(work):
    source = work / "hello.clef"
    source.write_text(HELLO, encoding="utf-8")
    out = str(work / "hello")
    rows = [
        ("clefc check hello", [CLEFC, "check", str(source)]),
        ("clefc build hello", [CLEFC, "build", str(source), "-o", out]),
        ("clefc build --release hello", [CLEFC, "build", "--release", str(source), "-o", out]),
        ("hello starts and ends", [out]),
    ]
    print("| what | wall ms, median | least |\n|---|---|---|")
    for name, command in rows:
        run(command)
        walls = sorted(run(command)[0] for _ in range(4 * RUNS))
        print(f"| {name} | {statistics.median(walls) * 1000:.1f} | {walls[0] * 1000:.1f} |", flush=True)
    print(f"hello, stripped: {os.path.getsize(out) / 1024:.0f} KiB")


def every_processor():
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, PROCESSORS)  # agents are threads


def vulkan(work):
    every_processor()
    here = HERE / "ash"
    peer = work / "peer"
    run(["cargo", "build", "--release", "--quiet", "--manifest-path", str(here / "Cargo.toml"), "--target-dir", str(peer)])
    spirv, program = str(work / "next.spv"), str(work / "dispatch")
    run(["spirv-as", "--target-env", "vulkan1.2", str(here / "next.spvasm"), "-o", spirv])
    run([CLEFC, "build", "--release", "--gpu", "vulkan", str(here / "dispatch.clef"), "-o", program])
    compare(program, str(peer / "release/clef-ash-peer"), spirv, max(RUNS, 9))


def sync(work):
    every_processor()
    here = HERE / "sync"
    archive = Path(CLEFC).resolve().parent / "../runtime/libclef_runtime.a"
    planned, by_hand = str(work / "planned"), str(work / "by_hand")
    run([CLEFC, "build", "--release", str(here / "planned.clef"), "-o", planned])
    run([CLANG, "-O3", str(here / "by_hand.c"), str(archive), "-lpthread", "-ldl", "-lm", "-o", by_hand])
    print("| handoffs | by hand, microseconds a round | planned / by hand | same output |\n|---|---|---|---|")
    for what, rounds in (("pingpong", 10000), ("pipeline", 5000), ("chain", 20000)):
        rows = []
        for _ in range(max(RUNS, 15)):
            a = run([planned, what, str(rounds)])
            rows.append((a, run([by_hand, what, str(rounds)])))
        ratio = statistics.median(a[0] for a, _ in rows) / statistics.median(b[0] for _, b in rows)
        each = statistics.median(b[0] for _, b in rows) / rounds * 1e6
        print(f"| {what} | {each:.1f} | {ratio:.3f} | {rows[-1][0][3] == rows[-1][1][3]} |", flush=True)


def main():
    wanted = sys.argv[1:] or ["latency", "host", "compile", "sync"]
    try:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    except OSError:
        pass
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            print(f"\n{name}\n")
            {
                "host": host, "compile": compile_speed, "latency": latency, "sync": sync,
                "vulkan": vulkan, "kernels": lambda work: kernels(work, CLEFC, RUNS),
                "executor": lambda work: executor(work, CLEFC, CLANG, RUNS),
            }[name](Path(folder))


if __name__ == "__main__":
    main()
