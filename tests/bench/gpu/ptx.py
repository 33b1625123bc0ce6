"""Runs kernels of the library from PTX through libcuda, and compares them with PyTorch.

    clefc emit ptx tests/kernels/kernels.clef -o FOLDER
    python3 ptx.py FOLDER/kernels.sm_90.ptx

Arguments of a kernel are 64-bit words: address and element count of a buffer, bits of a number, three extents, the address
of the status block.
"""
import ctypes
import struct
import sys

import torch


class Kernels:
    def __init__(self, path):
        torch.zeros(1, device="cuda")
        self.cuda = ctypes.CDLL("libcuda.so.1")
        self.module = ctypes.c_void_p()
        text = open(path, "rb").read() + b"\0"
        self.check(self.cuda.cuModuleLoadData(ctypes.byref(self.module), text), "load")

    def check(self, code, what):
        if code:
            sys.exit(f"{what}: CUDA error {code}")

    def run(self, name, group, extent, *arguments):
        status = torch.zeros(64, dtype=torch.int32, device="cuda")
        words = []
        for a in arguments:
            if isinstance(a, torch.Tensor):
                words += [a.data_ptr(), a.numel()]
            elif isinstance(a, float):
                words.append(struct.unpack("<I", struct.pack("<f", a))[0])
            else:
                words.append(a)
        words += [extent, 1, 1, status.data_ptr()]
        boxes = [ctypes.c_uint64(w) for w in words]
        pointers = (ctypes.c_void_p * len(boxes))(*[ctypes.cast(ctypes.byref(b), ctypes.c_void_p) for b in boxes])
        function = ctypes.c_void_p()
        self.check(self.cuda.cuModuleGetFunction(ctypes.byref(function), self.module, name.encode()), name)
        blocks = max(1, (extent + group - 1) // group)
        launched = self.cuda.cuLaunchKernel(function, blocks, 1, 1, group, 1, 1, 0, None, pointers, None)
        self.check(launched, name)
        torch.cuda.synchronize()
        if status.any():
            sys.exit(f"{name} reported {status[:8].tolist()}")


def compare(name, found, expected, tolerance):
    error = (found.double() - expected.double()).abs().max().item()
    print(f"{name:12} error {error:.3g}, allowed {tolerance:.3g}{'' if error <= tolerance else '  WRONG'}")
    return error <= tolerance


def main():
    kernels = Kernels(sys.argv[1])
    torch.manual_seed(1)
    new = lambda *size: torch.rand(*size, device="cuda") * 2 - 1
    fine = True
    x, y = new(100003), new(100003)
    expected = 1.5 * x.double() + y.double()
    kernels.run("std_saxpy_0", 256, x.numel(), 1.5, x, y)
    fine &= compare("saxpy", y, expected, 1e-6)
    partial, z = new(1024), new(1)
    kernels.run("std_sum_0", 256, 262144, x, partial, z)
    kernels.run("std_sum_1", 256, 256, x, partial, z)
    fine &= compare("sum", z, x.double().sum(), 1e-6 * x.abs().sum().item())
    rows, out, weight = new(37, 1021), new(37, 1021), new(1021)
    kernels.run("std_softmax_0", 256, 37 * 256, 1021, rows, out)
    fine &= compare("softmax", out, torch.softmax(rows.double(), 1), 4e-6)
    kernels.run("std_rms_norm_0", 256, 37 * 256, 1e-5, rows, weight, out)
    r = rows.double()
    fine &= compare("rms_norm", out, r / (r.pow(2).mean(1, keepdim=True) + 1e-5).sqrt() * weight.double(), 8e-6)
    partial, z = new(128), new(100003)
    kernels.run("std_scan_0", 256, 98 * 256, x, partial, z)
    kernels.run("std_scan_1", 256, 256, x, partial, z)
    kernels.run("std_scan_2", 256, x.numel(), x, partial, z)
    fine &= compare("scan", z, x.double().cumsum(0), 4e-6 * x.abs().sum().item())
    m, n, k = 300, 270, 190
    a, b, c = new(m, k), new(k, n), new(m, n)
    kernels.run("std_gemm_0", 256, 3 * 3 * 256, m, n, k, a, b, c)
    fine &= compare("gemm", c, a.double() @ b.double(), 4e-6 * k)
    sys.exit(0 if fine else 1)


main()
