"""The sound of a video, for a film that is made of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

COPIED = ("aac", "mp3")
"""Codecs that every player of .mp4 plays: their packets are copied. Others are encoded again."""


class Sound:
    """A file's first sound track on its way into a film."""

    def __init__(self, path: Path, film: Any) -> None:
        """Add a stream to a film, a PyAV container, if the file has sound that can be read."""
        import av
        from av.error import FFmpegError

        self._film, self._damage = film, FFmpegError
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._file: Any = None
        self.exists = False
        """Whether there is sound."""
        try:
            self._file = av.open(str(path), metadata_errors="replace")
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
        """Write what is heard before a time, seconds from the first picture on."""
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
        except self._damage:  # the film goes on in silence
            self._next = None

    def _copied(self) -> Iterator[Any]:
        """Yield the packets, timed from the first picture on."""
        for packet in self._file.demux(self._track):
            if packet.pts is None or packet.dts is None:
                continue
            shift = round(self._begin / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if packet.pts >= 0 and packet.dts >= 0:
                packet.stream = self._stream
                yield packet

    def _encoded(self) -> Iterator[Any]:
        """Yield packets of AAC of the decoded sound, timed from the first picture on."""
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
