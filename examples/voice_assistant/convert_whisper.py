"""Turns a Whisper model of CTranslate2 into the file format of whisper.cpp.

    convert_whisper.py FOLDER OUT.bin

FOLDER holds model.bin and tokenizer.json. Weights in 8 bits are widened again; matrices are written with 16 bits,
vectors with 32, as whisper.cpp's own converter does. The result depends on the input only.
"""

import json
import os
import struct
import sys

import numpy as np

TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read_variables(path):
    """All variables of a CTranslate2 model by name."""
    with open(path, "rb") as file:

        def numbers(form):
            return struct.unpack("<" + form, file.read(struct.calcsize("<" + form)))

        def text():
            (length,) = numbers("H")
            return file.read(length)[:-1].decode()

        (version,) = numbers("I")
        text()  # the kind of model
        numbers("I")  # its revision
        variables = {}
        for _ in range(numbers("I")[0]):
            name = text()
            (rank,) = numbers("B")
            shape = numbers("I" * rank)
            kind, size = numbers("B")[0], numbers("I")[0]
            variables[name] = np.frombuffer(file.read(size), dtype=TYPES[kind]).reshape(shape)
        if version >= 3:
            for _ in range(numbers("I")[0]):
                alias, name = text(), text()
                variables[alias] = variables[name]
    return variables


class Model:
    """Tensors under whisper.cpp's names."""

    def __init__(self, variables):
        self.variables = variables
        self.tensors = {}
        self.state = variables["decoder/embeddings/weight"].shape[1]

    def plain(self, name):
        return self.variables[name].astype(np.float32)

    def weight(self, name):
        values = self.variables[name + "/weight"]
        if values.dtype == np.int8:
            return values.astype(np.float32) / self.plain(name + "/weight_scale")[:, None]
        return values.astype(np.float32)

    def norm(self, to, source):
        self.tensors[to + ".weight"] = self.plain(source + "/gamma")
        self.tensors[to + ".bias"] = self.plain(source + "/beta")

    def linear(self, to, weight, bias):
        self.tensors[to + ".weight"] = weight
        if bias is not None:
            self.tensors[to + ".bias"] = bias

    def whole(self, to, source):
        self.linear(to, self.weight(source), self.plain(source + "/bias"))

    def parts(self, to, source, names):
        """One matrix that holds several, below each other. Keys have no bias in Whisper."""
        weight, bias = self.weight(source), self.plain(source + "/bias")
        for i, name in enumerate(names):
            rows = slice(i * self.state, (i + 1) * self.state)
            self.linear(f"{to}.{name}", weight[rows], None if name == "key" else bias[rows])

    def layer(self, to, source, crosses):
        self.norm(to + ".attn_ln", source + "/self_attention/layer_norm")
        self.parts(to + ".attn", source + "/self_attention/linear_0", ["query", "key", "value"])
        self.whole(to + ".attn.out", source + "/self_attention/linear_1")
        if crosses:
            self.norm(to + ".cross_attn_ln", source + "/attention/layer_norm")
            self.whole(to + ".cross_attn.query", source + "/attention/linear_0")
            self.parts(to + ".cross_attn", source + "/attention/linear_1", ["key", "value"])
            self.whole(to + ".cross_attn.out", source + "/attention/linear_2")
        self.norm(to + ".mlp_ln", source + "/ffn/layer_norm")
        self.whole(to + ".mlp.0", source + "/ffn/linear_0")
        self.whole(to + ".mlp.2", source + "/ffn/linear_1")

    def layers(self, side):
        names = {k.split("/")[1] for k in self.variables if k.startswith(side + "/layer_")}
        return len(names - {"layer_norm"})

    def convert(self):
        t = self.tensors
        t["encoder.positional_embedding"] = self.plain("encoder/position_encodings/encodings")
        for conv in ("conv1", "conv2"):
            t[f"encoder.{conv}.weight"] = self.plain(f"encoder/{conv}/weight")
            t[f"encoder.{conv}.bias"] = self.plain(f"encoder/{conv}/bias")
        t["decoder.positional_embedding"] = self.plain("decoder/position_encodings/encodings")
        t["decoder.token_embedding.weight"] = self.plain("decoder/embeddings/weight")
        self.norm("encoder.ln_post", "encoder/layer_norm")
        self.norm("decoder.ln", "decoder/layer_norm")
        for side, crosses in (("encoder", False), ("decoder", True)):
            for i in range(self.layers(side)):
                self.layer(f"{side}.blocks.{i}", f"{side}/layer_{i}", crosses)

    def header(self):
        heads = self.variables.get("encoder/num_heads")
        heads = int(heads.reshape(-1)[0]) if heads is not None else self.state // 64
        vocabulary = self.tensors["decoder.token_embedding.weight"].shape[0]
        audio = self.tensors["encoder.positional_embedding"].shape[0]
        texts = self.tensors["decoder.positional_embedding"].shape[0]
        mels = self.tensors["encoder.conv1.weight"].shape[1]
        sizes = [vocabulary, audio, self.state, heads, self.layers("encoder")]
        sizes += [texts, self.state, heads, self.layers("decoder"), mels, 1]
        return struct.pack("<12i", 0x67676D6C, *sizes), mels


def mel_filters(count, rate=16000, size=400):
    """Triangles on the mel scale of Slaney, normed to their area."""
    step, knee, log_step = 200.0 / 3, 1000.0, np.log(6.4) / 27.0
    knee_mel = knee / step

    def to_mel(hertz):
        return np.where(hertz >= knee, knee_mel + np.log(np.maximum(hertz, 1e-9) / knee) / log_step, hertz / step)

    def to_hertz(mel):
        return np.where(mel >= knee_mel, knee * np.exp(log_step * (mel - knee_mel)), step * mel)

    edges = to_hertz(np.linspace(to_mel(np.array(0.0)), to_mel(np.array(rate / 2)), count + 2))
    widths = np.diff(edges)
    ramps = edges[:, None] - np.fft.rfftfreq(size, 1 / rate)[None]
    triangles = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def byte_letters():
    """The letters by which byte-level tokenizers write bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + n): b for n, b in enumerate(others)}


def tokens(path):
    with open(path, encoding="utf-8") as file:
        vocabulary = json.load(file)
    by_id = {number: token for token, number in vocabulary["model"]["vocab"].items()}
    by_id.update({t["id"]: t["content"] for t in vocabulary.get("added_tokens", [])})
    letters = byte_letters()
    return [bytes(letters[c] for c in by_id[number]) for number in range(50257)]


def write(out, model, words):
    header, mels = model.header()
    out.write(header)
    filters = mel_filters(mels)
    out.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
    out.write(struct.pack("<i", len(words)))
    for word in words:
        out.write(struct.pack("<i", len(word)) + word)
    for name, values in model.tensors.items():
        is_bias = name in ("encoder.conv1.bias", "encoder.conv2.bias")
        narrow = values.ndim >= 2 and not name.endswith("positional_embedding")
        values = np.ascontiguousarray(values.reshape(-1, 1) if is_bias else values)
        values = values.astype(np.float16 if narrow else np.float32)
        encoded = name.encode()
        out.write(struct.pack("<3i", values.ndim, len(encoded), int(narrow)))
        out.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)))
        out.write(encoded + values.tobytes())


def main():
    folder, target = sys.argv[1:]
    model = Model(read_variables(os.path.join(folder, "model.bin")))
    model.convert()
    with open(target, "wb") as out:
        write(out, model, tokens(os.path.join(folder, "tokenizer.json")))


if __name__ == "__main__":
    main()
