"""Writes a motion's files for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datagen.bodies.smpl.model import Body
from datagen.common.files import whole
from datagen.replay import amass, bvh, gltf, joints_json, opensim
from datagen.replay.options import ExportName
from datagen.replay.prediction import PredictedMotion
from datagen.replay.world import of_prediction, smoothed


def write_exports(
    path: Path,
    motion: PredictedMotion,
    body: Body,
    kinds: Sequence[ExportName] = (),
    smooth: float | None = None,
) -> list[Path]:
    """Write <path>.glb, <path>.npz and files of further kinds; return their paths.

    All contain the same motion, on the ground and starting at the origin (see `world`). smooth: the
    filter's cut-off frequency, Hz.
    """
    world = of_prediction(motion, body)
    if smooth is not None:
        world = smoothed(world, smooth)
    name = path.name
    makers = {
        "glb": lambda: gltf.of_motion(body, world),
        "npz": lambda: amass.of_motion(world),
        "bvh": lambda: bvh.of_motion(body, world).encode(),
        "trc": lambda: opensim.markers(body, world, f"{name}.trc").encode(),
        "mot": lambda: opensim.angles(body, world, name).encode(),
        "json": lambda: joints_json.of_motion(body, motion, world).encode(),
    }
    files = [path.with_name(f"{name}.{kind}") for kind in ("glb", "npz", *dict.fromkeys(kinds))]
    for file in files:
        with whole(file) as temporary:
            temporary.write_bytes(makers[file.suffix[1:]]())
    return files
