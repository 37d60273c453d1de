"""Analysing a background window, compared with a straightforward way on the same frames.

python -m benchmarks.analyse                 (embedded scenes)
python -m benchmarks.analyse --videos FOLDER --windows 12

Ours: tracks, camera motion and, once per window, SLIC on the stabilised clip at a quarter of the
size. Baseline: the same camera motion, and SLIC on the clip at full size. One core each. Also
printed: how closely the coarse segments follow the full-size segments.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
from skimage.segmentation import find_boundaries, slic

from datagen.backgrounds import scenes
from datagen.backgrounds.camera_motion import camera_motion
from datagen.backgrounds.cuts import window_fault
from datagen.backgrounds.library import window_starts
from datagen.backgrounds.sources import find_videos
from datagen.backgrounds.supervoxels import supervoxels
from datagen.common.frames import frame_times
from datagen.common.video import read_stretches

FRAMES, WIDTH, HEIGHT, SEGMENTS = 32, 320, 240, 40


def windows(folder: Path | None, count: int) -> list[np.ndarray]:
    """Return `count` windows uint8 [T,H,W,3], one per source, evenly chosen."""
    sources = find_videos(folder)
    chosen = [sources[i] for i in np.linspace(0, len(sources) - 1, count).astype(int)]
    found = []
    for source in chosen:
        if source.path is None:
            found.append(scenes.open_scene(source.name).render(70, FRAMES, WIDTH, HEIGHT))
            continue
        path = Path(source.path)
        frames = len(frame_times(path))
        if frames < FRAMES:
            print(f"skipped: {path} has {frames} frames, a window {FRAMES}")
            continue
        (start,) = window_starts(frames, FRAMES, 1)
        found += read_stretches(path, [range(start, start + FRAMES)], WIDTH, HEIGHT, [0.5])
    return found


def boundary_recall(ours: np.ndarray, full: np.ndarray, reach: int = 4) -> float:
    """Share of the full-size segments' borders within `reach` pixels of one of our borders."""
    near = cv2.dilate(
        find_boundaries(ours).astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    )
    border = find_boundaries(full)
    return float(near[border].mean())


def colour_error(labels: np.ndarray, frame: np.ndarray) -> float:
    """Root mean square distance of pixels from their segment's mean colour, of 255."""
    flat, pixels = labels.ravel(), frame.reshape(-1, 3).astype(float)
    count = np.maximum(np.bincount(flat), 1)
    mean = np.stack([np.bincount(flat, pixels[:, c]) / count for c in range(3)], axis=1)
    return float(np.sqrt(((pixels - mean[flat]) ** 2).mean()))


def lifetime(labels: np.ndarray) -> float:
    """Mean share of the window's frames in which a segment is present."""
    seen = [np.unique(frame) for frame in labels]
    return sum(len(s) for s in seen) / len(labels) / len(np.unique(labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--videos", type=Path, default=None)
    parser.add_argument("--windows", type=int, default=4)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    stages = {"cuts": 0.0, "motion": 0.0, "segments": 0.0, "full-size SLIC": 0.0}
    recall, ours_colour, full_colour, ours_life, full_life = [], [], [], [], []
    clips = windows(options.videos, options.windows)
    if not clips:
        parser.error(f"--videos {options.videos} holds no video of {FRAMES} frames")
    camera_motion(clips[0][:3])  # warm-up: the first call loads code
    for frames in clips:
        times = [time.process_time()]
        window_fault(frames)
        times.append(time.process_time())
        motion = camera_motion(frames)
        times.append(time.process_time())
        labels = supervoxels(frames, motion.motion, SEGMENTS)
        times.append(time.process_time())
        full = slic(
            frames,
            n_segments=SEGMENTS,
            compactness=10.0,
            spacing=(1.0, 1, 1),  # a quarter at a quarter of the size
            start_label=0,
            channel_axis=-1,
        )
        times.append(time.process_time())
        for stage, spent in zip(stages, np.diff(times), strict=True):
            stages[stage] += float(spent) / len(clips)
        for t in (0, FRAMES // 2, FRAMES - 1):
            large = cv2.resize(labels[t], (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
            recall.append(boundary_recall(large, full[t]))
            ours_colour.append(colour_error(large, frames[t]))
            full_colour.append(colour_error(full[t], frames[t]))
        ours_life.append(lifetime(labels))
        full_life.append(lifetime(full))
    ours = stages["cuts"] + stages["motion"] + stages["segments"]
    baseline = stages["cuts"] + stages["motion"] + stages["full-size SLIC"]
    for stage, seconds in stages.items():
        print(f"{stage:15s} {seconds:6.3f} s per window")
    print(f"borders of full-size segments within 4 px of ours: {np.mean(recall):.0%}")
    print(
        f"colour within a segment, RMS of 255: ours {np.mean(ours_colour):.1f}, "
        f"full size {np.mean(full_colour):.1f}"
    )
    print(
        f"a segment lasts: ours {np.mean(ours_life):.0%} of the window, "
        f"full size {np.mean(full_life):.0%}"
    )
    result = {
        "name": "Analysing a background window (against SLIC at full size)",
        "ours": round(ours, 4),
        "baseline": round(baseline, 4),
        "ratio": round(baseline / ours, 2),
        "unit": "core seconds per window",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
