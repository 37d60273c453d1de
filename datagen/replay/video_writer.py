"""Writes pictures as an .mp4 that players and browsers open.

Written by PyAV: OpenCV's wheels have no H.264 encoder, and their VP9 takes longer over a picture
than drawing it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from datagen.common.files import whole

CODECS = (("libx264", "H.264"), ("libvpx-vp9", "VP9"), ("mpeg4", "MPEG-4 part 2"))
"""FFmpeg's encoders and their formats, best first; browsers play the first two. PyAV's own wheels
have them all, other builds may lack some."""
OPTIONS = {
    "libx264": {"crf": "20", "preset": "veryfast"},
    "libvpx-vp9": {"crf": "32", "b": "0", "deadline": "realtime", "cpu-used": "6"},
}


class Film:
    """An mp4 that grows by a picture at a time; made by `film`."""

    def __init__(self, container: Any, fps: float) -> None:
        import av

        encoder, self.codec = next(pair for pair in CODECS if pair[0] in av.codecs_available)
        self._container = container
        rate = Fraction(fps).limit_denominator(1001)  # 29.97 is 2997/100
        self._stream = container.add_stream(encoder, rate=rate, options=OPTIONS.get(encoder))
        self._stream.pix_fmt = "yuv420p"  # what browsers play
        self._begun = False

    def add(self, picture: np.ndarray) -> None:
        """Append a picture uint8 [H,W,3] RGB; all are of one size, even in both directions."""
        import av

        if not self._begun:
            self._stream.height, self._stream.width = picture.shape[:2]
            self._begun = True
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder holds back."""
        if self._begun:
            self._container.mux(self._stream.encode())


@contextmanager
def film(path: Path, fps: float) -> Iterator[Film]:
    """Yield the video that appears at `path`, whole, if the block succeeds."""
    import av

    with whole(path) as temporary:
        # The index first, so that a browser begins before it has all.
        options = {"movflags": "+faststart"}
        with av.open(str(temporary), "w", format="mp4", container_options=options) as container:
            growing = Film(container, fps)
            yield growing
            growing.finish()
