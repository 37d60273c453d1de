"""Odd numbers in the headers of videos and tensors; pure: bytes in, bytes out."""

from __future__ import annotations

import json

import numpy as np

Rng = np.random.Generator

NUMBERS = (0, 1, -1, 2, 255, 2**15, 2**31 - 1, -(2**31), 2**32 - 1, 2**40, 2**62, 2**63 - 1)
BOXES = (b"mvhd", b"tkhd", b"elst", b"mdhd", b"stsd", b"stts", b"stss", b"stsc", b"stsz", b"stco",
         b"mdat", b"mp4v", b"esds")  # fmt: skip
DTYPES = ("F64", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "C64")


def of_boxes(rng: Rng, data: bytes) -> bytes:
    """Return an MP4 with odd numbers in its tables."""
    out = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        at = data.find(BOXES[rng.integers(len(BOXES))])
        place = at - 4 + 4 * int(rng.integers(12))
        odd = NUMBERS[rng.integers(len(NUMBERS))] & 0xFFFFFFFF
        if at >= 4 and rng.random() < 0.8:
            out[place : place + 4] = odd.to_bytes(4, "big")
        elif at >= 4:
            out[at : at + 4] = BOXES[rng.integers(len(BOXES))]
    return bytes(out)


def of_safetensors(rng: Rng, data: bytes) -> bytes:
    """Return tensors with a wrong header, or a header longer than it says."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if rng.random() < 0.2:
        odd = NUMBERS[rng.integers(len(NUMBERS))] & (1 << 64) - 1
        return odd.to_bytes(8, "little") + data[8:]
    for name in map(str, rng.choice(sorted(set(header) - {"__metadata__"}), 2)):
        entry = header.get(name)
        if not entry:
            continue
        match int(rng.integers(5)):
            case 0:
                entry["dtype"] = DTYPES[rng.integers(len(DTYPES))]
            case 1:
                begin, end = entry["data_offsets"]
                entry["data_offsets"] = [begin + int(rng.choice([-8, 4, 1 << 40])), end]
            case 2:
                entry["shape"] = [*entry["shape"], int(rng.choice([0, 2, 1 << 40, -1]))]
            case 3:
                del header[name]
            case _:
                header[name] = header[str(rng.choice(sorted(header)))]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
