"""Damage and malice of every format, drawn at random; pure: bytes in, bytes out."""

from __future__ import annotations

import io
import json
import pickle
import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import scipy.io
import torch
from header_mutations import NUMBERS, of_boxes, of_safetensors

Rng = np.random.Generator

WORDS = ("NaN", "inf", "-inf", "1e308", "-1e30", "1e999", "0", "-1", "1", "9" * 30, "9" * 5000,
         "", "x", "null", "\0", "../../x", "x" * 300, "é", "\udcff", "{", "}", "[" * 2000,
         ",")  # fmt: skip
ZEROS = 1 << 28
"""Bytes of zeros in a bomb, which deflate packs into 0.3 MB."""


def mutate(rng: Rng, form: str, data: bytes, content: Any = None) -> bytes:
    """Return a mutation of a file; of what it holds, or of its bytes.

    form: what it is, a name in FORMS. content: the object that the file was written from, for those
    that cannot be read back.
    """
    change = FORMS.get(form)
    if change is None or rng.random() < 0.3:
        return of_bytes(rng, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = change(rng, data) if content is None else change(rng, content)
    return of_bytes(rng, data) if rng.random() < 0.1 else data


def of_bytes(rng: Rng, data: bytes) -> bytes:
    """Return bytes flipped, set, cut, moved, doubled or left out at random places."""
    out = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 1, 2, 4, 16]))):
        if not out:
            return bytes(out)
        at, length = int(rng.integers(len(out))), int(rng.choice([1, 2, 4, 8, 64, 512]))
        match int(rng.integers(9)):
            case 0 | 1:
                out[at] ^= 1 << int(rng.integers(8))
            case 2:
                out[at : at + length] = rng.bytes(length)
            case 3:
                out[at : at + length] = bytes(length)
            case 4:
                number = NUMBERS[rng.integers(len(NUMBERS))] & (1 << 64) - 1
                order = "little" if rng.random() < 0.7 else "big"
                out[at : at + 4] = (number & 0xFFFFFFFF).to_bytes(4, order)
            case 5:
                del out[at : at + length]
            case 6:
                out[at:at] = out[at : at + length]
            case 7:
                out = out[:at]
            case _:
                at = min(at, 200)  # where headers are
                out[at] = int(rng.integers(256))
    return bytes(out)


def odd_array(rng: Rng, array: np.ndarray) -> np.ndarray:
    """Return an array of odd numbers, another type or another shape."""
    array = np.array(array)
    flat = array.reshape(-1)
    match int(rng.integers(14)):
        case 0 | 1 | 2 if flat.size and array.dtype.kind == "f":
            flat[rng.integers(flat.size)] = rng.choice([np.nan, np.inf, -np.inf, 1e30, -1e10, 1e6])
        case 3 if flat.size and array.dtype.kind in "iu":
            flat[rng.integers(flat.size)] = rng.choice([0, 1, 127, 100])
        case 4:
            array = array.astype(rng.choice(["c8", "U8", "S4", "f2", "i1", "u8", "?", "f8", ">f4"]))
        case 5:
            array = array.astype(object)
        case 6:
            array = array[..., None]
        case 7:
            array = flat
        case 8 if array.ndim:
            array = array[: int(rng.integers(len(array) + 1))]
        case 9:
            array = array.T
        case 10:
            array = np.zeros((0, *array.shape[1:]), array.dtype)
        case 11 if array.ndim and array.size < 10_000:
            array = np.repeat(array, 3, axis=int(rng.integers(array.ndim)))
        case 12:
            array = np.zeros((), "M8[s]")
        case _:
            array = (
                array * rng.choice([-1, 0, 1e-30, 1e3, 1e6])
                if array.dtype.kind == "f"
                else -array.astype(int)
            )
    return array


def of_npy(rng: Rng, data: bytes) -> bytes:
    """Return an .npy with an odd array, or a header that claims something else."""
    if rng.random() < 0.3:
        start = 10 + int.from_bytes(data[8:10], "little")
        header = data[10:start].decode("latin1")
        claims = ["(-1, 3)", f"({2**40}, {2**40})", f"({2**31},)", "()", "(3", "((((", "[3, 3]",
                  "(True, 2)", "(1.5,)", f"({2**63}, 0)"]  # fmt: skip
        if rng.random() < 0.7:
            header = re.sub(r"\([^)]*\)", lambda _: str(rng.choice(claims)), header, count=1)
        else:
            kinds = ["|O", "<c8", "|V8", "<U99999999", "<f16", "|S0", "(2,)<f4", "<M8[s]"]
            header = re.sub(
                r"'descr': '[^']*'", lambda _: f"'descr': '{rng.choice(kinds)}'", header
            )
        coded = header.encode("latin1")
        return data[:8] + len(coded).to_bytes(2, "little") + coded + data[start:]
    return npy(odd_array(rng, np.load(io.BytesIO(data), allow_pickle=True)))


def of_npz(rng: Rng, data: bytes) -> bytes:
    """Return an archive with an odd array, without one, encrypted, or with a bomb."""
    members = _unzipped(data)
    name = str(rng.choice(list(members)))
    method = zipfile.ZIP_DEFLATED if rng.random() < 0.5 else zipfile.ZIP_STORED
    choice = rng.random()
    if choice < 0.65:
        members[name] = of_npy(rng, members[name])
    elif choice < 0.72:
        del members[name]
    elif choice < 0.8:
        members[name] = of_bytes(rng, members[name])
    elif choice < 0.81:
        claim = npy(np.zeros((1, 1), np.float32))
        shape = f"({ZEROS // 4}, 1)".encode()
        members[name] = claim[:10] + claim[10:128].replace(b"(1, 1)", shape)[:118] + bytes(ZEROS)
        method = zipfile.ZIP_DEFLATED
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method, compresslevel=1) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        if choice > 0.98:
            archive.writestr(name, members.get(name, b""))
    out = bytearray(stream.getvalue())
    if choice > 0.81:  # the directory's fields: flags, method, checksum, sizes
        at = out.find(b"PK\1\2" if rng.random() < 0.7 else b"PK\3\4")
        out[at + 4 + int(rng.integers(30))] = int(rng.integers(256))
    return bytes(out)


def of_json(rng: Rng, data: bytes) -> bytes:
    """Return JSON in which a value or a few are something else."""
    tree = json.loads(data)
    odd = [None, True, -1, 0, 1, 2**70, -(10**18), 1e308, float("nan"), float("inf"), 0.5,
           "", "x", "x" * 300, "NaN", [], {}, [[]], [None], {"x": 1}, "../../x", "9" * 5000, -0.0,
           4, "4"]  # fmt: skip
    for _ in range(int(rng.choice([1, 1, 1, 2, 5]))):
        places: list[tuple[Any, Any]] = []
        waiting = [tree]
        while waiting:
            node = waiting.pop()
            keys = node if isinstance(node, dict) else range(len(node))
            places += [(node, key) for key in list(keys)[:200]]
            waiting += [node[key] for key in keys if isinstance(node[key], dict | list)]
        if not places:
            break
        # values near the root decide most
        node, key = places[int(len(places) * rng.random() ** 2)]
        choice = rng.random()
        if choice < 0.15:
            del node[key]
        elif choice < 0.25 and isinstance(node, list):
            node[key:key] = [node[key]] * int(rng.choice([1, 3, 1000]))
        else:
            node[key] = odd[int(rng.integers(len(odd)))]
    if rng.random() < 0.02:
        tree = odd[int(rng.integers(len(odd)))]
    if rng.random() < 0.01:
        return b"[" * 100_000
    return json.dumps(tree).encode()


def of_lines(rng: Rng, data: bytes) -> bytes:
    """Return lines of JSON with one line mutated, doubled or left out."""
    lines = data.splitlines()
    at = int(rng.integers(len(lines)))
    lines[at] = of_json(rng, lines[at]) if rng.random() < 0.8 else b""
    return b"\n".join(lines) + b"\n"


def of_text(rng: Rng, data: bytes) -> bytes:
    """Return text with words and lines replaced, doubled, moved or left out."""
    text = data.decode("latin1")
    for _ in range(int(rng.choice([1, 1, 2, 5]))):
        words = list(re.finditer(r"\S+", text))
        lines = text.splitlines(keepends=True)
        if not words:
            break
        # the first tenth is where most that matters stands
        span = len(words) if rng.random() < 0.5 else max(1, len(words) // 10)
        word = words[int(rng.integers(span))]
        odd = (
            WORDS[int(rng.integers(len(WORDS)))].encode("utf-8", "surrogateescape").decode("latin1")
        )
        match int(rng.integers(5)):
            case 0 | 1 | 2:
                text = text[: word.start()] + odd + text[word.end() :]
            case 3:
                at = int(rng.integers(len(lines)))
                lines[at : at + 1] = [lines[at]] * int(rng.choice([0, 2, 20]))
                text = "".join(lines)
            case _:
                text = text[: word.start()] + text[word.end() :]
    return text.encode("latin1")


def of_h5(rng: Rng, data: bytes) -> bytes:
    """Return an HDF5 file with an odd array or attribute."""
    with h5py.File(io.BytesIO(data), "r") as old:
        stream = io.BytesIO()
        with h5py.File(stream, "w") as new:
            for name, value in old.attrs.items():
                new.attrs[name] = value
            for name in old:
                old.copy(name, new)
            names: list[str] = []
            new.visit(names.append)
            arrays = [name for name in names if isinstance(new[name], h5py.Dataset)]
            name = str(rng.choice(arrays))
            choice = rng.random()
            if choice < 0.75:
                array = odd_array(rng, np.asarray(new[name]))
                del new[name]
                if array.dtype.kind in "fiubc":
                    new[name] = array
                elif rng.random() < 0.3:
                    new[name] = h5py.ExternalLink("/etc/passwd", "/")
                elif rng.random() < 0.3:
                    new[name] = h5py.SoftLink(str(rng.choice([*arrays, "/none"])))
                elif rng.random() < 0.5:
                    new.create_dataset(name, (1 << 40,), np.float32, chunks=(1 << 24,))
            else:
                holder = new if choice < 0.85 else new[name].parent
                if holder.attrs:
                    key = str(rng.choice(list(holder.attrs)))
                    odd = [
                        "{}",
                        "[" * 3000,
                        "x",
                        1,
                        np.array([-1, 1 << 30]),
                        np.array([np.nan] * 2),
                        b"\xff",
                    ]
                    holder.attrs[key] = odd[int(rng.integers(len(odd)))]
    return stream.getvalue()


def of_mat(rng: Rng, data: bytes) -> bytes:
    """Return a MATLAB file with an odd variable, or without one."""
    values = {k: v for k, v in scipy.io.loadmat(io.BytesIO(data)).items() if k[:2] != "__"}
    name = str(rng.choice(list(values)))
    if rng.random() < 0.1:
        del values[name]
    elif values[name].dtype.kind in "fiu":
        odd = odd_array(rng, values[name])
        values[name] = odd if odd.dtype.kind in "fiucU" and odd.dtype.itemsize < 64 else 1
    stream = io.BytesIO()
    scipy.io.savemat(stream, values, do_compression=bool(rng.random() < 0.3))
    return stream.getvalue()


def odd_tree(rng: Rng, tree: Any, odd: Callable[[Rng, Any], Any]) -> Any:
    """Return a tree of dictionaries and lists with one leaf, or a branch, that is odd."""
    keys = (
        list(tree)
        if isinstance(tree, dict)
        else list(range(len(tree)))
        if isinstance(tree, list)
        else []
    )
    if not keys or rng.random() < 0.1:
        return odd(rng, tree)
    key = keys[int(rng.integers(len(keys)))]
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    if rng.random() < 0.1:
        del copy[key]
    else:
        copy[key] = odd_tree(rng, tree[key], odd)
    return copy


def of_pickle(rng: Rng, content: Any) -> bytes:
    """Return the pickle of a dictionary of arrays with something odd in it."""

    def odd(rng: Rng, value: Any) -> Any:
        if isinstance(value, np.ndarray) and rng.random() < 0.8:
            return odd_array(rng, value)
        shared = [[np.zeros(1000)] * 300] * 300
        others = [None, "x", -1, 2**80, {}, [], [[[]]], print, np.zeros, [value] * 1000, shared,
                  float("nan"), np.float32(np.nan)]  # fmt: skip
        return others[int(rng.integers(len(others)))]

    made = odd_tree(rng, content, odd)
    return pickle.dumps(made, int(rng.choice([2, 4, 5]))).replace(b"numpy._core.", b"numpy.core.")


def of_torch(rng: Rng, content: Any) -> bytes:
    """Return what torch.save makes of a checkpoint with something odd in it."""

    def odd(rng: Rng, value: Any) -> Any:
        if isinstance(value, torch.Tensor) and rng.random() < 0.8:
            others = [value * float("nan"), value.to(torch.complex64), value[..., None],
                      value.double(), torch.zeros(1).expand(1 << 31), value.flatten()[:0], 5,
                      torch.empty(3, device="meta"), value.to_sparse(), value.to(torch.int8),
                      torch.full_like(value, 1e30)]  # fmt: skip
        else:
            others = [None, "x", -1, 0, 1 << 30, 2**80, {}, [], [1], float("nan"), True, "resnet50",
                      "lifter", 0.5]  # fmt: skip
        return others[int(rng.integers(len(others)))]

    stream = io.BytesIO()
    torch.save(
        odd_tree(rng, content, odd), stream, _use_new_zipfile_serialization=bool(rng.random() < 0.8)
    )
    return stream.getvalue()


def of_tar(rng: Rng, data: bytes) -> bytes:
    """Return a shard with a member mutated, renamed, left out or doubled, headers right again."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = [(info, tar.extractfile(info).read()) for info in tar if info.isfile()]  # type: ignore[union-attr]
    at = int(rng.integers(len(members)))
    info, content = members[at]
    form = {"npy": "npy", "npz": "npz", "json": "json"}.get(info.name.rpartition(".")[2], "bytes")
    match int(rng.integers(8)):
        case 0:
            del members[at]
        case 1:
            info.name = str(rng.choice(["x", "../x", info.name + "x", "000000_0000.x", "é"]))
        case 2:
            members[at:at] = [members[at]]
        case _:
            members[at] = (info, mutate(rng, form, content))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    """Return an array as an .npy, objects too."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


FORMS: dict[str, Callable[[Rng, Any], bytes]] = {
    "npy": of_npy, "npz": of_npz, "json": of_json, "lines": of_lines, "text": of_text,
    "h5": of_h5, "mat": of_mat, "pickle": of_pickle, "torch": of_torch, "tar": of_tar,
    "boxes": of_boxes, "safetensors": of_safetensors,
}  # fmt: skip
"""Mutations that know the format."""
