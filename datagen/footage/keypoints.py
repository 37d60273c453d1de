"""2D keypoints of any detector, converted to the 14 evaluation joints.

Every layout is answered by three lists of indices: the 12 limbs (the network's input), the neck,
the face. The crown is no detector's joint, but the training crop is put around it too, so it is
guessed from the face, or from the trunk where there is none; otherwise people would be a fifth
larger in real crops than in the ones that the network learned from.
"""

# T frames, P people, K points of a layout

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.clips.camera_offset import inside
from datagen.common.record import EVAL_JOINTS, KEYPOINTS

NECK, HEAD = EVAL_JOINTS.index("lsp_neck"), EVAL_JOINTS.index("lsp_head_top")
SHOULDERS = [EVAL_JOINTS.index(f"lsp_{side}_shoulder") for side in ("right", "left")]
HIPS = [EVAL_JOINTS.index(f"lsp_{side}_hip") for side in ("right", "left")]
CROWN_OF_FACE = 1.55
"""(crown − shoulders) / (eyes and ears − shoulders) of a standing adult: 0.182 / 0.117 statures."""
CROWN_OF_TRUNK = 0.63
"""(crown − shoulders) / (shoulders − hips): 0.182 / 0.288 statures."""


@dataclass(frozen=True)
class KeypointLayout:
    """Where a detector's points lie among its K; limbs in the order of record.KEYPOINTS."""

    name: str
    points: int
    limbs: tuple[int, ...]
    face: tuple[int, ...] = ()
    neck: int | None = None
    head: int | None = None
    threshold: float = 0.3
    """Confidence that counts as seen."""


OPENPOSE = 0.1  # HMMR's threshold for OpenPose, 3DPW's detections among them
LAYOUTS = {
    layout.name: layout
    for layout in (
        # Our own file: the 12 limbs, or those and neck and crown, seen from 0.5 up.
        KeypointLayout("limbs", 12, tuple(range(12)), threshold=0.5),
        KeypointLayout("evaluation", 14, tuple(range(12)), neck=12, head=13, threshold=0.5),
        KeypointLayout(
            "coco17", 17, (16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9), face=(0, 1, 2, 3, 4)
        ),
        KeypointLayout(
            "openpose18", 18, (10, 9, 8, 11, 12, 13, 4, 3, 2, 5, 6, 7), face=(0, 14, 15, 16, 17),
            neck=1, threshold=OPENPOSE,
        ),
        KeypointLayout(
            "openpose25", 25, (11, 10, 9, 12, 13, 14, 4, 3, 2, 5, 6, 7), face=(0, 15, 16, 17, 18),
            neck=1, threshold=OPENPOSE,
        ),
        KeypointLayout(  # BODY_25B: COCO's 17, then the upper neck and the crown
            "openpose25b", 25, (16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9), face=(0, 1, 2, 3, 4),
            head=18, threshold=OPENPOSE,
        ),
        KeypointLayout(
            "mediapipe33", 33, (28, 26, 24, 23, 25, 27, 16, 14, 12, 11, 13, 15),
            face=(0, 2, 5, 7, 8), threshold=0.2,
        ),
    )
}  # fmt: skip
assert all(len(layout.limbs) == len(KEYPOINTS) for layout in LAYOUTS.values())


def guess_layout(points: np.ndarray) -> KeypointLayout | None:
    """Return the layout of points [...,K,3]; None if no layout has K.

    OpenPose has two of 25 points. Where they lie tells them apart: BODY_25's second is the neck,
    midway between the shoulders, and its ninth the middle of the hips; BODY_25B has an eye and an
    elbow there.
    """
    count = points.shape[-2]
    if count == 25:
        old = np.nanmax([_between(points, 1, 2, 5), _between(points, 8, 9, 12), 0])
        new = np.nanmax([_between(points, 17, 5, 6), _between(points, 0, 1, 2), 0.05])
        return LAYOUTS["openpose25" if old <= new else "openpose25b"]
    return next((layout for layout in LAYOUTS.values() if layout.points == count), None)


def _between(points: np.ndarray, middle: int, a: int, b: int) -> float:
    """Return how far a point lies from the middle of two others, in sizes of the person.

    The median over all people; NaN if the three are never seen together.
    """
    chosen = points[..., [middle, a, b], :].reshape(-1, 3, 3)
    every = points.reshape(-1, *points.shape[-2:])
    seen = (chosen[..., 2] > OPENPOSE).all(1)
    if not seen.any():
        return np.nan
    chosen, every = chosen[seen, :, :2], every[seen]
    shown = (every[..., 2:] > OPENPOSE).repeat(2, -1)
    high = np.where(shown, every[..., :2], -np.inf).max(1)
    low = np.where(shown, every[..., :2], np.inf).min(1)
    size = np.linalg.norm(high - low, axis=-1)
    off = np.linalg.norm(chosen[:, 0] - (chosen[:, 1] + chosen[:, 2]) / 2, axis=-1)
    return float(np.median(off / np.maximum(size, 1)))


def evaluation_points(
    points: np.ndarray, layout: KeypointLayout, threshold: float | None = None
) -> np.ndarray:
    """Return float32 [...,14,3] in EVAL_JOINTS' order: x, y, and 1 if seen, else all 0.

    Args:
        points: [...,K,3] x, y in pixels and confidence; NaN is unseen.
        layout: what the points are.
        threshold: confidence above which a point is seen; default: the layout's own.
    """
    limit = layout.threshold if threshold is None else threshold
    points = np.asarray(points, np.float64)
    seen = np.isfinite(points).all(-1) & (np.nan_to_num(points[..., 2]) > limit)
    points = np.where(seen[..., None], points, 0)
    points[..., 2] = seen
    out = np.zeros((*points.shape[:-2], len(EVAL_JOINTS), 3))
    out[..., : len(KEYPOINTS), :] = points[..., list(layout.limbs), :]
    shoulders, hips = _middle(out, SHOULDERS), _middle(out, HIPS)
    out[..., NECK, :] = shoulders if layout.neck is None else points[..., layout.neck, :]
    if layout.head is not None:
        out[..., HEAD, :] = points[..., layout.head, :]
        return out.astype(np.float32)
    face = points[..., list(layout.face), :]
    weight = face[..., 2:]
    total = weight.sum(-2)
    middle = (face[..., :2] * weight).sum(-2) / np.maximum(total, 1)
    base = np.where(shoulders[..., 2:] > 0, shoulders, out[..., NECK, :])
    crown = base[..., :2] + CROWN_OF_FACE * (middle - base[..., :2])
    trunk = shoulders[..., :2] + CROWN_OF_TRUNK * (shoulders[..., :2] - hips[..., :2])
    from_face = (base[..., 2:] > 0) & (total > 0)
    from_trunk = (shoulders[..., 2:] > 0) & (hips[..., 2:] > 0)
    known = from_face | from_trunk
    out[..., HEAD, :2] = np.where(known, np.where(from_face, crown, trunk), 0)
    out[..., HEAD, 2:] = known
    return out.astype(np.float32)


def _middle(points: np.ndarray, pair: list[int]) -> np.ndarray:
    """Return the middle of two joints [...,3], seen where both are, else 0."""
    both = points[..., pair, 2:].min(-2)
    return np.concatenate([points[..., pair, :2].mean(-2), both], -1) * both


def within(people: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return people [...,14,3] without the points off the picture, as detectors sometimes have."""
    return people * inside(people[..., :2], width, height)[..., None]
