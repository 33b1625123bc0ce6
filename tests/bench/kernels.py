"""Compile times of one small kernel: the whole command, from source to files, as processor time and wall time."""
import os
import re
import statistics
import subprocess
import time

SOURCE = """module One

open BAREWire.HSA

[<Kernel("one.saxpy")>]
let saxpy (a: float32) (x: UnifiedBuffer<float32>) (y: UnifiedBuffer<float32>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- a * x.[i] + y.[i]

[<EntryPoint>]
let main (args: string array) : int =
    let x = allocateUnified<float32> 1024<bytes> [CPU; GPU_RDNA 0] PreferGPU
    let y = allocateUnified<float32> 1024<bytes> [CPU; GPU_RDNA 0] PreferGPU
    GPU.dispatch "one.saxpy" {| A = 2.0f; X = x.Address; Y = y.Address |}
    0
"""


def measured(command):
    """Processor and wall milliseconds of a command, and its stages in microseconds."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        said = child.stderr.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if child.returncode:
        raise RuntimeError(f"{command} ended with {child.returncode}: {said}")
    stages = {name: int(us) for us, name in re.findall(r"(\d+) µs\s+(\S+(?: \S+)*)", said)}
    return (usage.ru_utime + usage.ru_stime) * 1e3, wall * 1e3, stages


def kernels(work, compiler, runs):
    source = work / "One.clef"
    source.write_text(SOURCE, encoding="utf-8")
    commands = {
        "check only": ["check", str(source)],
        "SPIR-V": ["emit", "spirv", str(source), "-o", str(work / "spirv")],
        "PTX": ["emit", "ptx", str(source), "-o", str(work / "ptx")],
        "hsaco for all chips, with assembly": ["emit", "amdgcn", str(source), "-o", str(work / "amdgcn")],
    }
    stages = {}
    print("| what | processor ms, median (least) | wall ms, median (least) |\n|---|---|---|")
    for name, command in commands.items():
        measured([compiler, *command])
        rows = [measured([compiler, *command, "--time-passes"]) for _ in range(3 * runs)]
        cells = [f"{statistics.median(row[n] for row in rows):.1f} ({min(row[n] for row in rows):.1f})" for n in (0, 1)]
        print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)
        for stage in rows[0][2]:
            stages[stage] = statistics.median(row[2].get(stage, 0) for row in rows) / 1e3
    mine = [stage for stage in stages if stage in ("spirv", "sm_90") or stage.startswith("gfx")]
    print("alone, wall ms: " + ", ".join(f"{stage} {stages[stage]:.1f}" for stage in mine))
