"""The host executor against OpenMP: executor(work folder, clefc, clang) prints a table. See bench.py.

Dispatch and wait of an empty kernel against an empty parallel region, saxpy of 8,192 elements and of 2^24, softmax of
4096 x 2048, on one thread and on all; then the same under contention: a busy process on every processor. Programs take
turns, so that a busy machine is as unkind to one as to the other; the table has the least times of all rounds, their
ratio, and beside it the median of the rounds' ratios. OpenMP is clang's where its libomp is installed, else gcc's.
"""
import os
import statistics
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent / "programs"
# name: calls in a batch, batches, what the bar is
WORK = {
    "empty": (1000, 200, 1.0),
    "agent": (200, 100, None),
    "saxpy_small": (100, 200, 1.1),
    "saxpy_big": (1, 15, 1.05),
    "softmax_big": (1, 9, 1.05),
}
CONTENDED = {"saxpy_small": (200, 50), "saxpy_big": (1, 25), "softmax_big": (1, 15)}
CONTENTION_BAR = 2.5


def call(command, env):
    """Least and median nanoseconds of a call, and the check sum."""
    out = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()
    return float(out[0]), float(out[1]), float(out[2])


def openmp(work, clang):
    """The C program and its compiler's name."""
    out = str(work / "executor-c")
    tail = [str(PROGRAMS / "c/executor.c"), "-o", out, "-lm"]
    for compiler in ([clang, "-O3", "-march=native", "-fopenmp"],
                     [clang, "-O3", "-march=native", "-fopenmp=libgomp"],
                     ["gcc", "-O3", "-march=native", "-fopenmp"]):
        try:
            done = subprocess.run(compiler + tail, capture_output=True)
        except FileNotFoundError:
            continue
        # clang takes -fopenmp=libgomp without making regions parallel: it does not count.
        if done.returncode == 0 and "libgomp" not in compiler[-1]:
            return out, " ".join(compiler)
    raise RuntimeError("no C compiler with OpenMP")


def environment(threads):
    return {**os.environ, "CLEF_THREADS": str(threads), "OMP_NUM_THREADS": str(threads), "CLEF_AGENTS": "host"}


def compare(programs, name, calls, batches, threads, rounds):
    """Least times of both programs and the median of the rounds' ratios (of least times, and of medians)."""
    rows = []
    for _ in range(rounds):
        rows.append([call([p, name, str(calls), str(batches)], environment(threads)) for p in programs])
    (ours, theirs) = rows[-1]
    if abs(ours[2] - theirs[2]) > 1e-3 * abs(theirs[2]):
        print(f"{name}: other results: {ours[2]} and {theirs[2]}", file=sys.stderr)
    least = [min(r[i][0] for r in rows) for i in (0, 1)]
    middle = [statistics.median(r[i][1] for r in rows) for i in (0, 1)]
    return least, middle, statistics.median(r[0][0] / r[1][0] for r in rows)


def text(nanoseconds):
    return f"{nanoseconds / 1000:.2f} us" if nanoseconds < 1e6 else f"{nanoseconds / 1e6:.2f} ms"


def idle_table(programs, rounds, most):
    print("| work | threads | clefc | OpenMP | ratio of least | median ratio | bar |\n|---|---|---|---|---|---|---|")
    for name, (calls, batches, bar) in WORK.items():
        for threads in sorted({1, 2, most}):
            if threads > most:
                continue
            least, _, ratio = compare(programs, name, calls, batches, threads, rounds)
            print(f"| {name} | {threads} | {text(least[0])} | {text(least[1])} | {least[0] / least[1]:.2f} "
                  f"| {ratio:.2f} | {bar or '-'} |", flush=True)


def contended_table(programs, rounds, most):
    print("\nwith a busy process on every processor (medians; bar: 2.5 x idle)\n")
    print("| work | clefc idle | contended | factor | OpenMP factor |\n|---|---|---|---|---|")
    for name, (calls, batches) in CONTENDED.items():
        _, idle, _ = compare(programs, name, calls, batches, most, rounds)
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(most)]
        try:
            _, held, _ = compare(programs, name, calls, batches, most, rounds)
        finally:
            for process in busy:
                process.kill()
                process.wait()
        print(f"| {name} | {text(idle[0])} | {text(held[0])} | {held[0] / idle[0]:.2f} | {held[1] / idle[1]:.2f} |",
              flush=True)


def tables(programs, rounds):
    """All tables for two built programs: ours and the peer's."""
    most = len(os.sched_getaffinity(0))
    idle_table(programs, rounds, most)
    contended_table(programs, rounds, most)


def executor(work, clefc, clang, rounds):
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    peer, compiler = openmp(work, clang)
    ours = str(work / "executor-clef")
    subprocess.run([clefc, "build", "--release", str(PROGRAMS / "clef/executor.clef"), "-o", ours], check=True)
    print(f"peer: {compiler}\n")
    tables([ours, peer], rounds)


if __name__ == "__main__":
    # Two programs that were built elsewhere: executor.py OURS PEER [ROUNDS]
    tables(sys.argv[1:3], int(sys.argv[3]) if len(sys.argv) > 3 else 5)
