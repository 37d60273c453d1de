"""Fit the body to a track of joints, as the joint head predicts none.

Letters: L frames, E evaluation joints, K keypoints, J joints of a record, S side of the crop.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from trainer.data.dataset import DataSet
from trainer.evaluation.placement import place, weak_camera
from trainer.evaluation.refine import refine
from trainer.evaluation.windows import PredictedClip, meta_of
from trainer.geometry import axis_angle_from_matrix
from trainer.model.body import BodyJoints
from trainer.model.body_fit import BodyFit, fit_body
from trainer.model.proportions import Proportions

ACROSS = 0.2
"""Ratio of a joint's expected error across the picture to that in depth; the best of 0.4, 0.2, 0.1
and 0.05 on both validation sets."""


def rays_of(
    keypoints: Float[np.ndarray, "l k 3"],
    crop: Float[np.ndarray, "l 2 3"],
    k: Float[np.ndarray, "3 3"],
) -> Float[torch.Tensor, "l k 3"]:
    """Return rays [L, K, 3] (x/z, y/z, seen) of keypoints [L, K, 3] in crop pixels.

    crop [L, 2, 3] source → crop pixels, k [3, 3] the source's camera.
    """
    points, maps = torch.from_numpy(keypoints).float(), torch.from_numpy(crop).float()
    camera = torch.from_numpy(k).float()
    source = (points[..., :2] - maps[:, None, :, 2]) / maps[:, None, [0, 1], [0, 1]]
    rays = (source - camera[:2, 2]) / camera[[0, 1], [0, 1]]
    seen = (points[..., 2:] == 1).float()
    return torch.cat((rays * seen, seen), -1)


def refined(clip: PredictedClip, dataset: DataSet, known: Proportions) -> PredictedClip:
    """Return a clip with refined joints (`trainer.evaluation.refine`)."""
    keypoints = clip.shown["joints2d"][:, list(dataset.keypoints)].copy()
    keypoints[clip.shown["occluded"].astype(bool), :, 2] = 0
    rays = rays_of(keypoints, clip.shown["crop"], clip.shown["camera"])
    fps = float(meta_of(clip.record).get("fps", dataset.fps))
    predicted = clip.prediction
    predicted["joints"] = refine(predicted["joints"], predicted["sigma"], rays, known, fps=fps)
    return clip


def embodied(clip: PredictedClip, dataset: DataSet, body: BodyJoints) -> PredictedClip:
    """Return a clip with its joints replaced by those of the body fitted to them."""
    predicted = clip.prediction
    fps = float(meta_of(clip.record).get("fps", dataset.fps))
    fit = fit_to(body, predicted["joints"], predicted["sigma"], predicted["rotations"], fps)
    predicted["joints"] = fit.joints
    return clip


def fit_to(
    body: BodyJoints,
    joints: Float[torch.Tensor, "l e 3"],
    sigma: Float[torch.Tensor, "l e"],
    rotations: Float[torch.Tensor, "l 24 3 3"],
    fps: float,
) -> BodyFit:
    """Fit the body to predicted joints [L, E, 3], sigma [L, E] and bone rotations [L, 24, 3, 3]."""
    along = sigma[..., None] * torch.tensor([ACROSS, ACROSS, 1.0])
    return fit_body(body, joints, along, rotations, torch.zeros(10), fps=fps)


def in_crop(
    points: Float[torch.Tensor, "l n 3"],
    crop: Float[torch.Tensor, "l 2 3"],
    k: Float[torch.Tensor, "3 3"],
) -> Float[torch.Tensor, "l n 2"]:
    """Return crop pixels [L, N, 2] of points [L, N, 3], metres, in true perspective.

    crop [L, 2, 3] source → crop pixels, k [3, 3] the source's camera.
    """
    source = (points @ k.T)[..., :2] / points[..., 2:].clamp_min(0.05)
    return source @ crop[:, :, :2].mT + crop[:, None, :, 2]


def fitted(
    body: BodyJoints,
    frames: dict[str, np.ndarray],
    k: Float[np.ndarray, "3 3"],
    size: int,
    fps: float,
) -> dict[str, np.ndarray]:
    """Return the body's arrays of a track, as `trainer.predict` describes them.

    Args:
        frames: joints [L, E, 3] metres, sigma [L, E], rotations [L, 24, 3, 3], keypoints, crop.
        k: the source's camera [3, 3].
        size: S.
    """
    joints, sigma, rotations = (
        torch.from_numpy(frames[name]) for name in ("joints", "sigma", "rotations")
    )
    fit = fit_to(body, joints, sigma, rotations, fps)
    about = fit.joints - fit.translation[:, None]
    rays = rays_of(frames["keypoints"], frames["crop"], k)
    moved = place(about, rays, fps=fps)
    crop, camera = torch.from_numpy(frames["crop"]).float(), torch.from_numpy(k).float()
    weak = weak_camera(about, moved, crop, camera, size)
    length = len(about)
    posed = body(fit.rotations, fit.betas.expand(length, -1))
    return {
        "pose": axis_angle_from_matrix(fit.rotations).flatten(1).numpy(),
        "shapes": fit.betas.expand(length, -1).numpy().copy(),
        "camera": weak.numpy(),
        "joints": posed.numpy(),
        "joints2d": in_crop(posed + moved[:, None], crop, camera).numpy(),
        "trans": moved.double().numpy(),
        "transl": moved.numpy(),
        "K": np.broadcast_to(k.astype(np.float32), (length, 3, 3)),
    }
