"""Copy a data set with the people's exact flow, to measure what a perfect estimator gains.

    python -m datagen.launch … --no-occluders --out plain
    python -m benchmarks.exact_flow plain exact
    python -m trainer.fit --shards exact …         # compare with --shards plain

Flow cells on the person get the motion of the surface nearest to the camera, computed from SMPL's
parameters in the record; elsewhere the estimator's flow is kept. It is an upper bound for synthetic
clips only, as real video has no exact flow. Not part of `make bench`.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from datagen.bodies.render.camera import project
from datagen.bodies.smpl.model import Body, load_bodies
from datagen.clips.crop import transform
from datagen.common.errors import BadInput
from datagen.output import dataset, shard
from datagen.output.layout import Layout

SKIN = 0.04
"""Depth behind a cell's nearest vertex that still counts as the visible surface, metres."""
FINER = 2
"""Subdivisions of a flow cell along each axis for finding the nearest vertex."""


def exact_flow(
    labels: dict[str, np.ndarray], body: Body, flow: np.ndarray, size: int
) -> np.ndarray:
    """Return flow [T,2,h,w] with the person's exact flow blended in by the cell's coverage.

    The last frame keeps the estimator's flow, as the record lacks the next frame. size: S of the
    crop.
    """
    vertices, joints = body.forward(labels["pose"], labels["betas"], labels["trans"])

    def seen(points: np.ndarray) -> np.ndarray:
        placed = project(points, labels["camera"]) + labels["offsets"][:, None]
        return transform(labels["crop"], placed)

    known = labels["visibility"] > 0
    off = np.abs(seen(joints) - labels["joints2d"][..., :2])[known].max(initial=0)
    if off > 0.5:
        raise BadInput(f"these people do not have the embedded bodies: joints are {off:.1f} px off")
    points = torch.from_numpy(seen(vertices)).float()
    moved, depth = points[1:] - points[:-1], torch.from_numpy(vertices[:-1, :, 2])
    frames, side = len(moved), flow.shape[-1] * FINER
    cell = ((points[:-1] + 0.5) * (side / size)).floor().long()
    inside = ((cell >= 0) & (cell < side)).all(-1)
    place = torch.where(inside, cell[..., 1] * side + cell[..., 0], side * side)
    blank = torch.zeros(frames, side * side + 1)
    nearest = (blank + torch.inf).scatter_reduce(1, place, depth, "amin")
    shown = (inside & (depth < nearest.gather(1, place) + SKIN)).float()
    number = blank.scatter_add(1, place, shown)
    total = torch.stack([blank.scatter_add(1, place, shown * moved[..., i]) for i in (0, 1)], 1)
    mean = (total / number.clamp_min(1)[:, None])[..., :-1].unflatten(-1, (side, side))
    cover = (number[:, None, :-1] > 0).float().unflatten(-1, (side, side))
    mean, cover = F.avg_pool2d(mean, FINER), F.avg_pool2d(cover, FINER)
    out = flow.astype(np.float32)
    out[:-1] = mean.numpy() + (1 - cover.numpy()) * out[:-1]
    out[labels["occluded"] == 1] = 0
    return out.astype(np.float16)


def main() -> None:
    """Write the data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plain", type=Path, help="a data set of embedded bodies, --no-occluders")
    parser.add_argument("exact", type=Path, help="folder of the new data set")
    cfg = parser.parse_args()
    source, target = Layout(cfg.plain), Layout(cfg.exact)
    metadata = dataset.read(source)
    if metadata["config"].get("clips", {}).get("occluders", True):
        raise BadInput(f"{cfg.plain} has occluders; make it with --no-occluders")
    cfg.exact.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.body, target.body)
    flow = {**metadata["flow"], "name": f"exact-over-{metadata['flow']['name']}"}
    dataset.write(
        target, {**metadata, "flow": flow, "fingerprint": metadata["fingerprint"] + "-exact"}
    )
    bodies = load_bodies()
    for index in tqdm(source.found(), unit="shard"):
        records = []
        for key, members in shard.read(source.shard(index)).items():
            labels = dict(np.load(io.BytesIO(members["labels.npz"])))
            person = json.loads(members["meta.json"])["people"]
            flow = np.load(io.BytesIO(members["flow.npy"]))
            buffer = io.BytesIO()
            np.save(
                buffer, exact_flow(labels, bodies[person["gender"]], flow, metadata["image_size"])
            )
            records.append({"__key__": key, **members, "flow.npy": buffer.getvalue()})
        shard.write(target.shard(index), records)


if __name__ == "__main__":
    try:
        main()
    except BadInput as error:
        sys.exit(f"error: {error}")
