"""Writes pictures as an .mp4 for players and browsers, with their own times and with sound.

It uses PyAV: OpenCV's wheels have no H.264 encoder, and their VP9 encoder takes longer per picture
than drawing does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datagen.common.files import whole
from datagen.replay.sound import Sound

CODECS = (("libx264", "H.264"), ("libvpx-vp9", "VP9"), ("mpeg4", "MPEG-4 part 2"))
"""FFmpeg's encoders and their formats, best first; browsers play the first two. PyAV's wheels have
all of them; other builds may lack some."""
OPTIONS = {
    "libx264": {"crf": "20", "preset": "veryfast"},
    "libvpx-vp9": {"crf": "32", "b": "0", "deadline": "realtime", "cpu-used": "6"},
}
TICKS = 60000
"""Time units per second, chosen so that frame times at 24, 25, 30, 29.97 and 23.976 fps are
integers. MPEG-4 part 2 allows at most 65,535."""
AHEAD = 4
"""Most pictures waiting for the encoder, which runs in its own thread."""


class Film:
    """An mp4 to which pictures are appended; created by `film`."""

    def __init__(self, container: Any, fps: float, sound: Path | None) -> None:
        import av

        encoder, self.codec = next(pair for pair in CODECS if pair[0] in av.codecs_available)
        self._container, self._fps = container, fps
        rate = Fraction(fps).limit_denominator(1001)  # 29.97 is 2997/100
        self._stream = container.add_stream(encoder, rate=rate, options=OPTIONS.get(encoder))
        self._stream.pix_fmt = "yuv420p"  # supported by browsers
        self._stream.codec_context.time_base = Fraction(1, TICKS)
        self._sound = Sound(sound, container) if sound is not None else None
        self._thread = ThreadPoolExecutor(1, "encoder")
        self._waiting: deque[Future[None]] = deque()
        self._count, self._last = 0, -1

    @property
    def has_sound(self) -> bool:
        """Whether the film has sound."""
        return self._sound is not None and self._sound.exists

    def add(self, picture: np.ndarray, time: float | None = None) -> None:
        """Append a picture uint8 [H,W,3] RGB; all have the same size, even in both directions.

        time: presentation time in seconds. Default: from the video's frame rate.
        """
        if not self._count:
            self._stream.height, self._stream.width = picture.shape[:2]
        time = self._count / self._fps if time is None else time
        self._last = max(self._last + 1, round(time * TICKS))
        self._count += 1
        self._waiting.append(self._thread.submit(self._encode, picture, self._last))
        if len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def _encode(self, picture: np.ndarray, pts: int) -> None:
        import av

        planes: Any = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = pts, Fraction(1, TICKS)
        packets = self._stream.encode(frame)
        if self._sound is not None:
            self._sound.until(pts / TICKS)
        self._container.mux(packets)

    def finish(self) -> None:
        """Write the frames that the encoder still holds."""
        for waiting in self._waiting:
            waiting.result()
        if self._count:
            self._container.mux(self._stream.encode())
            if self._sound is not None:
                self._sound.until(self._last / TICKS + 1 / self._fps)

    def close(self) -> None:
        """End the encoder's thread and drop waiting pictures."""
        self._thread.shutdown(cancel_futures=True)
        if self._sound is not None:
            self._sound.close()


@contextmanager
def film(path: Path, fps: float, sound: Path | None = None) -> Iterator[Film]:
    """Yield a video that is written to `path` atomically if the block succeeds.

    fps: frame rate of pictures without a time; sound: a file whose sound is copied, starting at its
    first picture.
    """
    import av

    with whole(path) as temporary:
        # The index comes first, so that a browser can start before the whole file is loaded.
        options = {"movflags": "+faststart"}
        with av.open(str(temporary), "w", format="mp4", container_options=options) as container:
            growing = Film(container, fps, sound)
            try:
                yield growing
                growing.finish()
            finally:
                growing.close()
