"""Builds the body library: turns a motion sequence into clips of rendered, labelled people.

Every clip has its own person, as in SURREAL: gender, betas, appearance, light, yaw and distance are
drawn once per clip. `datagen.bodies.storage` defines the file format.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from datagen.bodies import shapes
from datagen.bodies.appearance.atlas import vertex_colours
from datagen.bodies.appearance.looks import dress
from datagen.bodies.motion import pose_noise
from datagen.bodies.motion.sources import Motion, MotionSource, load_motion
from datagen.bodies.options import BodiesConfig
from datagen.bodies.render import camera, light
from datagen.bodies.render.renderer import Renderer
from datagen.bodies.smpl.mesh import Mesh
from datagen.bodies.smpl.model import Body, kept_bodies, neutral_or_first
from datagen.bodies.storage import library_file, manifest_line, write_clip
from datagen.common.errors import BadInput
from datagen.common.seeds import generator
from datagen.common.stopwatch import Stopwatch

Draws = Callable[[str], np.random.Generator]
"""Returns the random generator of a clip for one purpose."""


def run_starts(frames: float, cfg: BodiesConfig) -> list[int]:
    """Return the first frames of a sequence's clips, run by run."""
    longest = cfg.max_clip_frames
    return [start for stride in cfg.stride for start in clip_starts(frames, stride, longest)]


def clip_starts(frames: float, stride: int, longest: int) -> list[int]:
    """Return the first frames of a run's clips, by SURREAL's rule (generate_job_list).

    Clip i covers frames [i·stride, i·stride + longest), up to the end of the sequence.
    """
    clips = max(1, math.ceil((frames - (longest - stride)) / stride))
    return [clip * stride for clip in range(clips)]


def build_person(
    source: MotionSource, cfg: BodiesConfig, seed: int, path: Path,
    scans: shapes.ScanFile | None = None,
) -> dict:  # fmt: skip
    """Make the library file of one motion sequence and return its manifest line.

    scans: real-scan shapes to draw from. The file is written atomically. Its bytes depend only on
    the arguments and the OpenGL driver.

    Raises:
        BadInput: the body or the motion cannot be used.
    """
    watch = Stopwatch()
    bodies = kept_bodies(cfg.body, cfg.joint_regressor)
    motion = load_motion(source, neutral_or_first(bodies).rest_joints())
    watch.lap("motion")

    starts, clips = run_starts(len(motion.pose), cfg), []
    rows = shapes.kept_scans(scans)
    with library_file(path, source.name, cfg.height, cfg.width) as file:
        for index, start in enumerate(starts):
            rng = partial(generator, seed, "body", motion.name, index)
            person = _pose_person(motion, start, bodies, rows, cfg, rng)
            watch.lap("body")
            appearance = _draw_appearance(person, cfg, rng, watch)
            group = file.create_group(f"clip_{index:04d}")
            clips.append(_write_clip(group, person, appearance, cfg, watch))
            watch.lap("store")
    line = manifest_line(path, source.name, source.subject, clips, watch.seconds)
    watch.lap("store")
    return {**line, "note": motion.note} if motion.note else line


@dataclass(frozen=True)
class _Posed:
    """A clip's person in the camera's frame, metres; T frames, V vertices."""

    body: Body
    start: int
    """First frame in the motion."""
    view: camera.View
    betas: np.ndarray
    """float32 [10]."""
    pose: np.ndarray
    """float32 [T,72] axis-angle."""
    trans: np.ndarray
    """float32 [T,3]."""
    vertices: np.ndarray
    """float32 [T,V,3]."""
    joints: np.ndarray
    """float32 [T,38,3]."""
    meta: dict[str, Any]
    """The motion and the person, for the clip's metadata."""


@dataclass(frozen=True)
class _Appearance:
    """Everything needed to render a person's surface."""

    mesh: Mesh
    texture: np.ndarray
    """uint8 [h,w,3], or linear colours float [V,3] for a body without uv."""
    shades: np.ndarray
    """float32 [T,V], irradiance factor at each vertex."""
    look: dict[str, Any]
    """The drawn skin tone, hair and garments."""
    light: np.ndarray
    """Spherical-harmonics coefficients of the light."""


def _pose_person(
    motion: Motion, start: int, bodies: dict[str, Body], scans: shapes.Scans, cfg: BodiesConfig,
    rng: Draws,
) -> _Posed:  # fmt: skip
    """Draw a clip's gender, shape, view and pose noise, and pose the body.

    Raises:
        BadInput: the body's file leads to infinite vertices.
    """
    part = slice(start, min(start + cfg.max_clip_frames, len(motion.pose)))
    # SURREAL has men and women; a neutral body is used only if there is no other.
    genders = sorted(bodies.keys() - {"neutral"}) or ["neutral"]
    gender = str(rng("gender").choice(genders))
    body = bodies[gender]
    betas = shapes.draw(scans, gender, rng("shape"))
    view = camera.draw_view(cfg, motion.trans[part], rng("view"))
    pelvis = body.rest_joints(betas)[0]
    pose = pose_noise.vary(motion.pose[part], cfg.pose_noise, rng("posture"))
    pose, trans = camera.into_camera(view, pose, motion.trans[part], pelvis)
    vertices, joints = body.forward(pose, betas, trans)
    if not np.isfinite(vertices).all():
        raise BadInput(
            f"{motion.name} gives the {gender} body infinite vertices: check the body's file"
        )
    meta = {"motion": motion.name, "subject": motion.subject, "start": start, "gender": gender}
    return _Posed(body, start, view, betas, pose, trans, vertices, joints, meta)


def _draw_appearance(
    person: _Posed, cfg: BodiesConfig, rng: Draws, watch: Stopwatch
) -> _Appearance:
    """Draw a clip's appearance and light, and shade the body's vertices."""
    texture, look = dress(person.body, rng("look"), cfg.textures)
    if person.body.uv is None:
        texture = light.to_linear(vertex_colours(person.body, texture))
    watch.lap("look")
    lamp = light.draw_light(rng("light"))
    mesh = _mesh(person.body)
    shades = np.stack([light.shade(mesh.normals(frame), lamp) for frame in person.vertices])
    watch.lap("shade")
    return _Appearance(mesh, texture, shades, look, lamp)


def _write_clip(
    group: Any, person: _Posed, appearance: _Appearance, cfg: BodiesConfig, watch: Stopwatch
) -> dict[str, Any]:
    """Render a clip into its group; return its entry in the manifest."""
    k = camera.intrinsics(cfg)
    renderer = _renderer(tuple(k.ravel().tolist()), cfg.width, cfg.height)

    def layers() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for picture in renderer.render(
            appearance.mesh, person.vertices, appearance.shades, appearance.texture
        ):
            watch.lap("render")
            yield picture.rgb, picture.mask, picture.flow
            watch.lap("store")

    view, joints, betas = person.view, person.joints, person.betas
    meta = {
        **person.meta,
        "yaw": view.yaw,
        "depth": view.depth,
        "pitch": view.pitch,
        "roll": view.roll,
        "light": [round(float(value), 6) for value in appearance.light],
        "look": appearance.look,
        "backend": renderer.backend,
        "driver": renderer.driver,
    }
    labels = {
        "joints3d": joints, "pose": person.pose, "betas": betas, "trans": person.trans, "camera": k,
    }  # fmt: skip
    sizes = write_clip(group, layers(), labels, meta)
    return {
        "frames": len(joints),
        "start": person.start,
        "gender": person.meta["gender"],
        "betas": [round(float(beta), 2) for beta in betas],
        "look": appearance.look,
        "visible": int((sizes > 0).sum()),
        "in_view": camera.stretches(camera.in_view(joints[:, 0], k, cfg.width, cfg.height)),
    }


@lru_cache(maxsize=3)
def _mesh(body: Body) -> Mesh:
    return Mesh(body.faces, body.num_vertices, body.uv, body.face_uv)


@lru_cache(maxsize=1)
def _renderer(camera: tuple[float, ...], width: int, height: int) -> Renderer:
    """Return this process's renderer."""
    return Renderer(np.array(camera, np.float32).reshape(3, 3), width, height)
