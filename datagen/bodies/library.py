"""The body library's maker: a motion sequence becomes clips of people, drawn and labelled.

Every clip has its own person, as in SURREAL: gender, shape, look, light, yaw and
distance are drawn once and hold for the clip. `datagen.bodies.storage` says how it is stored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from datagen.bodies.appearance.atlas import vertex_colours
from datagen.bodies.appearance.looks import dress
from datagen.bodies.motion import pose_noise
from datagen.bodies.motion.sources import Motion, MotionSource, load_motion
from datagen.bodies.options import BodiesConfig
from datagen.bodies.render import camera, light
from datagen.bodies.render.renderer import Renderer
from datagen.bodies.smpl.mesh import Mesh
from datagen.bodies.smpl.model import Body, kept_bodies
from datagen.bodies.storage import library_file, manifest_line, write_clip
from datagen.common.errors import BadInput
from datagen.common.seeds import generator

BETA_LIMIT = 3.0
"""Shapes beyond three standard deviations are drawn back to the limit."""


def clip_starts(frames: float, stride: int, longest: int) -> list[int]:
    """Return the first frame of each of a sequence's clips, by SURREAL's rule (generate_job_list).

    Clip i covers frames [i·stride, i·stride + longest), as far as there are any.
    """
    clips = max(1, math.ceil((frames - (longest - stride)) / stride))
    return [clip * stride for clip in range(clips)]


def build_person(source: MotionSource, cfg: BodiesConfig, seed: int, path: Path) -> dict:
    """Make the library file of one motion sequence and return its manifest line.

    The file appears under `path` when it is complete, or not at all. Its bytes depend on the
    arguments and the drawing backend only.

    Raises:
        BadInput: the body or the motion cannot be used.
    """
    clock = _Clock("motion", "body", "look", "shade", "render", "store")
    bodies = kept_bodies(cfg.body, cfg.joint_regressor)
    any_body = bodies.get("neutral") or next(iter(bodies.values()))
    motion = load_motion(source, any_body.rest_joints())
    clock.lap("motion")

    starts = clip_starts(len(motion.pose), cfg.stride, cfg.max_clip_frames)
    with library_file(path, source.name, cfg.height, cfg.width) as file:
        clips = [
            _add_clip(file, motion, index, start, bodies, cfg, seed, clock)
            for index, start in enumerate(starts)
        ]
    line = manifest_line(path, source.name, source.subject, clips, clock.seconds)
    clock.lap("store")
    return line


def _add_clip(
    file: h5py.File, motion: Motion, clip: int, start: int, bodies: dict[str, Body],
    cfg: BodiesConfig, seed: int, clock: _Clock,
) -> dict:  # fmt: skip
    """Draw one clip's person, render and store it; return what the manifest says of it."""

    def rng(purpose: str) -> np.random.Generator:
        return generator(seed, "body", motion.name, clip, purpose)

    stop = min(start + cfg.max_clip_frames, len(motion.pose))
    # SURREAL has men and women; a neutral body serves only where there is no other.
    genders = sorted(bodies.keys() - {"neutral"}) or ["neutral"]
    gender = str(rng("gender").choice(genders))
    body = bodies[gender]
    betas = np.clip(rng("shape").standard_normal(10), -BETA_LIMIT, BETA_LIMIT).astype(np.float32)
    view = camera.draw_view(cfg, motion.trans[start:stop], rng("view"))
    pelvis = body.rest_joints(betas)[0]
    pose = pose_noise.vary(motion.pose[start:stop], cfg.pose_noise, rng("posture"))
    pose, trans = camera.into_camera(view, pose, motion.trans[start:stop], pelvis)
    vertices, joints = body.forward(pose, betas, trans)
    if not np.isfinite(vertices).all():
        raise BadInput(f"{motion.name} makes the {gender} body infinite: check the body's file")
    clock.lap("body")

    texture, look = dress(body, rng("look"), cfg.textures)
    if body.uv is None:
        texture = light.to_linear(vertex_colours(body, texture))
    clock.lap("look")
    lamp = light.draw_light(rng("light"))
    mesh = _mesh(body)
    shades = np.stack([light.shade(mesh.normals(frame), lamp) for frame in vertices])
    clock.lap("shade")

    k = camera.intrinsics(cfg)
    renderer = _renderer(tuple(k.ravel().tolist()), cfg.width, cfg.height)

    def layers() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for picture in renderer.render(mesh, vertices, shades, texture):
            clock.lap("render")
            yield picture.rgb, picture.mask, picture.flow
            clock.lap("store")

    meta = {
        "motion": motion.name,
        "subject": motion.subject,
        "start": start,
        "gender": gender,
        "yaw": view.yaw,
        "depth": view.depth,
        "pitch": view.pitch,
        "roll": view.roll,
        "light": [round(float(value), 6) for value in lamp],
        "look": look,
        "backend": renderer.backend,
        "driver": renderer.driver,
    }
    labels = {"joints3d": joints, "pose": pose, "betas": betas, "trans": trans, "camera": k}
    group = file.create_group(f"clip_{clip:04d}")
    sizes = write_clip(group, layers(), labels, meta)
    clock.lap("store")
    return {
        "frames": stop - start,
        "start": start,
        "gender": gender,
        "betas": [round(float(beta), 2) for beta in betas],
        "look": look,
        "visible": int((sizes > 0).sum()),
        "in_view": camera.stretches(camera.in_view(joints[:, 0], k, cfg.width, cfg.height)),
    }


class _Clock:
    """Adds the time since the last lap to a stage."""

    def __init__(self, *stages: str) -> None:
        self.seconds = dict.fromkeys(stages, 0.0)
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] += now - self._last
        self._last = now


@lru_cache(maxsize=3)
def _mesh(body: Body) -> Mesh:
    return Mesh(body.faces, body.num_vertices, body.uv, body.face_uv)


@lru_cache(maxsize=1)
def _renderer(camera: tuple[float, ...], width: int, height: int) -> Renderer:
    """Return this process's one renderer."""
    return Renderer(np.array(camera, np.float32).reshape(3, 3), width, height)
