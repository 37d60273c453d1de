"""Make people/pose2sim_demo/: 50 small frames of a real person, with keypoints and ground truth.

    python -m datagen.assets.build.pose2sim_clip [--root DIR]

The sources are the wheels of Pose2Sim named in datagen.footage.pose2sim (pip downloads them).
Camera 1 sees the whole person from the front in every frame. Of the four cameras, MediaPipe is most
accurate in this one, so the comparison with it is fair. Every other frame with ground truth is
used, 60 → 30 fps. MediaPipe's joints are its predictions on the whole video at full size and rate.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import cv2
import numpy as np

from datagen.common.frames import read_frames
from datagen.common.record import KEYPOINTS
from datagen.footage import pose2sim
from datagen.footage.detector import detections
from datagen.footage.embedded_clip import CLIP, CLIP_KEYPOINTS, CLIP_TRUTH, FOLDER
from datagen.footage.keypoint_files import read_openpose
from datagen.footage.keypoints import evaluation_points
from datagen.footage.layouts import LAYOUTS

CAMERA = 0
WIDTH, HEIGHT = 540, 960
RATE = 30
QUALITY = {"crf": "21", "preset": "veryslow"}


def main() -> None:
    """Write the clip, its keypoints and its ground truths."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, help="the unpacked wheels; default: fetched by pip")
    options = parser.parse_args()
    cache = Path("~/.cache/motion-hmr").expanduser()
    root = options.root or pose2sim.fetch(cache / "pose2sim")
    source = pose2sim.find_sources(root)[CAMERA]
    people = {name: pose2sim.find_person(source.recording, name) for name in ("trc", "refined")}
    known = np.arange(0, len(people["trc"].joints), pose2sim.STEP)  # frames of the ground truth
    shown = known + pose2sim.LATE  # of the video
    shown, known = shown[shown < 100], known[shown < 100]
    FOLDER.mkdir(parents=True, exist_ok=True)
    scale = write_clip(source.video, shown)
    points = detected(source.recording.keypoints[CAMERA], people["trc"].detected[CAMERA])[known]
    points[..., :2] = np.where(points[..., 2:] > 0, (points[..., :2] + 0.5) * scale - 0.5, 0)
    np.savez_compressed(
        CLIP_KEYPOINTS, keypoints=points[:, None].astype(np.float32), layout="openpose25b"
    )
    truth: dict[str, np.ndarray] = {"joints": np.array(KEYPOINTS)}
    for name, person in people.items():
        camera = person.cameras[CAMERA]
        small = camera.intrinsics.copy()
        small[:2] *= scale
        small[:2, 2] += (scale - 1) / 2  # pixel centres are at integers
        truth[name] = camera.see(person.joints)[known].astype(np.float32)
        truth[f"{name}_camera"] = small.astype(np.float32)
    down = people["trc"].cameras[CAMERA].rotation @ pose2sim.DOWN
    truth["gravity"] = down.astype(np.float32)
    files, _ = detections({source.name: source.video}, cache / "keypoints")
    with np.load(files[source.name]) as found:
        world = found["world"][:, 0, list(LAYOUTS["mediapipe33"].limbs)]
    truth["mediapipe"] = world[shown].astype(np.float32)
    with open(CLIP_TRUTH, "wb") as file:
        np.savez_compressed(file, **truth)  # pyright: ignore[reportArgumentType]
    for path in (CLIP, CLIP_KEYPOINTS, CLIP_TRUTH):
        print(f"{path.stat().st_size / 1e3:7.0f} kB  {path}")


def write_clip(video: Path, frames: np.ndarray) -> float:
    """Write the frames of a video, downscaled; return the scale."""
    scale = 1.0
    with av.open(str(CLIP), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=QUALITY)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in read_frames(video, frames.tolist()):
            scale = HEIGHT / picture.shape[0]
            small = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        container.mux(stream.encode())
    return scale


def detected(folder: Path, person: np.ndarray) -> np.ndarray:
    """Return OpenPose's original points [N,25,3] of the person with limbs [N,14,3]."""
    people = read_openpose(folder)
    found = evaluation_points(people, LAYOUTS["openpose25b"])
    apart = np.abs(found - person[:, None]).max((-1, -2))
    return people[np.arange(len(people)), apart.argmin(1)]


if __name__ == "__main__":
    main()
