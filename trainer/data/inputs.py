"""The network's input, computed on its device from what a shard stores.

A shard holds flow at its estimator's resolution and keypoints as coordinates; the full-resolution
flow field and the twelve heatmaps exist only here. Pixel centres lie at integer coordinates, also
when an image is resized. Letters: B clips, T frames, S stored crop side, I input side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from trainer.model.clip_features import Seen

PAPER_SIZE = 224
"""Side of the paper's input, pixels; lengths given in its pixels scale with the input's size."""
FLOW_UNIT = 20.0
"""One unit of the flow input, pixels at 224; FlowNet's own training scale."""
HEATMAP_SIGMA = 10.0
"""Standard deviation of a keypoint's heatmap, pixels at 224 (paper, section 3.2)."""

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class InputSpec:
    """The channels and size of the input, and the layout of the stored clips."""

    inputs: str
    image_size: int
    """I: side of the network's input, pixels."""
    stored_size: int
    """S: side of the stored crop, pixels."""
    flow_stride: int
    keypoints: tuple[int, ...]
    """Indices of the heatmap keypoints among the record's joints."""
    mirror: tuple[int, ...]
    """Left-right counterpart of each of the record's joints."""
    names: tuple[str, ...] = ()
    """Names of the record's joints."""
    lift: bool = False
    """Whether the network is a lifter, whose input is keypoints in crop units without pictures."""
    coordinates: bool = False
    """Whether the network reads keypoint coordinates; with flow or RGB it has heatmaps too."""
    rays: bool = False
    """Whether the network is given the keypoints' rays."""
    spacing: int = 1
    """Stored frames from one input frame to the next."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The inputs by name: any of flow, rgb, keypoints."""
        return tuple(self.inputs.split("+"))

    @property
    def channels(self) -> int:
        """Channels of the CNN's input, including the total-occlusion flag.

        0 for networks that see no pictures.
        """
        return channels_of(self.inputs, len(self.keypoints), self.lift, self.coordinates)


def channels_of(inputs: str, keypoints: int, lift: bool, coordinates: bool) -> int:
    """Return the channels of a CNN's input, 0 for networks that see no pictures."""
    if lift or (coordinates and inputs == "keypoints"):
        return 0
    sizes = {"flow": 2, "rgb": 3, "keypoints": keypoints}
    return sum(sizes[part] for part in inputs.split("+")) + 1


def draw_inputs(batch: Batch, spec: InputSpec, dtype: torch.dtype = torch.float32) -> Seen:
    """Return the network's input for a batch: pictures, keypoint coordinates, or both."""
    if spec.lift:
        return Seen(None, keypoint_vectors(batch, spec))
    image = draw_image(batch, spec, dtype) if spec.channels else None
    return Seen(image, keypoint_rays(batch, spec) if spec.rays else None)


def draw_image(batch: Batch, spec: InputSpec, dtype: torch.dtype) -> Float[Tensor, "b t c i i"]:
    """Return the CNN's input [B, T, C, I, I], its channels last in memory.

    Channels: flow (u, v) or RGB, then keypoint heatmaps, then the total-occlusion flag. In a
    totally occluded frame the flag is 1 and all other channels are 0 (paper, section 3.1).
    """
    occluded = batch["occluded"].bool()
    clips, frames = occluded.shape
    shown = ~occluded.flatten()
    size = spec.image_size
    image = torch.empty(
        clips * frames, size, size, spec.channels, dtype=dtype, device=occluded.device
    )
    channel = 0
    for part in spec.parts:
        if part == "flow":
            drawn = full_flow(batch["flow"].flatten(0, 1) * shown[:, None, None, None], spec)
        elif part == "rgb":
            picture = resize(batch["rgb"].flatten(0, 1), size).float() / 127.5 - 1
            drawn = (picture * shown[:, None, None, None]).permute(0, 2, 3, 1)
        else:
            joints = batch["joints2d"][:, :, list(spec.keypoints)].flatten(0, 1)
            drawn = heatmaps(joints, spec, shown)
        image[..., channel : channel + drawn.shape[-1]] = drawn
        channel += drawn.shape[-1]
    image[..., channel] = (~shown)[:, None, None]
    return image.permute(0, 3, 1, 2).unflatten(0, (clips, frames))


def full_flow(flow: Float[Tensor, "n 2 h h"], spec: InputSpec) -> Float[Tensor, "n i i 2"]:
    """Return flow [N, I, I, 2] in units of 20 pixels at 224 from stored flow [N, 2, h, w].

    Bilinear upsampling by the stride, as the estimator's last step does, then a resize if the input
    size differs from the stored crop. The unit does not depend on the input size: in pixels of a
    small input, flow would be tiny compared with the heatmaps, whose peak is always 1.
    """
    scale = PAPER_SIZE / spec.stored_size / FLOW_UNIT
    map_ = _flow_map(flow.shape[-1], spec.flow_stride, spec.stored_size, spec.image_size)
    map_ = map_.to(flow.device, non_blocking=True)
    return torch.einsum("ih,nchw,jw->nijc", map_ * scale, flow.float(), map_)


@lru_cache(maxsize=8)
def _flow_map(cells: int, stride: int, stored: int, size: int) -> Tensor:
    """Return the matrix [I, h] of both interpolations along one axis.

    Both are linear and separable, so two small matrix products replace the full-resolution field.
    """
    basis = torch.eye(cells)[None, None]
    up = F.interpolate(basis, size=(cells * stride, cells), mode="bilinear", align_corners=False)[
        :, :, :stored
    ]
    if size != stored:
        up = F.interpolate(
            up, (size, cells), mode="bilinear", align_corners=False, antialias=size < stored
        )
    return up[0, 0]


def resize(image: Shaped[Tensor, "n c h w"], size: int) -> Shaped[Tensor, "n c i i"]:
    """Return the image [N, C, size, size], bilinear, antialiased where it shrinks.

    On a CPU bytes stay bytes: ten times as fast, with a rounding error below that of bf16.
    """
    if image.shape[-1] == size:
        return image
    if image.device.type != "cpu":  # torch's GPU kernels do not take bytes
        image = image.float()
    return F.interpolate(
        image,
        (size, size),
        mode="bilinear",
        align_corners=False,
        antialias=size < image.shape[-1],
    )


def heatmaps(
    joints2d: Float[Tensor, "n k 3"], spec: InputSpec, shown: Bool[Tensor, " n"]
) -> Float[Tensor, "n i i k"]:
    """Return Gaussian heatmaps [N, I, I, K] of keypoints [N, K, 3] (x, y in crop pixels, seen).

    Peak 1 at the keypoint and σ = 10 px at an input of 224; 0 for missing keypoints, and in frames
    that are not shown (bool [N]).
    """
    ratio = spec.image_size / spec.stored_size
    sigma = HEATMAP_SIGMA * spec.image_size / PAPER_SIZE
    grid = torch.arange(spec.image_size, device=joints2d.device, dtype=torch.float32)
    centres = (joints2d[..., :2].float() + 0.5) * ratio - 0.5
    fall = torch.exp(-((grid[:, None, None] - centres[:, None]) ** 2) / (2 * sigma**2))
    seen = (joints2d[..., 2] == 1) & shown[:, None]  # [N, K]; fall is [N, I, K, (x, y)]
    # An outer product of rows and columns; as one it is four times faster on a CPU than broadcast.
    return torch.einsum("nik,njk->nijk", fall[..., 1] * seen[:, None], fall[..., 0])


def keypoint_vectors(batch: Batch, spec: InputSpec) -> Float[Tensor, "b t c"]:
    """Return the keypoints [B, T, 2K] in crop units, 0 (the crop's centre) where missing."""
    joints = batch["joints2d"][:, :, list(spec.keypoints)]
    seen = (joints[..., 2:] == 1) & ~batch["occluded"].bool()[..., None, None]
    return (normalized(joints[..., :2], spec.stored_size) * seen).flatten(-2)


def keypoint_rays(batch: Batch, spec: InputSpec) -> Float[Tensor, "b t k 3"]:
    """Return the keypoints' rays [B, T, K, 3]: x/z, y/z of the record's camera, and 1 if seen.

    Keypoints are mapped back to source pixels and by the camera to rays; 0 where missing.
    """
    joints = batch["joints2d"][:, :, list(spec.keypoints)].float()
    crop, camera = batch["crop"].float(), batch["camera"].float()
    scale, shift = crop[:, :, None, [0, 1], [0, 1]], crop[:, :, None, :, 2]
    source = (joints[..., :2] - shift) / scale
    focal, centre = camera[:, None, None, [0, 1], [0, 1]], camera[:, None, None, :2, 2]
    seen = (joints[..., 2:] == 1) & ~batch["occluded"].bool()[..., None, None]
    rays = (source - centre) / focal
    return torch.cat((rays * seen, seen.to(rays.dtype)), -1)


def normalized(joints2d: Float[Tensor, "*any"], stored_size: int) -> Float[Tensor, "*any"]:
    """Return crop pixels as crop units: [-1, 1] from the crop's left or top edge to the other."""
    return (2 * joints2d + 1) / stored_size - 1
