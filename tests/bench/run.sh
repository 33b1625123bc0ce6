#!/usr/bin/env bash
# Benchmarks: see bench.py for what is measured. Needs clang-22; tcc and ocaml-nox add more peers.
exec python3 "$(dirname "${BASH_SOURCE[0]}")/bench.py" "$@"
