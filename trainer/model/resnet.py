"""ResNet without a head, under torchvision's parameter names.

torchvision's wheels depend too tightly on torch's index and version to require them. With its
parameter names, its ImageNet weights (and others') load by `load_state_dict`. Letters: N images, C
channels.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size (or halves it with stride 2)."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 1x1 convolution."""
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet-18 and -34)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut; the 3x3 has the stride (ResNet-50 "v1.5")."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = conv1x1(inputs, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, width * self.expansion)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNetLayout(NamedTuple):
    """The layout of a ResNet."""

    block: type[BasicBlock] | type[Bottleneck]
    depths: tuple[int, int, int, int]
    """Blocks in each of the four layers."""
    first: int
    """Channels of the first layer."""
    shrink: bool = True
    """Whether max-pooling halves the feature maps before the first layer."""
    cells: int = 1
    """Side of the grid of the last average pooling; with 3, features keep position."""


LAYOUTS = {
    "small": ResNetLayout(BasicBlock, (1, 1, 1, 1), 32),
    "maps": ResNetLayout(BasicBlock, (1, 1, 1, 1), 32, shrink=False, cells=3),
    "resnet18": ResNetLayout(BasicBlock, (2, 2, 2, 2), 64),
    "resnet34": ResNetLayout(BasicBlock, (3, 4, 6, 3), 64),
    "resnet50": ResNetLayout(Bottleneck, (3, 4, 6, 3), 64),
}


class ResNet(nn.Module):
    """Images [N, C, H, W] → average-pooled features [N, width]; width is 2048 for resnet50."""

    def __init__(self, layout: str = "resnet50", in_channels: int = 3) -> None:
        super().__init__()
        block, depths, first, shrink, cells = LAYOUTS[layout]
        self.width = 8 * first * block.expansion * cells**2
        self.conv1 = nn.Conv2d(in_channels, first, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if shrink else nn.Identity()
        self._inputs = first
        self.layer1 = self._layer(block, first, depths[0], stride=1)
        self.layer2 = self._layer(block, 2 * first, depths[1], stride=2)
        self.layer3 = self._layer(block, 4 * first, depths[2], stride=2)
        self.layer4 = self._layer(block, 8 * first, depths[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(cells)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _layer(
        self, block: type[BasicBlock] | type[Bottleneck], width: int, depth: int, stride: int
    ) -> nn.Sequential:
        outputs = width * block.expansion
        downsample = None
        if stride != 1 or self._inputs != outputs:
            downsample = nn.Sequential(
                conv1x1(self._inputs, outputs, stride), nn.BatchNorm2d(outputs)
            )
        blocks = [block(self._inputs, width, stride, downsample)]
        self._inputs = outputs
        blocks += [block(outputs, width, 1, None) for _ in range(1, depth)]
        return nn.Sequential(*blocks)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n width"]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.avgpool(x).flatten(1)
