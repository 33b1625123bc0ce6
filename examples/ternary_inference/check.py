#!/usr/bin/env python3
"""Checks the example's output against NumPy in float64: check.py TOKENS WEIGHTS OUTPUT.

Prints the largest relative error of the logits (bar: 1e-4) and whether the tokens are the same; exit code 1 if not.
"""
import sys

import numpy as np

POSITIONS, LATENT, HEADS, VOCABULARY = 16, 20, 4, 48
WIDTH = LATENT * HEADS


def reference(tokens, data):
    """Logits, positions x vocabulary."""
    shapes = [(VOCABULARY, WIDTH), (WIDTH, LATENT), (POSITIONS, HEADS, LATENT), (VOCABULARY, WIDTH)]
    parts, at = [], 0
    for shape in shapes:
        count = int(np.prod(shape))
        parts.append(np.frombuffer(data, dtype=np.int8, count=count, offset=at).reshape(shape) / 64.0)
        at += count
    embedding, projection, queries, output = parts
    packed = np.frombuffer(data, dtype=np.uint8, offset=at).reshape(WIDTH, WIDTH // 5).astype(int)
    digits = np.stack([packed // 3**d % 3 - 1 for d in range(5)], axis=2).reshape(WIDTH, WIDTH)

    latent = embedding[tokens] @ projection
    scores = np.einsum("thl,ul->htu", queries, latent) / np.sqrt(LATENT)
    scores[:, np.triu(np.ones((POSITIONS, POSITIONS), dtype=bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    attention = np.einsum("htu,ul->thl", weights, latent).reshape(POSITIONS, WIDTH)
    hidden = attention + attention @ digits.T
    return hidden @ output.T


def main():
    tokens = [int(w) for w in open(sys.argv[1], encoding="utf-8").read().split()]
    data = open(sys.argv[2], "rb").read()
    lines = open(sys.argv[3], encoding="utf-8").read().split("\n")
    want = reference(tokens, data)
    said = [int(w) for w in lines[0].removeprefix("next tokens: ").split()]
    logits = np.array([float(x) for x in lines[2 : 2 + VOCABULARY]])
    error = np.abs(logits - want[-1]).max() / np.abs(want[-1]).max()
    same = said == list(want.argmax(axis=1))
    print(f"largest relative error of the logits: {error:.2e}; tokens {'equal' if same else 'DIFFER'}")
    sys.exit(0 if same and error <= 1e-4 else 1)


if __name__ == "__main__":
    main()
