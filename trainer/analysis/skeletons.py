"""Pictures of a run: its loss curve, and predicted beside true skeletons.

Needs matplotlib; the doors import it when they draw.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from trainer.data.dataset import DataSet
from trainer.data.records import Damaged, decode, members_of
from trainer.evaluation.metrics import pa_mpjpe
from trainer.evaluation.windows import Judged
from trainer.losses import similarity
from trainer.model.motion_hmr import pick
from trainer.skeleton import LEFT, RIGHT, draw_skeleton

matplotlib.use("Agg")


def draw_curve(metrics: Path, out: Path) -> None:
    """Draw loss and PA-MPJPE (training and, if any, validation) over the steps to a PNG."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    training = [line for line in lines if "loss" in line]
    validation = [line for line in lines if line.get("val_pa_mpjpe") is not None]
    steps = [line["step"] for line in training]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot(steps, [line["loss"] for line in training], color=RIGHT, lw=1)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    right.plot(steps, [line["pa_mpjpe"] for line in training], color=RIGHT, lw=1, label="training")
    if validation:
        x = [line["step"] for line in validation]
        y = [line["val_pa_mpjpe"] for line in validation]
        right.plot(x, y, "o-", color=LEFT, label="held out")
    right.set(xlabel="step", ylabel="PA-MPJPE, mm", ylim=(0, None))
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def draw_skeletons(clips: list[Judged], dataset: DataSet, out: Path) -> None:
    """Draw a row a clip: the reprojection in the crop, the front view, the view from the side.

    The usable frame nearest to the middle; true joints in grey, predicted ones in colour (left
    red, right blue), the prediction aligned to the truth by a similarity as PA-MPJPE does.
    """
    names = [dataset.joints[i] for i in dataset.evaluation_joints]
    joints = list(dataset.evaluation_joints)
    figure, rows = plt.subplots(
        len(clips), 4, figsize=(10, 2.6 * len(clips)), squeeze=False, layout="constrained"
    )
    for axes, clip in zip(rows, clips, strict=True):
        frame = _middle(clip)
        truth = torch.from_numpy(clip.arrays["joints3d"][frame, joints].astype(np.float64))
        predicted = pick(clip.prediction["joints"][frame].double(), joints)
        error = float(pa_mpjpe(predicted, truth))
        aligned = similarity(predicted, truth)(predicted).numpy()
        centre = truth.mean(0).numpy()
        true = truth.numpy() - centre
        aligned = aligned - centre
        _crop(axes[0], clip, dataset, frame, names, joints)
        for place, title, view in (
            (axes[1], "from the camera", (0, 1)),
            (axes[2], "from the side", (2, 1)),
            (axes[3], "from above", (0, 2)),
        ):
            draw_skeleton(place, true[:, view], names, true=True)
            draw_skeleton(place, aligned[:, view], names)
            place.set_title(title, fontsize=8)
            place.set(xlim=(-1.1, 1.1), ylim=(1.1, -1.1), aspect="equal")
        axes[1].set_title(f"from the camera, PA-MPJPE {error:.0f} mm", fontsize=8)
        for place in axes:
            place.set_xticks([])
            place.set_yticks([])
    figure.suptitle("true (grey) and predicted (left red, right blue)", fontsize=10)
    figure.savefig(out, dpi=100)
    plt.close(figure)


def _middle(clip: Judged) -> int:
    """Return the usable frame nearest to the clip's middle."""
    usable = np.flatnonzero(
        clip.arrays["valid"].astype(bool) & ~clip.arrays["occluded"].astype(bool)
    )
    middle = len(clip.arrays["occluded"]) // 2
    return int(usable[np.abs(usable - middle).argmin()]) if usable.size else middle


def _crop(
    axes: Axes, clip: Judged, dataset: DataSet, frame: int, names: list[str], joints: list[int]
) -> None:
    """Draw the true 2D joints and the reprojected ones over the crop (its picture if there)."""
    size = dataset.image_size
    picture = _picture(clip, dataset, frame)
    if picture is not None:
        axes.imshow(picture)
    draw_skeleton(axes, clip.arrays["joints2d"][frame, joints, :2], names, true=True)
    if "joints2d" in clip.prediction:
        units = clip.prediction["joints2d"][frame, joints].numpy()
        draw_skeleton(axes, ((units + 1) * size - 1) / 2, names)
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
    axes.set_title(f"{clip.record.key} frame {frame}, in the crop", fontsize=8)


def _picture(clip: Judged, dataset: DataSet, frame: int) -> np.ndarray | None:
    """Return a frame's crop uint8 [S,S,3], None if the shards hold none or it is damaged."""
    arrays = clip.arrays
    if "rgb" not in arrays:  # a network that sees no colour: only the drawn clips are decoded
        wanted = frozenset({"rgb", "occluded"})
        try:
            arrays = decode(clip.record.load(members_of(wanted)), wanted, dataset)
        except Damaged:
            return None
    return arrays["rgb"][frame].transpose(1, 2, 0)
