"""The body library: people as short clips with mask, surface flow and exact labels, one HDF5 file
a motion sequence.

Only the person's pixels are stored, in raster order, as differences from their left neighbour
(what PNG does): a 320x240 frame with its flow takes some 20 kB. Layout of a group `clip_0003`:

    mask          uint8 [T, H·W/8]   bits of the mask, gzip, one chunk a frame
    rgb           uint8 [P, 3]       pixels of all frames one after the other, differences mod 256
    flow          int16 [P, 2]       surface flow in 1/128 px, differences mod 65536
    offsets       int64 [T+1]        frame t owns pixels offsets[t]:offsets[t+1]
    joints3d pose betas trans camera as in Person
    attributes    meta: JSON text

T frames, H W pixels, J = 38 joints, P person pixels of a clip.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from datagen.bodies import camera, light
from datagen.bodies.looks import dress
from datagen.bodies.model import Body, load_bodies
from datagen.bodies.motion import Motion, MotionSource, load_motion
from datagen.bodies.render import Picture, Renderer, Surface
from datagen.bodies.surface_flow import decode_flow, encode_flow
from datagen.config import BodiesConfig
from datagen.errors import BadInput
from datagen.seeds import generator

BETA_LIMIT = 3.0
"""Shapes beyond three standard deviations are redrawn to the limit."""

PIXEL_CHUNK = 1 << 14
"""Person pixels in one compressed chunk: about two frames."""


@dataclass(frozen=True)
class Person:
    """Consecutive frames of a clip; see `datagen.bodies.camera` for the camera's frame."""

    name: str
    rgb: np.ndarray
    """uint8 [T,H,W,3] RGB, 0 outside the mask."""
    mask: np.ndarray
    """bool [T,H,W]."""
    flow: np.ndarray
    """float16 [T,H,W,2], pixels by which the surface seen at (x, y) moves from t to t+1; 0 outside
    the mask and in the clip's last frame."""
    joints3d: np.ndarray
    """float32 [T,38,3], camera frame, metres (`datagen.record.JOINTS`)."""
    pose: np.ndarray
    """float32 [T,72], SMPL's axis-angle; the global orientation is in the camera's frame."""
    betas: np.ndarray
    """float32 [10]."""
    trans: np.ndarray
    """float32 [T,3]: forward(pose, betas, trans) gives camera-frame vertices directly."""
    camera: np.ndarray
    """float32 [3,3], K."""
    meta: dict


def clip_starts(frames: float, stride: int, longest: int) -> list[int]:
    """Return the first frame of each of a sequence's clips, by SURREAL's rule (spec 3.1).

    Clip i covers frames [i·stride, i·stride + longest), as far as there are any.
    """
    clips = max(1, math.ceil((frames - (longest - stride)) / stride))
    return [clip * stride for clip in range(clips)]


def build_person(source: MotionSource, cfg: BodiesConfig, seed: int, path: Path) -> dict:
    """Make the library file of one motion sequence and return its manifest line.

    The file appears under `path` when it is complete, or not at all. Its bytes depend on the
    arguments and the drawing backend only.

    Raises:
        BadInput: the motion cannot be used.
    """
    seconds = {"motion": 0.0, "body": 0.0, "look": 0.0, "shade": 0.0, "render": 0.0, "store": 0.0}
    clock = _Clock(seconds)
    bodies = _bodies(cfg.body)
    any_body = bodies.get("neutral") or next(iter(bodies.values()))
    motion = load_motion(source, any_body.rest_joints())
    if len(motion.pose) < 2:
        raise BadInput(f"{source.name} has {len(motion.pose)} frame(s): give it at least 2")
    clock.lap("motion")

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    lines = []
    try:
        with h5py.File(unfinished, "w", libver=("v110", "v110")) as file:
            file.attrs["version"] = 1
            file.attrs["name"] = source.name
            file.attrs["size"] = (cfg.height, cfg.width)
            for clip, start in enumerate(
                clip_starts(len(motion.pose), cfg.stride, cfg.max_clip_frames)
            ):
                group = file.create_group(f"clip_{clip:04d}")
                meta = _add_clip(group, motion, start, bodies, cfg, seed, clip, clock)
                lines.append(meta)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    data = path.read_bytes()
    clock.lap("store")
    return {
        "kind": "body",
        "name": source.name,
        "subject": source.subject,
        "file": path.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "clips": lines,
        "frames": sum(line["frames"] for line in lines),
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
    }


def read_person(path: Path, clip: int, start: int, frames: int) -> Person:
    """Read frames [start, start + frames) of a clip.

    Raises:
        BadInput: the file, the clip or the frames are not there.
    """
    try:
        with h5py.File(path, "r") as file:
            if f"clip_{clip:04d}" not in file:
                raise BadInput(f"{path} has no clip {clip}: rebuild the library")
            group: Any = file[f"clip_{clip:04d}"]
            total = len(group["pose"])
            if not 0 <= start <= start + frames <= total:
                raise BadInput(
                    f"{path} clip {clip} has {total} frames: "
                    f"frames {start} to {start + frames} cannot be read"
                )
            attributes: Any = file.attrs
            height, width = (int(n) for n in attributes["size"])
            window = slice(start, start + frames)
            offsets = group["offsets"][start : start + frames + 1]
            owned = slice(int(offsets[0]), int(offsets[-1]))
            bits = np.unpackbits(group["mask"][window], axis=1, count=height * width)
            mask = bits.reshape(frames, height, width).astype(bool)
            rgb = np.zeros((frames, height, width, 3), np.uint8)
            rgb[mask] = _running_sums(group["rgb"][owned], offsets)
            flow = np.zeros((frames, height, width, 2), np.float16)
            flow[mask] = decode_flow(_running_sums(group["flow"][owned], offsets))
            return Person(
                name=f"{attributes['name']}_{clip:04d}",
                rgb=rgb,
                mask=mask,
                flow=flow,
                joints3d=group["joints3d"][window],
                pose=group["pose"][window],
                betas=group["betas"][:],
                trans=group["trans"][window],
                camera=group["camera"][:],
                meta=json.loads(group.attrs["meta"]),
            )
    except (OSError, KeyError) as error:
        raise BadInput(
            f"{path} is not a readable body library file ({error}): rebuild it"
        ) from error


def write_clip(
    group: Any,
    pictures: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    labels: dict[str, np.ndarray],
    meta: dict,
) -> None:
    """Fill a clip's group.

    Args:
        group: empty.
        pictures: (rgb uint8 [H,W,3], mask bool [H,W], flow float [H,W,2]) of each frame.
        labels: joints3d, pose, betas, trans, camera.
        meta: anything JSON can hold.
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
    group["offsets"] = np.array(offsets, np.int64)
    for name, value in labels.items():
        group[name] = value.astype(np.float32)
    group.attrs["meta"] = json.dumps(meta, sort_keys=True)


def _add_clip(
    group: h5py.Group, motion: Motion, start: int, bodies: dict[str, Body], cfg: BodiesConfig,
    seed: int, clip: int, clock: _Clock,
) -> dict:  # fmt: skip
    """Draw one clip's person, render and store it; return what the manifest says of it."""

    def rng(purpose: str) -> np.random.Generator:
        return generator(seed, "body", motion.name, clip, purpose)

    stop = min(start + cfg.max_clip_frames, len(motion.pose))
    gender = str(rng("gender").choice(sorted(bodies)))
    body = bodies[gender]
    betas = np.clip(rng("shape").standard_normal(10), -BETA_LIMIT, BETA_LIMIT).astype(np.float32)
    view = camera.draw_view(cfg, motion.trans[start:stop], rng("view"))
    pelvis = body.rest_joints(betas)[0]
    pose, trans = camera.into_camera(
        view, motion.pose[start:stop], motion.trans[start:stop], pelvis
    )
    vertices, joints = body.forward(pose, betas, trans)
    clock.lap("body")

    texture, look = dress(body, rng("look"))
    clock.lap("look")
    lamp = light.draw_light(rng("light"))
    normals = light.Normals(body.faces, body.num_vertices)
    shades = np.stack([light.shade(normals(frame), lamp) for frame in vertices])
    clock.lap("shade")

    k = camera.intrinsics(cfg)
    renderer = _renderer(tuple(k.ravel().tolist()), cfg.width, cfg.height)
    surface = Surface(body.faces, texture, body.uv, body.face_uv)
    pictures = list(renderer.render(surface, vertices, shades))
    clock.lap("render")

    meta = {
        "motion": motion.name,
        "subject": motion.subject,
        "start": start,
        "gender": gender,
        "yaw": view.yaw,
        "depth": view.depth,
        "light": [round(float(value), 6) for value in lamp],
        "look": look,
        "backend": renderer.backend,
        "driver": renderer.driver,
    }
    labels = {"joints3d": joints, "pose": pose, "betas": betas, "trans": trans, "camera": k}
    write_clip(group, map(_layers, pictures), labels, meta)
    clock.lap("store")
    return {
        "frames": stop - start,
        "start": start,
        "gender": gender,
        "look": look,
        "visible": sum(bool(picture.mask.any()) for picture in pictures),
    }


def _layers(picture: Picture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return picture.rgb, picture.mask, picture.flow


def _dataset(group: h5py.Group, name: str, values: np.ndarray, chunk: int) -> None:
    """Store values [N,...] in compressed chunks of `chunk` rows; without times, for equal bytes."""
    chunk = max(1, min(chunk, len(values)))
    group.create_dataset(
        name, data=values, chunks=(chunk, *values.shape[1:]), compression="gzip",
        compression_opts=4, shuffle=True, track_times=False,
    )  # fmt: skip


def _differences(values: np.ndarray) -> np.ndarray:
    """Return each row of integers [N,C] minus the one before, modulo their range."""
    return np.diff(values, axis=0, prepend=np.zeros((1, values.shape[1]), values.dtype))


def _running_sums(differences: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Undo `_differences` for frames that own rows offsets[t]:offsets[t+1] (minus offsets[0])."""
    values = np.empty_like(differences)
    for first, last in zip(offsets[:-1] - offsets[0], offsets[1:] - offsets[0], strict=True):
        np.cumsum(differences[first:last], axis=0, dtype=differences.dtype, out=values[first:last])
    return values


class _Clock:
    """Adds the time since the last lap to a stage."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self._last = seconds, time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] += now - self._last
        self._last = now


@lru_cache(maxsize=1)
def _bodies(body: Path | None) -> dict[str, Body]:
    return load_bodies(body)


@lru_cache(maxsize=1)
def _renderer(camera: tuple[float, ...], width: int, height: int) -> Renderer:
    """Return this process's one renderer."""
    return Renderer(np.array(camera, np.float32).reshape(3, 3), width, height)
