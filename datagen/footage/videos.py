"""Pairs videos with keypoints, from files or from the detector."""

from __future__ import annotations

from pathlib import Path

from datagen.common.errors import BadInput, near
from datagen.common.stills import is_picture
from datagen.common.video import open_video
from datagen.footage.options import VideoConfig
from datagen.footage.video_source import FootageVideo


def find_sources(cfg: VideoConfig, videos: dict[str, Path], folder: Path) -> list[FootageVideo]:
    """Return the videos, given by name, as sources of footage.

    Detections are cached in `folder` and reused for the same video.

    Raises:
        BadInput: a keypoint file is missing, or the only video cannot be read.
    """
    reasons = {name: reason for name, path in videos.items() if (reason := _unreadable(path))}
    if reasons and len(videos) == 1:
        raise BadInput(*reasons.values())
    if cfg.detector == "mediapipe":
        from datagen.footage.detector import detections

        found, failed = detections(videos, folder, leave_out=reasons)
        reasons |= failed
        files = list(found.values())
    else:
        files = [path.expanduser() for path in cfg.keypoints]
        if missing := [file for file in files if not file.exists()]:
            names = ", ".join(map(str, missing))
            raise BadInput(f"--keypoints {names} does not exist{near(missing[0])}")
    return [
        FootageVideo(
            path=path,
            name=name,
            keypoints=file,
            layout=cfg.layout,
            threshold=cfg.threshold,
            person=cfg.person,
            min_frames=1 if is_picture(path) else cfg.min_frames,
            detected=cfg.detector != "none",
            undetected=reasons.get(name, ""),
        )
        for (name, path), file in zip(videos.items(), files, strict=True)
    ]


def _unreadable(video: Path) -> str:
    """Return why a video has no readable frame; "" if it has."""
    try:
        open_video(video).release()
    except BadInput as error:
        return str(error)
    return ""
