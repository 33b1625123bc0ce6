"""Compares the output of kernels.clef with NumPy in double precision.

Tolerances: |difference| <= 4e-6 * scale, where scale is the largest sum of magnitudes that goes into an element (at
least 1); copy and transpose exactly, as far as printed. Rotary and MLA 2e-5: sines on devices are exact to about
1e-5, and an error of a score is one of its weight. gemm_int8 exactly.
"""
import sys

import numpy as np


def make(n, seed):
    i = np.arange(n, dtype=np.int64)
    whole = ((i * 7919 + seed) % 1000).astype(np.float32)
    return (whole / np.float32(500) - np.float32(1)).astype(np.float64)


def expected():
    x, y = make(1003, 13), make(1003, 77)
    rows, weight = make(3 * 301, 5).reshape(3, 301), make(301, 3)
    a, v = make(7 * 301, 9).reshape(7, 301), make(301, 21)
    raised = np.exp(rows - rows.max(axis=1, keepdims=True))
    row, column = np.arange(7)[:, None], np.arange(301)[None, :]
    trits = (row * 131 + column * column * 7 + column // 5) % 3 - 1
    left, right = make(37 * 29, 2).reshape(37, 29), make(29 * 67, 4).reshape(29, 67)
    left_quads, right_quads = make(37 * 28, 2).reshape(37, 28), make(28 * 132, 4).reshape(28, 132)
    heads = make(150, 8).reshape(5, 3, 2, 5)
    angle = np.arange(5)[:, None, None] * 10000.0 ** (-2 * np.arange(5) / 10)
    c, s = np.cos(angle), np.sin(angle)
    turned = np.stack([heads[:, :, 0] * c - heads[:, :, 1] * s, heads[:, :, 0] * s + heads[:, :, 1] * c], axis=2)
    mean = (rows * rows).mean(axis=1, keepdims=True)
    i = np.arange(112 * 45)
    bytes_a = (i[: 37 * 45] * 7919 % 256 - 128).reshape(37, 45)
    bytes_b = (i[: 67 * 45] * 131 % 256 - 128).reshape(67, 45)
    half_a = (i[: 37 * 45] * 7919 % 257 - 128).reshape(37, 45) / 64
    half_b = (i[: 67 * 45] * 131 % 257 - 128).reshape(67, 45) / 64
    j = np.arange(128 * 96)
    tiles_a = (j * 7919 % 257 - 128).reshape(128, 96) / 64
    tiles_b = (j * 131 % 257 - 128).reshape(128, 96) / 64
    queries, cache = make(3 * 37, 6).reshape(3, 37), make(301 * 37, 11).reshape(301, 37)
    scores = queries @ cache.T * 0.25
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return {
        "saxpy": (1.5 * x + y, 4e-6),
        "copy": (x, 1e-9),
        "sum": (x.sum(), 4e-6 * np.abs(x).sum()),
        "scan": (x.cumsum(), 4e-6 * np.abs(x).sum()),
        "softmax": (raised / raised.sum(axis=1, keepdims=True), 4e-6),
        "rms_norm": (rows / np.sqrt(mean + 1e-5) * weight, 4e-6 * 2),
        "gemv": (a @ v, 4e-6 * (np.abs(a) @ np.abs(v)).max()),
        "ternary_gemv": (0.5 * trits @ v, 4e-6 * np.abs(v).sum()),
        "transpose": (a.T, 1e-9),
        "gemm": (left @ right, 4e-6 * (np.abs(left) @ np.abs(right)).max()),
        "gemm_quads": (
            left_quads @ right_quads,
            4e-6 * (np.abs(left_quads) @ np.abs(right_quads)).max(),
        ),
        "rotary": (turned, 2e-5),
        "gemm_int8": (bytes_a @ bytes_b.T, 0),
        "gemm_f16": (half_a @ half_b.T, 4e-6 * (np.abs(half_a) @ np.abs(half_b).T).max()),
        "gemm_f16_tiles": (tiles_a @ tiles_b.T, 4e-6 * (np.abs(tiles_a) @ np.abs(tiles_b).T).max()),
        "mla": (weights @ cache[:, :29], 2e-5),
    }


def main():
    found = {}
    for line in sys.stdin:
        name, *values = line.split()
        found[name] = np.array([float(v) for v in values])
    wrong = []
    for name, (values, tolerance) in expected().items():
        values = np.ravel(values)
        got = found.get(name)
        if got is None or got.shape != values.shape:
            wrong.append(f"{name}: {None if got is None else got.shape} values, expected {values.shape}")
            continue
        error = np.abs(got - values).max()
        if not error <= tolerance:
            at = int(np.argmax(np.abs(got - values)))
            wrong.append(f"{name}: error {error:.3g} at {at}, allowed {tolerance:.3g}")
    sys.exit("\n".join(wrong) if wrong else 0)


main()
