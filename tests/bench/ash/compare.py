"""A Clef program's dispatches against the same by hand with ash, interleaved in one run.

    python3 compare.py PROGRAM PEER SPIRV [RUNS]

PROGRAM is dispatch.clef, built with `clefc build --release --gpu vulkan`; PEER is the crate in this folder; SPIRV is
next.spvasm through spirv-as. Each runs RUNS times (default 9) in turn; figures are medians of the runs. The peer of a
round trip is the fastest of its ways. Ratios above 1 are in the peer's favour.
"""
import statistics
import subprocess
import sys


def times(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr}{done.stdout}")
    return {name: float(us) for name, us in (line.split() for line in done.stdout.splitlines())}


def compare(program, peer, spirv, runs=9):
    rows = []
    for _ in range(runs):
        ours = times([program])
        rows.append((ours, times([peer, spirv])))
    names = rows[0][1]
    theirs = {name: statistics.median(peer[name] for _, peer in rows) for name in names}
    trip = min((name for name in names if name.startswith("trip.")), key=theirs.get)
    print("| what | clefc, us | by hand, us | ratio |\n|---|---|---|---|")
    for what, other in (("chain", "chain"), ("trip", trip)):
        mine = statistics.median(ours[what] for ours, _ in rows)
        ratio = statistics.median(ours[what] / peer[other] for ours, peer in rows)
        print(f"| {what} (peer: {other}) | {mine:.3f} | {theirs[other]:.3f} | {ratio:.3f} |", flush=True)
    print("peer's other ways: " + ", ".join(f"{name} {us:.3f}" for name, us in theirs.items()))


if __name__ == "__main__":
    compare(*sys.argv[1:4], *map(int, sys.argv[4:]))
