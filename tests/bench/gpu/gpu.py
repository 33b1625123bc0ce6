"""Library kernels through Vulkan against PyTorch on the same sizes, in one run.

    python3 gpu.py PROGRAM [--small N]

PROGRAM is gpu.clef, built with `clefc build --gpu vulkan`. Without PyTorch, or without its device, only the program's
times are printed. Ratios above 1 are in favour of Clef. All data are zeros on both sides; times are the best of several
runs of several dispatches each, with one wait.
"""
import argparse
import subprocess
import sys
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--small", type=int, default=1, help="divide the sizes by this")
    options = parser.parse_args()
    command = [options.program, str(options.small)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    if done.returncode:
        sys.exit(f"{options.program} ended with {done.returncode}: {done.stderr}{done.stdout}")
    ours = {name: float(us) for name, us in (line.split() for line in done.stdout.splitlines())}
    theirs, peer = torch_times(options.small)
    gib = 1073741824 // options.small
    side = 1024 if options.small > 1 else 16384
    n = 256 if options.small > 1 else 4096
    moved = {"copy": 2 * gib, "saxpy": 3 * gib, "sum": gib, "softmax": 2 * gib, "rms_norm": 2 * gib,
             "ternary_gemv": side * ((side + 79) // 80) * 16}
    print(f"peer: {peer}")
    for name, us in ours.items():
        line = f"{name:14} {us:10.2f} us"
        if name in moved:
            line += f" {moved[name] / us / 1e3:9.1f} GB/s"
        if name in ("gemm", "gemm_f16"):
            line += f" {2 * n ** 3 / us / 1e6:9.2f} TFLOP/s"
        if name in theirs:
            line += f"   peer {theirs[name]:10.2f} us   ratio {theirs[name] / us:.3f}"
        print(line)
    copy = moved["copy"] / theirs.get("copy", ours["copy"])
    print(f"ternary GEMV, packed bytes against {'the peer' if theirs else 'our'} copy: "
          f"{moved['ternary_gemv'] / ours['ternary_gemv'] / copy:.3f}")


def torch_times(small):
    try:
        import torch
    except ImportError:
        return {}, "none (PyTorch is not installed)"
    if not torch.cuda.is_available():
        return {}, "none (PyTorch has no device)"
    torch.backends.cuda.matmul.allow_tf32 = False
    count = 1073741824 // small // 4
    x = torch.zeros(count, device="cuda")
    y = torch.zeros(count, device="cuda")
    rows = x.view(-1, 4096)
    weight = torch.zeros(4096, device="cuda")
    n = 256 if small > 1 else 4096
    a, b, c = (torch.zeros(n, n, device="cuda") for _ in range(3))
    halves, others = (torch.zeros(n, n, device="cuda", dtype=torch.float16) for _ in range(2))
    little = torch.zeros(256, device="cuda")
    norm = getattr(torch.nn.functional, "rms_norm", None)
    work = {
        "copy": (10, lambda: y.copy_(x)),
        "saxpy": (10, lambda: y.add_(x, alpha=2.0)),
        "sum": (10, lambda: x.sum()),
        "softmax": (10, lambda: torch.softmax(rows, 1)),
        "gemm": (10, lambda: torch.mm(a, b, out=c)),
        "gemm_f16": (10, lambda: torch.mm(halves, others.t())),
        "chain": (1000, lambda: little.add_(1.0)),
    }
    if norm:
        work["rms_norm"] = (10, lambda: norm(rows, (4096,), weight, 1e-5))
    times = {}
    for name, (repeats, run) in work.items():
        best = float("inf")
        for _ in range(6):
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            torch.cuda.synchronize()
            best = min(best, (time.perf_counter() - start) * 1e6 / repeats)
        times[name] = best
    return times, f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}"


if __name__ == "__main__":
    main()
