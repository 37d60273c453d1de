"""Converts the 2D keypoints of any detector to the 14 evaluation joints.

Every layout is described by indices of the 12 limbs (the network's input), the neck and the face.
No detector has the crown of the head, but training crops include it. So it is estimated from the
face or, without one, from the trunk; otherwise people would be a fifth larger in real crops than in
training crops.
"""

# T frames, P people, K points of a layout

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from datagen.clips.camera_offset import inside
from datagen.common.record import EVAL_JOINTS, KEYPOINTS
from datagen.footage.layouts import KeypointLayout

NECK, HEAD = EVAL_JOINTS.index("lsp_neck"), EVAL_JOINTS.index("lsp_head_top")
SHOULDERS = [EVAL_JOINTS.index(f"lsp_{side}_shoulder") for side in ("right", "left")]
HIPS = [EVAL_JOINTS.index(f"lsp_{side}_hip") for side in ("right", "left")]
CROWN_OF_FACE = 1.55
"""(crown − shoulders) / (eyes and ears − shoulders) of a standing adult: 0.182 / 0.117 statures."""
CROWN_OF_TRUNK = 0.63
"""(crown − shoulders) / (shoulders − hips): 0.182 / 0.288 statures."""


def evaluation_points(
    points: Float[np.ndarray, "*batch k 3"], layout: KeypointLayout, threshold: float | None = None
) -> Float32[np.ndarray, "*batch 14 3"]:
    """Return float32 [...,14,3] in EVAL_JOINTS' order: x, y, and 1 if seen, else all 0.

    Args:
        points: [...,K,3] x, y in pixels and confidence; NaN is not seen.
        layout: the points' layout.
        threshold: confidence above which a point is seen; default: the layout's own.
    """
    limit = layout.threshold if threshold is None else threshold
    points = np.asarray(points, np.float64)
    seen = np.isfinite(points).all(-1) & (np.nan_to_num(points[..., 2]) > limit)
    points = np.where(seen[..., None], points, 0)
    points[..., 2] = seen
    if layout.swapped:
        points = points[..., [1, 0, 2]]
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
    """Return the midpoint of two joints [...,3], seen if both are; otherwise 0."""
    both = points[..., pair, 2:].min(-2)
    return np.concatenate([points[..., pair, :2].mean(-2), both], -1) * both


def within(
    people: Float[np.ndarray, "*batch 14 3"], width: int, height: int
) -> Float[np.ndarray, "*batch 14 3"]:
    """Return people [...,14,3] without points outside the picture, which some detectors give."""
    return people * inside(people[..., :2], width, height)[..., None]
