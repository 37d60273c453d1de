"""Copies a video's sound to a video made from its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datagen.common.containers import open_container

COPIED = ("aac", "mp3")
"""Codecs that every .mp4 player supports: their packets are copied. Others are re-encoded."""


class Sound:
    """A file's first sound track, copied to a video."""

    def __init__(self, path: Path, film: Any) -> None:
        """Add a stream to `film`, a PyAV container, if the file has readable sound."""
        from av.error import FFmpegError

        self._film, self._damage = film, FFmpegError
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._file: Any = None
        self.exists = False
        """Whether the file has sound."""
        try:
            self._file = open_container(path)
            streams = self._file.streams
            if not streams.audio or not streams.video or not streams.audio[0].codec_context:
                return
            self._track, video = streams.audio[0], streams.video[0]
            self._begin = float((video.start_time or 0) * (video.time_base or 0))
            if self._track.codec_context.name in COPIED:
                self._stream = film.add_stream_from_template(self._track)
                self._packets = self._copied()
            else:
                self._stream = film.add_stream("aac", rate=self._track.codec_context.sample_rate)
                self._packets = self._encoded()
        except (FFmpegError, OSError, ValueError):
            return
        self.exists = True
        self._advance()

    def until(self, time: float) -> None:
        """Write the sound up to a time, in seconds after the first picture."""
        while self._next is not None and self._next.pts * self._next.time_base < time:
            self._film.mux(self._next)
            self._advance()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _advance(self) -> None:
        try:
            self._next = next(self._packets, None)
        except self._damage:  # the rest of the video is silent
            self._next = None

    def _copied(self) -> Iterator[Any]:
        """Yield the packets, with times relative to the first picture."""
        for packet in self._file.demux(self._track):
            if packet.pts is None or packet.dts is None:
                continue
            shift = round(self._begin / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if packet.pts >= 0 and packet.dts >= 0:
                packet.stream = self._stream
                yield packet

    def _encoded(self) -> Iterator[Any]:
        """Yield the decoded sound as AAC packets, with times relative to the first picture."""
        import av

        rate = self._stream.codec_context.sample_rate
        layout = "mono" if self._track.codec_context.channels == 1 else "stereo"
        self._stream.codec_context.layout = layout
        as_aac = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        for frame in self._file.decode(self._track):
            if frame.time is not None and frame.time < self._begin:
                continue
            for part in as_aac.resample(frame):
                if part.pts is not None and part.time_base is not None:
                    part.pts -= round(self._begin / part.time_base)
                yield from self._stream.encode(part)
        yield from self._stream.encode()
