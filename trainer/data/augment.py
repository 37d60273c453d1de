"""Augmentation of training clips on the device: mirroring, camera roll and detector errors.

Labels change with their pictures. Letters: B clips, T frames, S stored crop side.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from trainer import geometry
from trainer.data.inputs import Batch, InputSpec
from trainer.data.options import KeypointErrors
from trainer.geometry import SMPL_MIRROR


def mirror_pose(pose: Float[Tensor, "*batch 72"]) -> Float[Tensor, "*batch 72"]:
    """Return SMPL poses [..., 72] (axis-angle) of the mirrored people, x → −x."""
    swapped = pose.unflatten(-1, (24, 3))[..., SMPL_MIRROR, :]
    return (swapped * pose.new_tensor([1.0, -1.0, -1.0])).flatten(-2)


def mirror_batch(batch: Batch, chosen: Bool[Tensor, " b"], spec: InputSpec) -> Batch:
    """Return the batch with the chosen clips (bool [B]) mirrored.

    Pictures are flipped horizontally, flow also changes the sign of u, joints and poses swap left
    and right. Flow is mirrored at its stored resolution, so S must be a multiple of the stride.
    """
    order = list(spec.mirror)

    def pick(name: str, mirrored: Tensor) -> Tensor:
        plain = batch[name]
        return torch.where(chosen.reshape(-1, *[1] * (plain.dim() - 1)), mirrored, plain)

    out = dict(batch)
    if "flow" in batch:
        sign = batch["flow"].new_tensor([-1.0, 1.0]).reshape(2, 1, 1)
        out["flow"] = pick("flow", batch["flow"].flip(-1) * sign)
    if "rgb" in batch:
        out["rgb"] = pick("rgb", batch["rgb"].flip(-1))
    if "joints2d" in batch:
        joints = batch["joints2d"][:, :, order].clone()
        joints[..., 0] = spec.stored_size - 1 - joints[..., 0]
        out["joints2d"] = pick("joints2d", joints)
    if "crop" in batch:
        out["crop"] = pick("crop", mirror_crop(batch["crop"], batch["camera"], spec))
    if "visibility" in batch:
        out["visibility"] = pick("visibility", batch["visibility"][:, :, order])
    if "joints3d" in batch:
        sign = batch["joints3d"].new_tensor([-1.0, 1.0, 1.0])
        out["joints3d"] = pick("joints3d", batch["joints3d"][:, :, order] * sign)
    if "pose" in batch:
        out["pose"] = pick("pose", mirror_pose(batch["pose"]))
    if "gravity" in batch:
        sign = batch["gravity"].new_tensor([-1.0, 1.0, 1.0])
        out["gravity"] = pick("gravity", batch["gravity"] * sign)
    return out


def turn_batch(batch: Batch, angle: Float[Tensor, " b"], spec: InputSpec) -> Batch:
    """Return the batch as rolled cameras see it: clips rotated clockwise by angle [B], radians.

    Rotates about the crop's centre, as SPIN does. Uncovered areas repeat the crop's edge, as where
    a crop leaves its video; joints that leave the crop become missing. In 3D it is a rotation about
    the camera's axis, exact except for the perspective between that axis and the crop's centre.
    Flow is rotated at its stored resolution, so S must be a multiple of the stride.
    """
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)

    def points(x: Tensor) -> Tensor:
        return torch.einsum("bij,bt...j->bt...i", rotation, x.to(rotation.dtype))

    def picture(x: Tensor) -> Tensor:
        clips, frames, channels, height, width = x.shape
        source = F.pad(rotation.mT, (0, 1))  # where each pixel comes from
        grid = F.affine_grid(source, [clips, channels, height, width], align_corners=False)
        flat = x.float().reshape(clips, frames * channels, height, width)
        turned = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
        return turned.view(x.shape)

    out = dict(batch)
    if "flow" in batch:
        out["flow"] = torch.einsum("bij,btjhw->btihw", rotation, picture(batch["flow"]))
    if "rgb" in batch:
        out["rgb"] = picture(batch["rgb"])
    if "joints2d" in batch:
        centre = (spec.stored_size - 1) / 2
        place = points(batch["joints2d"][..., :2] - centre) + centre
        inside = ((place >= -0.5) & (place < spec.stored_size - 0.5)).all(-1)
        seen = batch["joints2d"][..., 2] * inside
        out["joints2d"] = torch.cat((place, seen[..., None]), -1)
        if "visibility" in batch:
            out["visibility"] = batch["visibility"] * inside
    if "crop" in batch:
        out["crop"] = turn_crop(batch["crop"], batch["camera"], rotation, spec)
    if "joints3d" in batch:
        joints = batch["joints3d"]
        out["joints3d"] = torch.cat((points(joints[..., :2]), joints[..., 2:]), -1)
    if "pose" in batch:
        pose = batch["pose"]
        root = geometry.matrix_from_axis_angle(pose[..., :3])
        tilt = F.pad(rotation, (0, 1, 0, 1))
        tilt[:, 2, 2] = 1
        root = geometry.axis_angle_from_matrix(tilt[:, None] @ root)
        out["pose"] = torch.cat((root, pose[..., 3:]), -1)
    if "gravity" in batch:
        down = batch["gravity"]
        across = torch.einsum("bij,bj->bi", rotation, down[:, :2].to(rotation.dtype))
        out["gravity"] = torch.cat((across, down[:, 2:]), -1)
    return out


def mirror_crop(
    crop: Float[Tensor, "b t 2 3"], camera: Float[Tensor, "b 3 3"], spec: InputSpec
) -> Float[Tensor, "b t 2 3"]:
    """Return the crops [B, T, 2, 3] of clips whose rays are mirrored, x/z → −x/z.

    camera [B, 3, 3] does not change: a point of the source moves to the other side of the camera's
    centre.
    """
    out = crop.clone()
    centre = camera[:, None, 0, 2]
    out[..., 0, 2] = spec.stored_size - 1 - crop[..., 0, 2] - 2 * crop[..., 0, 0] * centre
    return out


def turn_crop(
    crop: Float[Tensor, "b t 2 3"],
    camera: Float[Tensor, "b 3 3"],
    rotation: Float[Tensor, "b 2 2"],
    spec: InputSpec,
) -> Float[Tensor, "b t 2 3"]:
    """Return the crops [B, T, 2, 3] of clips rotated by rotation [B, 2, 2] about their centres.

    The source rotates about the camera's axis by the same angle, so the crop's scale stays. Exact
    for square pixels, which all crops of shards have to within the 0.1 % of a calibrated lens.
    """
    out = crop.clone()
    middle = (spec.stored_size - 1) / 2
    # Where the camera's axis meets the crop, minus the crop's translation.
    axis = crop[..., [0, 1], [0, 1]] * camera[:, None, :2, 2]
    moved = torch.einsum("bij,btj->bti", rotation, axis + crop[..., 2] - middle)
    out[..., 2] = middle - axis + moved
    return out


LIMBS = tuple(
    (f"{side}_{joint}", f"{side}_{end}")
    for side in ("left", "right")
    for joint, end in (("elbow", "wrist"), ("knee", "ankle"))
)
"""Groups of keypoints that a detector misses together."""


def disturb_keypoints(
    batch: Batch, errors: KeypointErrors, spec: InputSpec, generator: torch.Generator
) -> Batch:
    """Return the batch with the errors of a poor detector added to its input keypoints.

    Half of the noise's variance is drawn for every frame; the other half is constant over the clip,
    as a detector's error is similar while a joint looks similar. A gap lies between two uniformly
    drawn frames, a third of the clip on average: limbs hidden by the body are missing until they
    reappear and, unlike single missing keypoints, cannot be inferred from neighbouring frames. The
    exact 2D targets of the loss are kept in `target2d`.
    """
    if not errors or "joints2d" not in batch:
        return batch
    clean = batch["joints2d"]
    shape = clean.shape

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=generator)

    jumping = torch.randn((*shape[:3], 2), generator=generator)
    held = torch.randn((shape[0], 1, shape[2], 2), generator=generator)
    shift = (jumping + held) * errors.noise / 2**0.5
    keep = uniform(*shape[:3]) >= errors.drop
    if errors.gaps:
        frame = torch.arange(shape[1])[:, None] + 0.5
        ends = uniform(2, shape[0], 1, len(LIMBS)) * shape[1]
        lost = uniform(shape[0], 1, len(LIMBS)) < errors.gaps
        lost = lost & (ends.amin(0) <= frame) & (frame < ends.amax(0))
        index = {spec.names[i].removeprefix("lsp_"): i for i in spec.keypoints}
        for i, limb in enumerate(LIMBS):
            keep[:, :, [index[name] for name in limb]] &= ~lost[:, :, i, None]
    place = clean[..., :2] + shift.to(clean.device)
    seen = clean[..., 2:] * keep.to(clean.device)[..., None]
    return {**batch, "joints2d": torch.cat((place, seen), dim=-1), "target2d": clean}
