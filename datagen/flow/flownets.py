"""FlowNetS: the paper's optical flow network, at any width.

Layers and parameter names are those of ClementPinard/FlowNetPytorch (without batch norm), so its
public checkpoint flownets_EPE1.951.pth loads strictly. At width 1 the network has 38,675,536
parameters in 33 tensors; at width w every hidden layer has w times the channels, which scales the
computation by about w².
"""

# B pairs, H W pixels

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

STRIDE = 4
SLOPE = 0.1  # of every LeakyReLU
DIV_FLOW = 20.0
"""The network's flow is in units of 20 px."""
MEAN = (0.411, 0.432, 0.45)
"""Mean of RGB / 255 that the public checkpoint's inference code subtracts."""
PREPARATIONS = ("mean", "contrast")
"""Image normalisations (`prepare`): `mean` is the public checkpoint's, `contrast` is ours."""
FAINT = 5.0
"""Grey levels added to a pair's standard deviation, so that noise in the dark is not amplified."""
WIDTHS = tuple(eighths / 8 for eighths in range(1, 17))
"""Possible widths, for which every layer has a multiple of 8 channels."""


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def _deconv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def _predict_flow(inputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, 2, 3, 1, 1, bias=False)


def _upsample_flow() -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=False)


class FlowNetS(nn.Module):
    """Maps two images to flow at a quarter of their size; `width` is one of WIDTHS."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        if width not in WIDTHS:
            raise ValueError(f"FlowNetS's width must be a multiple of 1/8 up to 2, got {width}")
        c64, c128, c256, c512, c1024 = (int(c * width) for c in (64, 128, 256, 512, 1024))
        self.conv1 = _conv(6, c64, 7, 2)
        self.conv2 = _conv(c64, c128, 5, 2)
        self.conv3 = _conv(c128, c256, 5, 2)
        self.conv3_1 = _conv(c256, c256)
        self.conv4 = _conv(c256, c512, 3, 2)
        self.conv4_1 = _conv(c512, c512)
        self.conv5 = _conv(c512, c512, 3, 2)
        self.conv5_1 = _conv(c512, c512)
        self.conv6 = _conv(c512, c1024, 3, 2)
        self.conv6_1 = _conv(c1024, c1024)

        self.deconv5 = _deconv(c1024, c512)
        self.deconv4 = _deconv(c512 + c512 + 2, c256)
        self.deconv3 = _deconv(c512 + c256 + 2, c128)
        self.deconv2 = _deconv(c256 + c128 + 2, c64)

        self.predict_flow6 = _predict_flow(c1024)
        self.predict_flow5 = _predict_flow(c512 + c512 + 2)
        self.predict_flow4 = _predict_flow(c512 + c256 + 2)
        self.predict_flow3 = _predict_flow(c256 + c128 + 2)
        self.predict_flow2 = _predict_flow(c128 + c64 + 2)

        self.upsampled_flow6_to_5 = _upsample_flow()
        self.upsampled_flow5_to_4 = _upsample_flow()
        self.upsampled_flow4_to_3 = _upsample_flow()
        self.upsampled_flow3_to_2 = _upsample_flow()

        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, 0.1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def pyramid(self, pairs: Tensor) -> list[Tensor]:
        """Return the flow at strides 4, 8, 16, 32, 64, each [B,2,h,w] in units of 20 px.

        Args:
            pairs: [B,6,H,W], both images of a pair, from `prepare`.
        """
        c2 = self.conv2(self.conv1(pairs))
        c3 = self.conv3_1(self.conv3(c2))
        c4 = self.conv4_1(self.conv4(c3))
        c5 = self.conv5_1(self.conv5(c4))
        c6 = self.conv6_1(self.conv6(c5))

        flow6 = self.predict_flow6(c6)
        up = _crop_like(self.upsampled_flow6_to_5(flow6), c5)
        c5 = torch.cat((c5, _crop_like(self.deconv5(c6), c5), up), 1)
        flow5 = self.predict_flow5(c5)
        up = _crop_like(self.upsampled_flow5_to_4(flow5), c4)
        c4 = torch.cat((c4, _crop_like(self.deconv4(c5), c4), up), 1)
        flow4 = self.predict_flow4(c4)
        up = _crop_like(self.upsampled_flow4_to_3(flow4), c3)
        c3 = torch.cat((c3, _crop_like(self.deconv3(c4), c3), up), 1)
        flow3 = self.predict_flow3(c3)
        up = _crop_like(self.upsampled_flow3_to_2(flow3), c2)
        c2 = torch.cat((c2, _crop_like(self.deconv2(c3), c2), up), 1)
        return [self.predict_flow2(c2), flow3, flow4, flow5, flow6]

    def forward(self, pairs: Float[Tensor, "b 6 h w"]) -> Float[Tensor, "b 2 _ _"]:
        """Return the flow at stride 4: [B,2,ceil(H/4),ceil(W/4)] in units of 20 px."""
        return self.pyramid(pairs)[0]


def _crop_like(tensor: Tensor, target: Tensor) -> Tensor:
    """Remove the extra row and column that a transposed convolution adds for odd sizes."""
    return tensor[:, :, : target.shape[2], : target.shape[3]]


def prepare(first: Tensor, second: Tensor, preparation: str) -> Tensor:
    """Return the input [B,6,H,W] float32 for two images uint8 [B,3,H,W], channels last.

    `mean` subtracts MEAN from RGB / 255. `contrast` normalises each pair to mean 0 and variance 1,
    so the network need not learn that flow does not depend on brightness.
    """
    pairs = torch.cat((first, second), 1).to(torch.float32, memory_format=torch.channels_last)
    if preparation == "mean":
        # on whole rows of pixels: six numbers at a time would take four times as long
        means = pairs.new_tensor(MEAN * 2).repeat(pairs.shape[3])
        pairs.div_(255).permute(0, 2, 3, 1).flatten(2).sub_(means)
        return pairs
    # torch.var_mean over the permuted axes would take five times as long as all this
    values = pairs.permute(0, 2, 3, 1).flatten(1)
    values -= values.mean(1, keepdim=True)
    deviation = torch.linalg.vector_norm(values, dim=1, keepdim=True) / values.shape[1] ** 0.5
    values /= deviation + FAINT
    return pairs


def upsample(flow: Float[Tensor, "b 2 _ _"], size: tuple[int, int]) -> Float[Tensor, "b 2 h w"]:
    """Return flow [B,2,h,w] upsampled to `size` pixels as in FlowNetS: bilinear, same units.

    Cells beyond the picture are cropped, as in `trainer.data.inputs`.
    """
    full = interpolate(flow, scale_factor=STRIDE, mode="bilinear", align_corners=False)
    return full[:, :, : size[0], : size[1]]


def width_of(state: dict[str, Tensor]) -> float:
    """Return the width of a FlowNetS from its state dict."""
    return state["conv1.0.weight"].shape[0] / 64
