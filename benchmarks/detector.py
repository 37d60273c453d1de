"""The detector compared with MediaPipe's own package, and its speed.

    python -m benchmarks.detector VIDEO… --mediapipe PYTHON [--record FOLDER]

PYTHON is that of a separate environment with Python 3.9 to 3.12, which takes 600 MB:
`python3.11 -m venv FOLDER && FOLDER/bin/pip install mediapipe==0.10.21 'numpy<2'`. Both get the
same frames, at most about 30 per second. Distances are over all 33 points in all frames where both
found a person, in pixels of a picture that is 1,920 wide. --record saves MediaPipe's output in the
form of tests/fixtures/detector. Not part of `make bench`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from datagen.common.frames import frame_size, frame_times, read_frames, thin
from datagen.footage.detection.pose_detector import PoseDetector
from datagen.footage.detection.roi import Roi, whole
from datagen.footage.detector import detect

SCRIPT = Path(__file__).with_name("mediapipe_script.py")


def reference(video: Path, wanted: Iterable[int], python: Path, out: Path) -> None:
    """Write the detections of MediaPipe's package in a video's frames, piped to it one by one."""
    width, height = frame_size(video)
    process = subprocess.Popen(
        [str(python), str(SCRIPT), str(out), str(width), str(height)],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    for frame in read_frames(video, wanted):
        process.stdin.write(frame.tobytes())
    process.stdin.close()
    if process.wait():
        raise SystemExit(f"error: {python} {SCRIPT} failed; run it yourself to see why")


def apart(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, int]:
    """Return distances [N,33], pixels, in frames that both found, and how many only theirs has.

    Args:
        ours: [T,P,33,3] keypoints; the person nearest to theirs counts.
        theirs: [T,1,33,3].
    """
    known = theirs[:, 0, :, 2].any(-1)
    far = np.linalg.norm(ours[..., :2] - theirs[..., :2], axis=-1)
    far[~ours[..., 2].any(-1)] = np.inf
    nearest = np.take_along_axis(far, np.median(far, -1).argmin(1)[:, None, None], 1)[:, 0]
    found = np.isfinite(nearest[:, 0])
    return nearest[known & found], int((known & ~found).sum())


def first_seen(
    pictures: Iterable[np.ndarray], detector: PoseDetector
) -> tuple[np.ndarray, Roi, Roi]:
    """Return the first picture with a person, its region and the person's region."""
    for picture in pictures:
        frame = whole(picture.shape[1], picture.shape[0])
        if people := detector.find(picture, frame):
            return picture, frame, people[0]
    raise SystemExit("error: no person is found in the first video; put another one first")


def speed(video: Path, detector: PoseDetector) -> tuple[float, float]:
    """Return the ms that a detection and a landmark pass take on one thread."""
    pictures = read_frames(video, range(len(frame_times(video))))
    picture, frame, crop = first_seen(pictures, detector)
    spent = []
    for call in (lambda: detector.find(picture, frame), lambda: detector.read(picture, crop)):
        times = []
        for _ in range(30):
            start = time.thread_time()
            call()
            times.append(time.thread_time() - start)
        spent.append(1e3 * float(np.median(times)))
    return spent[0], spent[1]


def compare(video: Path, python: Path, record: Path | None, detector: PoseDetector) -> float:
    """Print the distances of both in a video; return the median, pixels of 1,920."""
    used = thin(frame_times(video))[0]
    with tempfile.TemporaryDirectory() as folder:
        theirs_file = (record or Path(folder)) / f"{video.stem}.npz"
        if not theirs_file.exists():
            reference(video, used.tolist(), python, theirs_file)
        ours_file = Path(folder) / "ours.npz"
        detect(video, detector, ours_file)
        with np.load(theirs_file) as theirs, np.load(ours_file) as ours:
            mine, their = ours["keypoints"][used], theirs["keypoints"]
    far, lacking = apart(mine, their)
    far = far * 1920 / frame_size(video)[0]
    lost = len(used) - int(their[:, 0, :, 2].any(-1).sum())
    ours_lost = len(used) - int(mine[..., 2].any((1, 2)).sum())
    print(
        f"{video.stem:28} {len(used):5} frames  median {np.median(far):6.2f} px  "
        f"95 % {np.percentile(far, 95):7.2f} px  lost: theirs {lost}, ours {ours_lost}, "
        f"found only by theirs {lacking}",
        flush=True,
    )
    return float(np.median(far))


def main() -> None:
    """Print the figures, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--mediapipe", type=Path, required=True, help="Python that has MediaPipe")
    parser.add_argument("--record", type=Path, help="folder for MediaPipe's output")
    cfg = parser.parse_args()
    detector = PoseDetector()
    medians = [compare(video, cfg.mediapipe, cfg.record, detector) for video in cfg.videos]
    detection, landmarks = speed(cfg.videos[0], detector)
    print(f"one thread: {detection:.1f} ms per detection, {landmarks:.1f} ms per landmark pass")
    line = {
        "name": "distance of the detector from MediaPipe's package", "unit": "px of 1,920, median",
        "worst": round(max(medians), 2), "detection_ms": round(detection, 1),
        "landmarks_ms": round(landmarks, 1),
    }  # fmt: skip
    print(json.dumps(line))


if __name__ == "__main__":
    main()
