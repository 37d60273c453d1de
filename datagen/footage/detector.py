"""The bundled 2D detector: MediaPipe's pose networks, run in-process.

It detects all people in a video; its keypoints match those of MediaPipe's own package to a fraction
of a pixel (benchmarks.detector).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datagen.common.ahead import ahead
from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.files import make_folder, whole
from datagen.common.frames import RATE, frame_times, read_frames, thin
from datagen.common.video import media_sha256
from datagen.footage.detection.appearance import appearance
from datagen.footage.detection.followers import Followers
from datagen.footage.detection.pose_detector import PoseDetector

LAYOUT = "mediapipe33"
VERSION = 5
"""Version of the output of `detect`; raised when the same video gets different keypoints."""


def detect(video: Path, detector: PoseDetector, out: Path) -> int:
    """Write the keypoints of a video's frames as this program's .npz; return the number of frames.

    For up to P people at a time: `keypoints` float32 [T,P,33,3] (x, y in pixels, visibility; 0
    without a detection), `world` float32 [T,P,33,3], the network's 3D joints in metres, and
    `appearance` float32 [T,P,6], colours of the clothes (both NaN without a detection). A person
    keeps its index among the P only while it is followed. Frames beyond about 30 per second, which
    no record uses, are skipped and have no people.

    Raises:
        BadInput: the video cannot be decoded.
    """
    times = frame_times(video)
    frames, used = len(times), thin(times)[0]
    followers = Followers(detector)
    found, looks = [], []
    steps = np.diff(times[used], prepend=times[0] - 1 / RATE)
    pictures = ahead(read_frames(video, used))
    progress = tqdm(pictures, "detecting", len(used), unit="frame", mininterval=1)
    for picture, elapsed in zip(progress, steps.tolist(), strict=True):
        found.append(followers.step(picture, elapsed))
        looks.append({slot: appearance(picture, pose.points) for slot, pose in found[-1].items()})
    people = 1 + max((slot for poses in found for slot in poses), default=0)
    keypoints = np.zeros((frames, people, 33, 3), np.float32)
    world = np.full((frames, people, 33, 3), np.nan, np.float32)
    colours = np.full((frames, people, 6), np.nan, np.float32)
    for t, poses, seen in zip(used, found, looks, strict=True):
        for slot, pose in poses.items():
            keypoints[t, slot], world[t, slot] = pose.points, pose.world
            colours[t, slot] = seen[slot]
    arrays = {"keypoints": keypoints, "world": world, "appearance": colours}
    with whole(out) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, layout=np.array(LAYOUT), **arrays)
    return frames


def detections(
    videos: dict[str, Path], folder: Path, *, leave_out: Collection[str] = ()
) -> tuple[dict[str, Path], dict[str, str]]:
    """Return each video's keypoint file, detecting missing ones, and the reasons of failures.

    Files lie in `folder` as <name>-<SHA-256 of the video>-v<VERSION>.npz, so the same video is not
    processed twice, but a different one with the same name and size is. Videos that cannot be
    decoded are reported later, by the ingestion. leave_out: names of videos not to process.
    """
    reasons: dict[str, str] = {}
    found = {
        name: folder / f"{name}-{media_sha256(path)[:12]}-v{VERSION}.npz"
        for name, path in videos.items()
    }
    missing = [name for name, file in found.items() if not (file.exists() or name in leave_out)]
    if not missing:
        return found, reasons
    make_folder(folder)
    detector = PoseDetector()
    for name in missing:
        print(f"Detecting people in {videos[name]}", flush=True)
        try:
            frames = detect(videos[name], detector, found[name])
        except BadInput as error:
            reasons[name] = str(error)
            continue
        except KeyboardInterrupt as stopped:  # keypoints are written when all are detected
            raise type(stopped)("run the same command again") from None
        print(f"  {count(frames, 'frame')}; the keypoints are kept in {folder}")
    return found, reasons
