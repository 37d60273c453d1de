"""Reads a prediction of trainer.predict: the motion, and the body's position in every frame.

L frames, S side of the crop, K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datagen.common.errors import BadInput
from datagen.common.npz import open_npz
from datagen.common.record import JOINTS

SHAPES = {
    "pose": "L 72", "shapes": "L 10", "camera": "L 3", "crop": "L 2 3", "keypoints": "L K 3",
    "source": "L", "record": "L", "place": "L", "occluded": "L", "image_size": "",
    "size": "2", "mocap_framerate": "", "poses": "L 156", "trans": "L 3", "betas": "10",
}  # fmt: skip
COUNTED = 1e9
"""Frames or pixels; larger integers are damage."""
LIMIT = 1e6
"""Radians, metres or pixels; larger numbers are damage."""
KINDS = {"record": "U", "source": "iu", "place": "iu", "image_size": "iu", "size": "iu"}
"""Kinds of the arrays that are not floating-point."""


@dataclass(frozen=True, eq=False)
class PredictedMotion:
    """One person's prediction over L frames."""

    name: str
    pose: np.ndarray
    """float [L,72] axis-angle, root → camera (x right, y down, z forward)."""
    shapes: np.ndarray
    """float [L,10] betas of each frame."""
    camera: np.ndarray
    """float [L,3] s, tx, ty of x = s·(X + t) in crop units."""
    crop: np.ndarray
    """float [L,2,3] source pixels → crop pixels."""
    keypoints: np.ndarray
    """float [L,K,3] the network's input: x, y in crop pixels, seen."""
    source: np.ndarray
    """int [L] number of each frame in its video."""
    record: np.ndarray
    """str [L] key of the record with the frame."""
    place: np.ndarray
    """int [L] index of the frame in its record."""
    occluded: np.ndarray
    """bool [L]: whether the network had no input in the frame."""
    image_size: int
    """S, pixels."""
    size: tuple[int, int]
    """Width and height of the source; 0, 0 if it is not a video."""
    fps: float
    orient: np.ndarray
    """float [L,3] global orient, axis-angle, in AMASS's world (z up)."""
    trans: np.ndarray
    """float [L,3] SMPL's translation in that world, metres, for the mean betas."""
    betas: np.ndarray
    """float [10] the mean betas."""
    gravity: np.ndarray = field(default_factory=lambda: np.array([0.0, 1.0, 0.0]))
    """float [3] direction of gravity, camera axes; that of a level camera if not predicted."""
    transl: np.ndarray | None = None
    """float [L,3] SMPL's translation in the camera's axes, metres, if known."""
    k: np.ndarray | None = None
    """float [3,3] the source's camera matrix, pixels, if transl is known."""
    joints2d: np.ndarray | None = None
    """float [L,J,2] the joints in crop pixels, in record.JOINTS' order, if known."""
    time: np.ndarray | None = None
    """float [L] seconds after the video's first frame; None if evenly spaced."""

    @property
    def times(self) -> np.ndarray:
        """float [L] seconds; starting at 0 if not known."""
        return np.arange(len(self)) / self.fps if self.time is None else self.time

    def __len__(self) -> int:
        return len(self.pose)

    def in_crop(self, points: np.ndarray, part: slice = slice(None)) -> np.ndarray:
        """Return crop pixels [L,N,2] of body points [L,N,3] (camera axes, metres) of some frames.

        With full perspective if the body's position in the camera frame is known. Otherwise the
        weak-perspective camera gives crop units: [-1, 1] from one edge of the crop to the other.
        """
        if self.transl is not None and self.k is not None:
            placed = points + self.transl[part, None]
            source = (placed @ self.k.T)[..., :2] / np.maximum(placed[..., 2:], 0.05)
            maps = self.crop[part].astype(np.float64)
            return source @ maps[:, :, :2].swapaxes(1, 2) + maps[:, None, :, 2]
        camera = self.camera[part, None].astype(np.float64)
        units = camera[..., :1] * (points[..., :2] + camera[..., 1:])
        return ((units + 1) * self.image_size - 1) / 2


def read_motion(path: Path) -> PredictedMotion:
    """Return a prediction's motion; BadInput if the file is not a prediction or has no body."""
    try:
        with open_npz(path) as file:
            if "joints" in file and "pose" not in file:
                raise BadInput(
                    f"{path} has joints but no body: a lifter predicts no rotations; "
                    "predict with a checkpoint of --model motion-hmr"
                )
            arrays = {name: file.read(name, kinds=KINDS.get(name, "fiub")) for name in SHAPES}
            known = [name for name in ("gravity", "time", "joints2d") if name in file]
            extra = {name: file.read(name).astype(float) for name in known}
            if "transl" in file:
                extra["transl"] = file.read("transl").astype(float)
                extra["k"] = file.read("K")[0].astype(float)
    except BadInput:
        raise
    except (OSError, ValueError, KeyError, IndexError):
        raise BadInput(
            f"{path} is not a complete file of trainer.predict; give one of its .npz, or predict "
            "again"
        ) from None
    sizes: dict[str, int] = {}
    for name, axes in SHAPES.items():
        wanted = axes.split()
        shape = arrays[name].shape
        fits = len(shape) == len(wanted) and all(
            have == (sizes.setdefault(axis, have) if axis.isalpha() else int(axis))
            for axis, have in zip(wanted, shape, strict=True)
        )
        if not fits:
            raise BadInput(f"{path}: {name} is {shape}, not [{axes}]; predict again")
    if not len(arrays["pose"]):
        raise BadInput(f"{path} has no frames; predict again")
    _refuse_damage(path, arrays, extra)
    width, height = arrays["size"]
    return PredictedMotion(
        name=path.stem,
        **{n: arrays[n] for n in ("pose", "shapes", "camera", "crop", "keypoints", "source")},
        **{n: arrays[n] for n in ("record", "place", "trans", "betas")},
        occluded=arrays["occluded"].astype(bool),
        image_size=int(arrays["image_size"]),
        size=(int(width), int(height)),
        fps=float(arrays["mocap_framerate"]),
        orient=arrays["poses"][:, :3],
        **extra,
    )


def _refuse_damage(path: Path, arrays: dict[str, np.ndarray], extra: dict[str, np.ndarray]) -> None:
    """Raise BadInput for absurd values; extra: the arrays that a prediction may lack."""
    for name, array in (arrays | extra).items():
        most = LIMIT if array.dtype.kind == "f" else COUNTED
        if array.dtype.kind in "fiu" and not (np.abs(array.astype(float)) < most).all():
            raise BadInput(
                f"{path}: {name} has NaN, infinite or absurd numbers; train or predict again"
            )
    if not (arrays["crop"][:, [0, 1], [0, 1]] > 0).all():
        raise BadInput(f"{path}: a crop map has no scale; make the shards again")
    if "time" in extra and not (
        extra["time"].shape == (len(arrays["pose"]),) and (np.diff(extra["time"]) > 0).all()
    ):
        raise BadInput(f"{path}: its times do not ascend; predict again")
    joints = extra.get("joints2d")
    if joints is not None and joints.shape != (len(arrays["pose"]), len(JOINTS), 2):
        raise BadInput(
            f"{path}: joints2d is {joints.shape}, not [L {len(JOINTS)} 2]; predict again"
        )
