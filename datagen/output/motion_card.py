"""The card of a data set of motions without pictures (`--labels-only`)."""

from __future__ import annotations

from datagen.common.cli import count, duration
from datagen.common.record import Line
from datagen.output import statistics

MEMBERS = {
    "labels.npz": ("application/x-npz", "SMPL pose, translation and betas, direction of gravity"),
    "meta.json": ("application/json", "the motion, its subject, its source and the piece"),
}


def summary(dataset: Line) -> str:
    """Return a one-sentence description of the data set."""
    return (
        f"{dataset['clips']} pieces of motion capture of at most {dataset['clip_length']} "
        "frames, as SMPL pose and translation."
    )


def text(dataset: Line, lines: list[Line], title: str, licence: str) -> str:
    """Return README.md from its title onwards.

    Args:
        lines: manifest lines of the shards.
    """
    config, fps = dataset["config"], dataset["fps"]
    motions = [motion for line in lines for motion in line["motions"]]
    length = duration(sum(motion["frames"] for motion in motions) / fps)
    size = sum(line["bytes"] for line in lines) / 1e6
    subjects = count(len({motion["subject"] for motion in motions}), "subject")
    last = max((line["shard"] for line in lines), default=0)
    return f"""
# {title}

Motions as SMPL pose and translation, without pictures: the trainer projects them through virtual
cameras. For training 3D human pose estimation from motion
([Doersch & Zisserman, NeurIPS 2019](https://arxiv.org/abs/1907.02499)). Made by motion-hmr.

| | |
|---|---|
| motions | {len(motions)} of {subjects}, {length} at {fps} frames per second |
| records | {dataset["clips"]} of at most {dataset["clip_length"]} frames |
| shards | {len(lines)} WebDataset tars, {size:.1f} MB |
| split, seed | {dataset["split"]}, {config["output"]["seed"]} |
| fingerprint | `{dataset["fingerprint"]}`, a hash of all options and inputs (`dataset.json`) |

## A record

| member | content (L frames) |
|---|---|
| `labels.npz` | `pose` float16 [L,72] axis-angle, root first; `trans` [L,3] metres; `betas` [10]; \
`gravity` [3] unit vector pointing down |
| `meta.json` | `motion`, `subject`, `source`, `fps`, `frames`, `start`, `piece`, `pieces` |

Axes are those of a level camera: x right, y down, z forward. `trans` is SMPL's translation: a joint
is R(v - J0) + J0 + `trans`. `body.npz` (and one file per gender) is the body model that maps pose
and shape to joints.

```python
import io, numpy as np, webdataset as wds
shards = "shard-{{000000..{last:06d}}}.tar"
for record in wds.WebDataset(shards, shardshuffle=False):
    labels = np.load(io.BytesIO(record["labels.npz"]))
```

{_statistics(lines)}## Licence

{licence}
"""


def _statistics(lines: list[Line]) -> str:
    if not lines:
        return ""
    found = statistics.counts([line["statistics"]["coverage"] for line in lines])
    bent = "".join(_row(name, found[name]) for name in ("elbow", "knee", "hip", "tilt"))
    degrees = " | ".join(f"{30 * i}-{30 * i + 30}°" for i in range(6))
    return f"""## Statistics

Joint flexion, and tilt of the trunk from upright, share of frames (0° is straight):

| | {degrees} |
|---|---|---|---|---|---|---|
{bent}
"""


def _row(name: str, counts: list[int]) -> str:
    shares = " | ".join(f"{number / max(sum(counts), 1):.1%}" for number in counts)
    return f"| {name} | {shares} |\n"
