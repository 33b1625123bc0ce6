#!/usr/bin/env python3
"""Writes the example's input files: generate.py FOLDER [SEED] makes FOLDER/tokens.txt and FOLDER/weights.bin.

The numbers come from a linear congruential generator, so that the same seed gives the same bytes everywhere.
"""
import sys
from pathlib import Path

POSITIONS, LATENT, HEADS, VOCABULARY = 16, 20, 4, 48
WIDTH = LATENT * HEADS
DENSE = VOCABULARY * WIDTH + WIDTH * LATENT + POSITIONS * HEADS * LATENT + VOCABULARY * WIDTH


def numbers(seed):
    state = seed & 0xFFFFFFFF
    while True:
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        yield state >> 16


def generate(seed):
    """Token ids, and the weights file's bytes."""
    draw = numbers(seed)
    tokens = [next(draw) % VOCABULARY for _ in range(POSITIONS)]
    dense = bytes((next(draw) % 129 - 64) & 0xFF for _ in range(DENSE))
    packed = bytes(sum((next(draw) % 3) * 3**d for d in range(5)) for _ in range(WIDTH * WIDTH // 5))
    return tokens, dense + packed


def main():
    folder, seed = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    folder.mkdir(parents=True, exist_ok=True)
    tokens, weights = generate(seed)
    (folder / "tokens.txt").write_text(" ".join(map(str, tokens)) + "\n", encoding="utf-8")
    (folder / "weights.bin").write_bytes(weights)


if __name__ == "__main__":
    main()
