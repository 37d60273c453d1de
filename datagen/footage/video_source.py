"""A video with its people's keypoints: the source for `ingest video`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Integer

from datagen.common.errors import BadInput, near
from datagen.common.files import shortened
from datagen.common.frames import frame_size, frame_times, read_frames, thin
from datagen.common.options import own_code
from datagen.common.record import KEYPOINTS
from datagen.common.stills import pictures_in
from datagen.common.video import declared_frames, enlargement, media_sha256
from datagen.footage.agreement import require_agreement
from datagen.footage.dataset import Footage
from datagen.footage.keypoint_files import read_appearance, read_people
from datagen.footage.keypoints import within
from datagen.footage.layouts import find_layout
from datagen.footage.track import Track
from datagen.footage.tracking import choose, link
from datagen.output.fingerprint import content

NOBODY = "with nobody detected"
OUTSIDE = "outside the chosen person's track"
OUTSIDE_ALL = "outside all tracks"
OF_PEOPLE = (NOBODY, OUTSIDE, OUTSIDE_ALL)
"""Reasons that depend on the people in a frame."""


@dataclass(frozen=True)
class FootageVideo:
    """One video and its keypoint file."""

    path: Path
    name: str
    keypoints: Path
    layout: str | None = None
    threshold: float | None = None
    person: str = "largest"
    min_frames: int = 8
    detected: bool = False
    """Whether the keypoints come from this program's detector, not from a file given by the
    user."""
    undetected: str = ""
    """Reason why the detector failed, if it did."""

    def identity(self) -> dict[str, Any]:
        """Return everything its records depend on."""
        return {
            "input": media_sha256(self.path),
            "keypoints": keypoint_content(self.keypoints),
            "layout": self.layout,
            "threshold": self.threshold,
            "person": self.person,
            "min_frames": self.min_frames,
            **own_code(self.layout, "--layout"),
        }

    def open(self) -> Footage:
        """Return its tracks and frames.

        Raises:
            BadInput: the video cannot be decoded, the keypoints belong to another video, or it
                shows
            no person.
        """
        if self.undetected:
            raise BadInput(self.undetected)
        times = frame_times(self.path)
        width, height = frame_size(self.path)
        layout = self.layout and find_layout(self.layout)
        found = read_people(self.keypoints, len(times), self.threshold, layout)
        people = found.points
        looks = read_appearance(self.keypoints, people.shape[:2])
        scale = enlargement(self.path)
        if looks is None and scale != (1, 1):  # other programs count in stored pixels
            people[..., :2] = ((people[..., :2] + 0.5) * scale - 0.5) * people[..., 2:]
        shown = within(people, width, height)
        if (shown[..., 2] > 0).sum() < (people[..., 2] > 0).sum() / 2:
            raise BadInput(
                f"{self.keypoints} lies mostly outside the {width}x{height} pictures of "
                f"{self.path}; give the keypoints of this video at its own size and rotation"
            )
        used, rate = thin(times)
        tracks = link(
            shown[used], None if looks is None else looks[used], found.scores[used], times[used]
        )
        chosen = choose(tracks, self.person, self.min_frames)
        if not chosen:
            raise BadInput(self._nobody(tracks))
        if looks is None:  # not detected by this program in this video
            limbs = next(iter(chosen.values()))[:, : len(KEYPOINTS)]
            require_agreement(self.path, self.keypoints, limbs, used, rate)
        meta = {
            "video": str(self.path),
            "content": media_sha256(self.path),
            "size": [width, height],
            "fps": round(rate, 4),
            "source_fps": round((len(times) - 1) / max(times[-1] - times[0], 1e-6), 4),
        }
        out = list(self._tracks(chosen, used, times, meta))
        kept = np.unique(np.concatenate([track.source for track in out]))
        anybody = np.asarray((shown[used][..., 2] > 0).any((1, 2)))
        line = {
            "video": str(self.path),
            "people": len(tracks),
            "fps": meta["fps"],
            "video_frames": len(times),
            "dropped": dropped(used, len(times), anybody, kept, everybody=self.person == "all")
            | unread(declared_frames(self.path), len(times)),
        }
        return Footage(out, self._frames(out), line)

    def _tracks(
        self, chosen: dict[int, np.ndarray], used: np.ndarray, times: np.ndarray, meta: Any
    ) -> Iterator[Track]:
        """Yield the tracks of the selected people, each from its first to its last visible frame.

        chosen: points [T,14,3] in the used frames, by rank; used: their numbers [T]; times: of all
        frames.
        """
        for rank, points in chosen.items():
            seen = np.flatnonzero(points[..., 2].any(1))
            part = slice(seen[0], seen[-1] + 1)
            name = self.name if self.person != "all" else f"{self.name}_{rank}"
            time = times[used[part]] - times[0]
            yield Track(name, name, used[part].astype(np.int32), points[part], time=time, meta=meta)

    def _nobody(self, tracks: list[np.ndarray]) -> str:
        """Return the reason why no person in the video was selected."""
        if not tracks:
            lacking = (
                "no person was detected" if self.detected else f"{self.keypoints} has no person"
            )
            return (
                f"{self.path}: {lacking} in any frame; lower --threshold, give --keypoints of "
                "another detector, or omit the video"
            )
        longest = max(int(t[..., 2].any(1).sum()) for t in tracks)
        return (
            f"{self.path}: no person {'' if self.person == 'all' else f'({self.person}) '}is "
            f"seen in at least {self.min_frames} frames (people found: {len(tracks)}, the longest "
            f"track has {longest}); lower --threshold or --min-frames, or omit the video"
        )

    def _frames(self, tracks: list[Track]) -> Iterator[tuple[int, np.ndarray]]:
        wanted = np.unique(np.concatenate([track.source for track in tracks])).tolist()
        return zip(wanted, read_frames(self.path, wanted), strict=True)


def keypoint_content(path: Path) -> str | None:
    """Return the digest of a keypoint file or folder; None if it does not exist."""
    if not path.exists():
        return None
    return content(path, sorted(path.glob("*.json")) if path.is_dir() else None)


def dropped(
    used: Integer[np.ndarray, " t"],
    frames: int,
    shown: Bool[np.ndarray, " t"],
    kept: Integer[np.ndarray, " m"],
    *,
    everybody: bool,
) -> dict[str, int]:
    """Return the number of a video's frames that are in no record, by reason.

    used: frame numbers left after subsampling; shown: which of these show a person; kept: numbers
    of the frames in the selected tracks; everybody: whether these are all.
    """
    outside = ~np.isin(used, kept)
    counts = {
        "thinned to about 30 a second": frames - len(used),
        NOBODY: int((outside & ~shown).sum()),
        OUTSIDE_ALL if everybody else OUTSIDE: int((outside & shown).sum()),
    }
    return {reason: count for reason, count in counts.items() if count}


def unread(declared: int, frames: int) -> dict[str, int]:
    """Return how many frames the header declares beyond those present, as in a truncated file.

    Headers may be off by a few frames.
    """
    lacking = declared - frames
    reason = "that cannot be read: the file is damaged or was cut off"
    return {reason: lacking} if lacking > max(2, declared / 50) else {}


def named(paths: list[Path]) -> dict[str, Path]:
    """Return the videos by name: the file's stem, prefixed with its folder's name if not unique.

    Raises BadInput if two are the same file or a file is missing.
    """
    stems = [path.stem for path in paths]
    out: dict[str, Path] = {}
    for path in paths:
        if not (path.is_file() or (path.is_dir() and pictures_in(path))):
            what = "is a folder" if path.exists() else f"does not exist{near(path)}"
            raise BadInput(f"{path} {what}; give video files")
        name = (
            path.stem
            if stems.count(path.stem) == 1
            else f"{path.resolve().parent.name}_{path.stem}"
        )
        name = shortened(name)
        if name in out:
            raise BadInput(f"{path} and {out[name]} have the same name, {name}; rename one of them")
        out[name] = path
    return out
