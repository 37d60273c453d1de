"""Draw predicted and true skeletons of the evaluation joints; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.common.files import write_atomic
from trainer.data.dataset import DataSet
from trainer.data.records import Damaged, decode, members_of
from trainer.evaluation import placement
from trainer.evaluation.fitting import in_crop, rays_of
from trainer.evaluation.metrics import pa_mpjpe
from trainer.evaluation.windows import PredictedClip, meta_of
from trainer.geometry import similarity
from trainer.model.motion_hmr import pick

BONES = (
    ("right_ankle", "right_knee"), ("right_knee", "right_hip"), ("right_hip", "left_hip"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("right_wrist", "right_elbow"),
    ("right_elbow", "right_shoulder"), ("right_shoulder", "left_shoulder"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("neck", "head_top"),
    ("right_shoulder", "right_hip"), ("left_shoulder", "left_hip"),
)  # fmt: skip
"""Lines between evaluation joints, by the ends of their names."""
LEFT, RIGHT, MIDDLE, TRUE = "#ff8c00", "#1e90ff", "#555555", "#bbbbbb"


def draw_skeletons(clips: list[PredictedClip], dataset: DataSet, out: Path) -> None:
    """Draw one row per clip: the reprojection in the crop, the front view, the view from the side.

    Shows the usable frame nearest to the middle: true joints in grey, predicted joints in colour
    (left orange, right blue), aligned to the ground truth by a similarity as in PA-MPJPE.
    """
    names = [dataset.joints[i] for i in dataset.evaluation_joints]
    joints = list(dataset.evaluation_joints)
    figure = Figure(figsize=(10, 2.6 * len(clips)), layout="constrained")
    rows = figure.subplots(len(clips), 4, squeeze=False)
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
    figure.suptitle("true (grey) and predicted (left orange, right blue)", fontsize=10)
    with write_atomic(out) as file:
        figure.savefig(file, dpi=100)


def _middle(clip: PredictedClip) -> int:
    """Return the usable frame nearest to the clip's middle."""
    usable = np.flatnonzero(
        clip.arrays["valid"].astype(bool) & ~clip.arrays["occluded"].astype(bool)
    )
    middle = len(clip.arrays["occluded"]) // 2
    return int(usable[np.abs(usable - middle).argmin()]) if usable.size else middle


def _crop(
    axes: Axes,
    clip: PredictedClip,
    dataset: DataSet,
    frame: int,
    names: list[str],
    joints: list[int],
) -> None:
    """Draw true and reprojected 2D joints over the crop's picture, if there is one."""
    size = dataset.image_size
    picture = _picture(clip, dataset, frame)
    if picture is not None:
        axes.imshow(picture)
    draw_skeleton(axes, clip.arrays["joints2d"][frame, joints, :2], names, true=True)
    predicted = _reprojected(clip, dataset, frame, joints)
    if predicted is not None:
        draw_skeleton(axes, predicted, names)
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
    axes.set_title(f"{clip.record.key} frame {frame}, in the crop", fontsize=8)


def _reprojected(
    clip: PredictedClip, dataset: DataSet, frame: int, joints: list[int]
) -> Float[np.ndarray, "e 2"] | None:
    """Return a frame's predicted joints [E,2] in crop pixels; None if no camera is known.

    HMR's regressor predicts its camera; the joint head's joints are placed on the keypoints' rays.
    """
    shown = clip.shown or clip.arrays
    if "joints2d" in clip.prediction:
        units = clip.prediction["joints2d"][frame, joints].numpy()
        return ((units + 1) * dataset.image_size - 1) / 2
    if not {"crop", "camera"} <= shown.keys():
        return None
    names = ("joints2d", "crop", "camera")
    found, crop, camera = (np.array(shown[name], np.float32) for name in names)
    rays = rays_of(found[:, list(dataset.keypoints)], crop, camera)
    points = pick(clip.prediction["joints"], joints).float()
    fps = float(meta_of(clip.record).get("fps", dataset.fps))
    placed = points + placement.place(points, rays, fps=fps)[:, None]
    return in_crop(placed, torch.from_numpy(crop), torch.from_numpy(camera))[frame].numpy()


def _picture(clip: PredictedClip, dataset: DataSet, frame: int) -> np.ndarray | None:
    """Return a frame's crop uint8 [S,S,3], None if the shards hold none or it is damaged."""
    arrays = clip.arrays
    if "rgb" not in arrays:  # not an input of the network: decoded only for the drawn clips
        wanted = frozenset({"rgb", "occluded"})
        try:
            arrays = decode(clip.record.load(members_of(wanted)), wanted, dataset)
        except Damaged:
            return None
    return arrays["rgb"][frame].transpose(1, 2, 0)


def draw_skeleton(
    axes: Axes, points: Float[np.ndarray, "e 2"], names: Sequence[str], true: bool = False
) -> None:
    """Draw the bones between points [E,2]: true ones wide and grey, predicted ones in colour."""
    index = {name.removeprefix("lsp_"): i for i, name in enumerate(names)}
    for a, b in BONES:
        if a not in index or b not in index:
            continue
        sides = {a.split("_")[0], b.split("_")[0]}
        shade = LEFT if sides == {"left"} else RIGHT if sides == {"right"} else MIDDLE
        axes.plot(
            *points[[index[a], index[b]]].T,
            color=TRUE if true else shade,
            lw=3.5 if true else 1.6,
            solid_capstyle="round",
        )
