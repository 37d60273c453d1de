"""The body library's files: HDF5, one per motion, one group per clip, only the person's pixels.

Pixels are stored in raster order as differences from their left neighbour (as in PNG), flow in
fixed point: a 320x240 frame with its flow takes about 11 kB, all of SURREAL (67,529 clips, 6.5
million frames) 73 GB. Layout of a group `clip_0003`:

    mask          uint8 [T, H·W/8]   bits of the mask, gzip, one chunk per frame
    rgb           uint8 [P, 3]       pixels of all frames, concatenated, differences mod 256
    flow          int16 [P, 2]       surface flow in 1/128 px, differences mod 65536
    offsets int64 [T+1] frame t has pixels offsets[t]:offsets[t+1]
    joints3d pose betas trans camera as in Person
    attributes    meta: JSON text

T frames, H W pixels, J = 38 joints, P person pixels of a clip.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool, Float, Float16, Int16, Integer, UInt8

from datagen.common.errors import BadInput
from datagen.common.files import sha256
from datagen.common.hdf5 import CHECKS, DAMAGED, new_file, part, read_array, read_text, text
from datagen.common.sizes import checked_count

PIXEL_CHUNK = 1 << 14
"""Person pixels in one compressed chunk: about two frames."""
MOST = 1 << 28
"""Most bytes of the pictures read at once: 31 pictures of 1,600 x 1,600."""
LIMIT = 1e5
"""Metres, pixels or radians beyond which labels are damaged."""
AGAIN = "delete the file and run the same command again"
FLOW_STEP = 1 / 128
"""Resolution of stored flow, pixels; the largest rounding error is half of it, 0.004 px."""


@dataclass(frozen=True)
class Person:
    """Consecutive frames of a clip; see `datagen.bodies.render.camera` for the camera's frame."""

    name: str
    rgb: np.ndarray
    """uint8 [T,H,W,3] RGB, 0 outside the mask."""
    mask: np.ndarray
    """bool [T,H,W]."""
    flow: np.ndarray
    """float16 [T,H,W,2], displacement in pixels of the surface visible at (x, y) from t to t+1; 0
    outside the mask and in the clip's last frame. Empty, [0,H,W,2], unless requested."""
    joints3d: np.ndarray
    """float32 [T,38,3], camera frame, metres (`datagen.common.record.JOINTS`)."""
    pose: np.ndarray
    """float32 [T,72], SMPL's axis-angle; the global orient is in the camera's frame."""
    betas: np.ndarray
    """float32 [10]."""
    trans: np.ndarray
    """float32 [T,3]: forward(pose, betas, trans) gives camera-frame vertices directly."""
    camera: np.ndarray
    """float32 [3,3], K."""
    meta: dict


@contextmanager
def library_file(path: Path, name: str, height: int, width: int) -> Iterator[h5py.File]:
    """Open a new library file for writing; it is written to `path` only when complete."""
    with new_file(path) as file:
        file.attrs["version"] = 1
        file.attrs["name"] = text(name)
        file.attrs["size"] = (height, width)
        yield file


def manifest_line(
    path: Path, name: str, subject: str, clips: list[dict], seconds: dict[str, float]
) -> dict:
    """Return a finished file's line for manifests/bodies.jsonl; each clip has its `frames`."""
    return {
        "kind": "body",
        "name": name,
        "subject": subject,
        "file": path.name,
        "sha256": sha256(path),
        "checks": CHECKS,
        "bytes": path.stat().st_size,
        "clips": clips,
        "frames": sum(clip["frames"] for clip in clips),
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
    }


def write_clip(
    group: Any,
    pictures: Iterable[
        tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"], Float[np.ndarray, "h w 2"]]
    ],
    labels: dict[str, np.ndarray],
    meta: dict,
) -> Integer[np.ndarray, " t"]:
    """Write a clip to its group; return the number of person pixels in each frame, int [T].

    Args:
        group: an empty group.
        pictures: (rgb uint8 [H,W,3], mask bool [H,W], flow float [H,W,2]) for each frame.
        labels: joints3d, pose, betas, trans, camera.
        meta: any JSON value.
    """
    bits, pixels, flows, offsets = [], [], [], [0]
    for rgb, mask, flow in pictures:
        bits.append(np.packbits(mask))
        pixels.append(_differences(rgb[mask]))
        flows.append(_differences(encode_flow(flow[mask])))
        offsets.append(offsets[-1] + len(pixels[-1]))
    _dataset(group, "mask", np.stack(bits), chunk=1)
    _dataset(group, "rgb", np.concatenate(pixels), chunk=PIXEL_CHUNK)
    _dataset(group, "flow", np.concatenate(flows), chunk=PIXEL_CHUNK)
    _dataset(group, "offsets", np.array(offsets, np.int64))
    for name, value in labels.items():
        _dataset(group, name, value.astype(np.float32))
    group.attrs["meta"] = text(json.dumps(meta, sort_keys=True))
    return np.diff(offsets)


def read_person(path: Path, clip: int, start: int, frames: int, *, flow: bool = False) -> Person:
    """Read frames [start, start + frames) of a clip, with its surface flow if `flow` is true.

    Only the training of flow networks needs that flow; shards have an estimator's.

    Raises:
        BadInput: the file, the clip or the frames do not exist.
    """
    try:
        with h5py.File(path, "r") as file:
            try:
                group: Any = part(file, f"clip_{clip:04d}")
            except KeyError:
                raise BadInput(f"{path} has no clip {clip}: {AGAIN}") from None
            total = checked_count("its frames", part(group, "pose").shape[:1], MOST)
            if not 0 <= start <= start + frames <= total:
                raise BadInput(
                    f"{path} clip {clip} has {total} frames, not {start} to {start + frames}: "
                    f"{AGAIN}"
                )
            attributes: Any = file.attrs
            height, width = (int(n) for n in attributes["size"])
            checked_count("its pictures", (frames, height, width, 3), MOST)
            window = slice(start, start + frames)
            offsets = read_array(group, "offsets", slice(start, start + frames + 1))
            owned = slice(int(offsets[0]), int(offsets[-1]))
            bits = np.unpackbits(read_array(group, "mask", window), axis=1, count=height * width)
            mask = bits.reshape(frames, height, width).astype(bool)
            if (np.diff(offsets) != mask.sum((1, 2))).any():
                raise ValueError("its masks and pixels differ")
            rgb = np.zeros((frames, height, width, 3), np.uint8)
            rgb[mask] = _running_sums(read_array(group, "rgb", owned), offsets)
            moved = np.zeros((frames if flow else 0, height, width, 2), np.float16)
            if flow:
                moved[mask] = decode_flow(_running_sums(read_array(group, "flow", owned), offsets))
            labels = {name: _finite(group, name, rows) for name, rows in
                      (("joints3d", window), ("pose", window), ("betas", None),
                       ("trans", window), ("camera", None))}  # fmt: skip
            return Person(
                name=f"{read_text(attributes['name'])}_{clip:04d}",
                rgb=rgb,
                mask=mask,
                flow=moved,
                **labels,
                meta=json.loads(read_text(group.attrs["meta"])),
            )
    except FileNotFoundError:
        raise BadInput(f"the library lacks {path}; run the command that made the shards") from None
    except BadInput:
        raise
    except DAMAGED as error:
        raise BadInput(f"{path} is not a readable body library file ({error}): {AGAIN}") from error


def clip_lengths(path: Path) -> list[int]:
    """Return the number of frames of each clip of a library file. BadInput as `read_person`."""
    try:
        with h5py.File(path, "r") as file:
            clips = [part(file, f"clip_{clip:04d}") for clip in range(len(file))]
            return [
                checked_count("its frames", part(clip, "pose").shape[:1], MOST) for clip in clips
            ]
    except DAMAGED as error:
        raise BadInput(f"{path} is not a readable body library file ({error}): {AGAIN}") from error


def _finite(group: Any, name: str, rows: slice | None) -> np.ndarray:
    values = read_array(group, name, rows)
    if not (np.abs(values) < LIMIT).all():
        raise ValueError(f"{name} has NaN, infinite or absurd numbers")
    return values


def encode_flow(flow: Float[np.ndarray, "*batch"]) -> Int16[np.ndarray, "*batch"]:
    """Return flow as fixed-point int16 in units of FLOW_STEP; saturates at ±256 px.

    Float16 resolves 0.004-0.016 px between 4 and 32 px, so no precision is lost, and neighbouring
    pixels differ by small integers, which compress three times better.
    """
    return np.clip(np.rint(flow / FLOW_STEP), -32768, 32767).astype(np.int16)


def decode_flow(codes: Int16[np.ndarray, "*batch"]) -> Float16[np.ndarray, "*batch"]:
    """Return float16 pixels from the int16 codes of `encode_flow`."""
    return (codes.astype(np.float32) * FLOW_STEP).astype(np.float16)


def _dataset(group: Any, name: str, values: np.ndarray, chunk: int = 0) -> None:
    """Store values [N,...] with checksums, in compressed chunks of `chunk` rows or as one chunk,
    without time stamps so that equal values give equal bytes."""
    if not len(values):  # a person outside the picture for the whole clip: HDF5 has no empty chunks
        group.create_dataset(name, data=values, track_times=False)
        return
    packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if chunk else {}
    rows = min(chunk or len(values), len(values))
    group.create_dataset(
        name, data=values, chunks=(rows, *values.shape[1:]), track_times=False, fletcher32=True,
        **packing,
    )  # fmt: skip


def _differences(values: np.ndarray) -> np.ndarray:
    """Return each row of integers [N,C] minus the previous one, modulo their range."""
    return np.diff(values, axis=0, prepend=np.zeros((1, values.shape[1]), values.dtype))


def _running_sums(differences: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Undo `_differences` for frames with rows offsets[t]:offsets[t+1] (minus offsets[0])."""
    values = np.empty_like(differences)
    for first, last in zip(offsets[:-1] - offsets[0], offsets[1:] - offsets[0], strict=True):
        np.cumsum(differences[first:last], axis=0, dtype=differences.dtype, out=values[first:last])
    return values
