"""OpenCV's DIS flow (Kroeger et al., ECCV 2016): the estimator that needs no weights."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from datagen.flow.estimator import check_frames, pack

STRIDE = 4
# Storing a quarter of the resolution costs at most 0.01 px EPE after bilinear enlargement
# (FlyingChairs at 224 px: 1.641 -> 1.641 and 0.342 -> 0.341), because DIS's own error is larger.


class Dis:
    """Dense inverse search down to half resolution, averaged over cells of 4x4 pixels.

    On pairs of people the fast preset is better than the medium one (EPE 0.78 against 0.84 px)
    in three quarters of its time; full resolution gains nothing for three times the time.
    """

    name = "dis"
    stride = STRIDE

    def __init__(self, preset: int = cv2.DISOPTICAL_FLOW_PRESET_FAST, finest: int = 1) -> None:
        self._preset = preset
        self._finest = finest

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return float16 [T,2,h,w]; see datagen.flow.estimator.Estimator."""
        check_frames(frames)
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        height, width = grey[0].shape
        below, right = -height % STRIDE, -width % STRIDE
        size = ((width + right) // STRIDE, (height + below) // STRIDE)
        # A solver of its own for every clip: DIS keeps buffers, and a clip must not depend on
        # the one before it.
        solver = cv2.DISOpticalFlow.create(self._preset)
        solver.setFinestScale(self._finest)
        fields = []
        for first, second in pairwise(grey):
            full = solver.calc(first, second, None)  # type: ignore[call-overload]  # None: no start
            full = cv2.copyMakeBorder(full, 0, below, 0, right, cv2.BORDER_REPLICATE)
            fields.append(cv2.resize(full, size, interpolation=cv2.INTER_AREA))
        return pack(np.stack(fields).transpose(0, 3, 1, 2), self.name)
