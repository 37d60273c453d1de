"""A narrow PWC-Net: a feature pyramid with warping and a cost volume at every level.

Sun et al., PWC-Net (CVPR 2018), the successor of FlowNet2, uses features of both images at strides
4 to 32. At each level, the second image's features are warped by the coarser flow and compared with
the first image's in a small window (the cost volume), and a few convolutions predict the residual
flow. So matching by similarity, which FlowNetS must learn, is built in. Here, there are fewer
channels than in the paper, features are normalised before they are compared (Jonschkowski et al.,
ECCV 2020), and each frame of a clip passes through the pyramid once, not twice.
"""

# N images, B pairs, C channels, H W pixels, h w cells of a level, R radius of the window in cells

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate, pad

from datagen.flow.flownets import FAINT, SLOPE

STRIDE = 4
CHANNELS = (16, 32, 48, 64, 96)
"""Channels of the features at strides 2 to 32, at width 1."""
DECODER = (64, 48, 32)
CARRIED = 16
"""Channels that a level passes to the next finer one in addition to its flow."""
REACH = 3
BLOCK = 8
"""Side of the blocks of cells that are compared by one matrix product."""
WIDTHS = tuple(quarters / 4 for quarters in range(1, 17))
"""Possible widths, for which every layer has a multiple of 4 channels."""


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


class Level(nn.Module):
    """One level's residual flow, from the cost volume and the first image's features."""

    def __init__(self, channels: int, decoder: tuple[int, ...], carried: int, finest: bool) -> None:
        super().__init__()
        sizes = (channels + (2 * REACH + 1) ** 2 + 2 + carried, *decoder)
        self.layers = nn.Sequential(*(_conv(*sizes[i : i + 2]) for i in range(len(decoder))))
        self.flow = nn.Conv2d(decoder[-1], 2, 3, 1, 1)
        self.context = None
        if finest:  # increasing dilation: fills in areas that the second image does not show
            wide = decoder[-1]
            around = [_conv(wide + 2 if d == 1 else wide, wide, 1, d) for d in (1, 2, 4)]
            self.context = nn.Sequential(*around, _conv(wide, wide), nn.Conv2d(wide, 2, 3, 1, 1))

    def forward(self, seen: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden features and the flow [B,2,h,w] in cells, float32.

        Args:
            seen: [B,C,h,w] all inputs of the layers; flow: the coarser flow, in cells.
        """
        hidden = self.layers(seen)
        flow = flow + self.flow(hidden).float()
        if self.context is not None:
            both = torch.cat((hidden, flow.detach().to(hidden.dtype)), 1)
            flow = flow + self.context(_channels_last(both)).float()
        return hidden, flow


class PwcNet(nn.Module):
    """Computes image features, and flow from the features of two images; `width` is one of
    WIDTHS."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        if width not in WIDTHS:
            raise ValueError(f"PWC-Net's width must be a multiple of 1/4 up to 4, got {width}")
        channels = [int(count * width) for count in CHANNELS]
        decoder = tuple(int(count * width) for count in DECODER)
        carried = int(CARRIED * width)
        self.features = nn.ModuleList(
            nn.Sequential(_conv(before, after, 2), _conv(after, after))
            for before, after in zip((3, *channels), channels, strict=False)
        )
        counts = channels[1:]  # levels start at stride 4; the coarsest gets no coarser features
        self.levels = nn.ModuleList(
            Level(count, decoder, carried if index < len(counts) - 1 else 0, finest=index == 0)
            for index, count in enumerate(counts)
        )
        self.carry = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(decoder[-1], carried, 4, 2, 1, bias=False),
                          nn.LeakyReLU(SLOPE, inplace=True)) for _ in counts[1:]
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, 0.1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():  # start with almost zero flow
            for name, weight in self.named_parameters():
                if name.endswith(("flow.weight", "context.4.weight")):
                    weight.mul_(0.1)

    def describe(self, images: Tensor) -> list[Tensor]:
        """Return the features of images [N,3,H,W] at strides 4, 8, 16, 32."""
        found = []
        for layers in self.features:
            images = layers(images)
            found.append(images)
        return found[1:]

    def match(self, first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
        """Return the flow at strides 4, 8, 16, 32, each float32 [B,2,h,w] px of the images.

        Args:
            first, second: features of both images, from `describe`.
        """
        flows: list[Tensor] = []
        flow, hidden = first[-1].new_zeros(len(first[-1]), 2, 1, 1, dtype=torch.float32), None
        for index in range(len(first) - 1, -1, -1):
            one, two = first[index], second[index]
            height, width = one.shape[2:]
            if hidden is None:
                flow = flow.expand(-1, -1, height, width)
            else:
                flow = 2 * interpolate(flow, scale_factor=2, mode="bilinear")[..., :height, :width]
            coarse = flow.detach()
            cost = correlate(_normal(one), _normal(fetch(two, coarse)), REACH)
            parts = [cost / one.shape[1] ** 0.5, one, coarse.to(one.dtype)]
            if hidden is not None:
                parts.append(self.carry[index](hidden)[..., :height, :width])
            hidden, flow = self.levels[index](_channels_last(torch.cat(parts, 1)), flow)
            flows.append(flow * STRIDE * 2**index)
        return flows[::-1]

    def pyramid(self, pairs: Tensor) -> list[Tensor]:
        """Return `match` for pairs [B,6,H,W], both images from `prepare`."""
        both = self.describe(_channels_last(torch.cat((pairs[:, :3], pairs[:, 3:]))))
        return self.match([f[: len(pairs)] for f in both], [f[len(pairs) :] for f in both])

    def forward(self, pairs: Float[Tensor, "b 6 h w"]) -> Float[Tensor, "b 2 _ _"]:
        """Return the flow at stride 4: [B,2,ceil(H/4),ceil(W/4)] px."""
        return self.pyramid(pairs)[0]


def prepare(images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return images uint8 [N,3,H,W] as float32, each with mean 0 and variance 1, channels last."""
    whole = images.to(torch.float32, memory_format=torch.channels_last)
    values = whole.permute(0, 2, 3, 1).flatten(1)
    values -= values.mean(1, keepdim=True)
    deviation = torch.linalg.vector_norm(values, dim=1, keepdim=True) / values.shape[1] ** 0.5
    values /= deviation + FAINT
    return whole


def fetch(
    features: Float[Tensor, "b c h w"], flow: Float[Tensor, "b 2 h w"]
) -> Float[Tensor, "b c h w"]:
    """Return features [B,C,h,w] warped bilinearly by flow [B,2,h,w] (cells).

    Border values are repeated.
    """
    height, width = features.shape[2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32, device=flow.device),
        torch.arange(width, dtype=torch.float32, device=flow.device),
        indexing="ij",
    )
    there = torch.stack(
        ((x + flow[:, 0]) * 2 / max(width - 1, 1) - 1,
         (y + flow[:, 1]) * 2 / max(height - 1, 1) - 1), -1
    )  # fmt: skip
    got = grid_sample(features.float(), there, padding_mode="border", align_corners=True)
    return got.to(features.dtype)


def correlate(
    first: Float[Tensor, "b c h w"], second: Float[Tensor, "b c h w"], reach: int
) -> Float[Tensor, "b costs h w"]:
    """Return the cost volume [B,(2R+1)²,h,w]: first(i,j) · second(i+dy,j+dx), zero outside.

    Blocks of 8×8 cells are multiplied with all cells within reach of the block, and each cell's
    window is read from the product: four times the computation, but a tenth of the time of one pass
    per shift on a CPU.
    """
    batch, channels, height, width = first.shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    below, right = rows * BLOCK - height, columns * BLOCK - width
    side, window = BLOCK + 2 * reach, 2 * reach + 1
    blocks = pad(first, (0, right, 0, below)).permute(0, 2, 3, 1)
    blocks = blocks.unflatten(1, (rows, BLOCK)).unflatten(3, (columns, BLOCK)).transpose(2, 3)
    around = pad(second, (reach, reach + right, reach, reach + below))
    around = around.permute(0, 2, 3, 1).unfold(1, side, BLOCK).unfold(2, side, BLOCK)
    product = torch.bmm(
        blocks.reshape(-1, BLOCK * BLOCK, channels), around.reshape(-1, channels, side * side)
    ).contiguous()
    # the window of cell (y, x) in a block begins at (y, x) of the surroundings
    cost = product.as_strided(
        (len(product), BLOCK, BLOCK, window, window),
        (BLOCK * BLOCK * side * side, BLOCK * side * side + side, side * side + 1, side, 1),
    )
    cost = cost.reshape(batch, rows, columns, BLOCK, BLOCK, window * window).transpose(2, 3)
    cost = cost.reshape(batch, rows * BLOCK, columns * BLOCK, window * window)
    return cost[:, :height, :width].permute(0, 3, 1, 2)


def _normal(features: Tensor) -> Tensor:
    """Return features with mean 0 in every channel and mean square 1 over all channels."""
    values = features.float()
    values = values - values.mean((2, 3), keepdim=True)
    size = (values.square().mean((1, 2, 3), keepdim=True) + 1e-3).sqrt()
    return (values / size).to(features.dtype)


def _channels_last(values: Tensor) -> Tensor:
    return values.contiguous(memory_format=torch.channels_last)
