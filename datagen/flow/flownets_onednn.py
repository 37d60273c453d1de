"""FlowNetS for processors with AVX512_BF16: the same layers, a tenth faster.

torch's own layers convert their weights to oneDNN's blocked layout at every call (77 MB at width 1)
and make another pass over every output for the LeakyReLU. This module uses the operators to which
torch's compiler freezes models. A pair's flow does not depend on the other pairs in the batch.
"""

# B pairs, C channels, h w cells

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from datagen.flow.flownets import SLOPE, FlowNetS

LANES = 32  # bfloat16 numbers per register: fewer outputs take as much time

DEEPEST = ("conv6", "conv6_1")


def available() -> bool:
    """Return whether this torch has the operators, which are internal."""
    names = (
        "_convolution_pointwise",
        "_convolution_transpose_pointwise",
        "_linear_pointwise",
        "_reorder_convolution_transpose_weight",
        "_reorder_linear_weight",
    )
    return all(hasattr(torch.ops.mkldnn, name) for name in names)


def pack(network: FlowNetS) -> None:
    """Replace the layers of a bfloat16 network on the CPU with packed ones, for inference only."""
    for name, layer in list(network.named_children()):
        if isinstance(layer, nn.Sequential):
            kind = Gathered if name in DEEPEST else Packed
            setattr(network, name, kind(layer[0], SLOPE))  # pyright: ignore[reportArgumentType]
        elif isinstance(layer, nn.Conv2d):
            setattr(network, name, Taps(layer))


class Packed(nn.Module):
    """A convolution or transposed convolution, followed by a LeakyReLU if `slope` is given."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, slope: float | None = None) -> None:
        super().__init__()
        weight = conv.weight.detach()
        shape = (conv.stride, conv.dilation, conv.groups)
        if isinstance(conv, nn.ConvTranspose2d):
            shape = (conv.padding, conv.output_padding, *shape)
            reorder = torch.ops.mkldnn._reorder_convolution_transpose_weight
            self._weight = reorder(weight, *shape)
            self._run = torch.ops.mkldnn._convolution_transpose_pointwise
        else:
            shape = (conv.padding, *shape)
            reorder = torch.ops.aten.mkldnn_reorder_conv2d_weight
            self._weight = reorder(weight.to_mkldnn(), *shape)
            self._run = torch.ops.mkldnn._convolution_pointwise
        after = ("none", [], "") if slope is None else ("leaky_relu", [slope], "")
        self._rest = (None if conv.bias is None else conv.bias.detach(), *shape, *after)

    def forward(self, values: Tensor) -> Tensor:
        """Return the layers' output of values [B,C,h,w], both bfloat16 and channels last."""
        return self._run(values, self._weight, *self._rest)


class Gathered(nn.Module):
    """A 3x3 convolution and its LeakyReLU as one matrix product over all cells' neighbourhoods.

    The deepest feature maps of 224 px have rows of 4 cells, too short for a convolution's inner
    loop.
    """

    def __init__(self, conv: nn.Conv2d, slope: float) -> None:
        super().__init__()
        weight = conv.weight.detach().permute(0, 2, 3, 1).flatten(1)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight)
        self._rest = (conv.bias, "leaky_relu", [slope], "")
        self._stride = conv.stride

    def forward(self, values: Tensor) -> Tensor:
        """Return the layers' output of values [B,C,h,w], both bfloat16 and channels last."""
        cells = pad(values.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        around = cells.unfold(1, 3, self._stride[0]).unfold(2, 3, self._stride[1])
        batch, height, width = around.shape[:3]
        rows = around.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)
        made = torch.ops.mkldnn._linear_pointwise(rows, self._weight, *self._rest)
        return made.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


class Taps(nn.Module):
    """A 3x3 convolution to two channels as a 1x1 convolution to nine taps, shifted and summed.

    Two outputs would use only a small part of a register, nine times. The sums are float32.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        taps = conv.weight.detach().permute(2, 3, 0, 1).flatten(0, 2)  # row, column, x y
        flat = nn.Conv2d(taps.shape[1], LANES, 1, bias=False, dtype=taps.dtype)
        with torch.no_grad():
            flat.weight.zero_()[: len(taps), :, 0, 0] = taps
        self._flat = Packed(flat)

    def forward(self, values: Tensor) -> Tensor:
        """Return the output [B,2,h,w] for values [B,C,h,w], both bfloat16 and channels last."""
        height, width = values.shape[2:]
        taps = self._flat(values).permute(0, 2, 3, 1)[..., :18].float()
        taps = pad(taps, (0, 0, 1, 1, 1, 1))
        flow = torch.zeros(len(values), height, width, 2)
        for k in range(9):
            row, column = divmod(k, 3)
            flow += taps[:, row : row + height, column : column + width, 2 * k : 2 * k + 2]
        return flow.to(values.dtype).permute(0, 3, 1, 2)
