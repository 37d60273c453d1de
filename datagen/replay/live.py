"""Shows a live camera picture with the body over it, in a browser, and saves it as a video.

The person is tracked over frames. The network gets the last second of keypoints, resampled to its
30 per second, and the last frame of its prediction is shown. OpenCV's headless build cannot open a
window, so the picture is shown on a page served by this machine.
"""

from __future__ import annotations

import importlib
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from datagen.bodies.smpl.model import Body
from datagen.common.errors import BadInput
from datagen.common.frames import RATE
from datagen.common.video import is_text, open_video
from datagen.footage.detection.followers import Followers, Pose
from datagen.footage.detection.pose_detector import PoseDetector
from datagen.footage.keypoints import evaluation_points
from datagen.footage.layouts import LAYOUTS
from datagen.replay.bodies import load_body
from datagen.replay.live_page import LivePage
from datagen.replay.mesh_painter import PAPER, painter, turned
from datagen.replay.names import Names
from datagen.replay.options import OverlayConfig
from datagen.replay.video_writer import film

SEEN = 32
"""Number of frames at RATE in the network's input."""
HEIGHT = 480
"""Height in pixels of the displayed picture."""


def watch(cfg: OverlayConfig) -> int:
    """Show the camera in `cfg.inputs` until it ends or Ctrl-C; return the exit status."""
    source = str(cfg.inputs[0])
    predictor = load_predictor(cfg)
    path = cfg.out / Names(cfg.out).take("live", {"live": time.strftime("%Y-%m-%d %H:%M:%S")})
    film_path = path.with_name(f"{path.name}.mp4")
    with LivePage() as page, film(film_path, RATE) as growing:
        print(f"{page.address} shows camera {source}; Ctrl-C ends it", flush=True)
        begin = None
        try:
            for at, picture in views(frames_of(source), predictor, load_body(cfg.body), cfg):
                begin = at if begin is None else begin
                growing.add(picture, at - begin)
                page.show(picture)
        except KeyboardInterrupt:
            print("stopped")
    print(f"Look at: {film_path}")
    return 0


def load_predictor(cfg: OverlayConfig) -> Any:
    """Return a trainer.evaluation.predictor.Predictor whose only input is keypoints.

    The two programs share only files; this is the only call of the trainer, through its public
    interface.
    """
    api = importlib.import_module("trainer.predict")
    try:
        predictor = api.load(cfg.checkpoint, refine=cfg.refine, mirror=False)
    except ValueError as error:
        raise BadInput(str(error)) from None
    if predictor.spec.inputs != "keypoints":
        raise BadInput(
            f"--live needs a network with only keypoint input; this one uses "
            f"{predictor.spec.inputs}; omit --checkpoint"
        )
    return predictor


def frames_of(source: str) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (seconds, uint8 [H,W,3] RGB): a camera's latest frame each time, or all of a file.

    Raises:
        BadInput: the camera does not exist or gives no picture.
    """
    number = source.isdecimal()
    if not is_text(source):
        raise BadInput(f"{source} has a name that OpenCV cannot open: give it a name in UTF-8")
    if not number and Path(source).is_file():
        open_video(Path(source)).release()  # a list of other files is none
    capture = cv2.VideoCapture(int(source)) if number else cv2.VideoCapture(source)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    try:
        shown = 0
        while capture.grab():
            at = time.monotonic() if number else capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            ok, picture = capture.retrieve()
            if not ok:
                break
            yield at, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            shown += 1
        if not shown:
            raise BadInput(f"camera {source} gives no picture; name another (0 is the first)")
    finally:
        capture.release()


def views(
    frames: Iterator[tuple[float, np.ndarray]], predictor: Any, body: Body, cfg: OverlayConfig
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (seconds, uint8 [h,w,3] RGB): each frame with the body over it and rotated beside
    it."""
    followers = Followers(PoseDetector())
    past: deque[tuple[float, np.ndarray]] = deque(maxlen=4 * SEEN)
    last = None
    for at, picture in frames:
        poses = followers.step(picture, 1 / RATE if last is None else max(at - last, 1e-3))
        last = at
        past.append((at, limbs(largest(poses))))
        while past[0][0] < at - SEEN / RATE:
            past.popleft()
        small = shrunk(picture)
        aside = np.full((small.shape[0], small.shape[0], 3), PAPER, np.uint8)
        if past[-1][1][:, 2].any():
            size = (picture.shape[1], picture.shape[0])
            person = predictor.predict(keypoints=resampled(past), size=size, fps=RATE)
            small, aside = drawn(person.arrays, body, small, aside, cfg)
        yield at, np.concatenate([small, aside], 1)


def largest(poses: dict[int, Pose]) -> np.ndarray | None:
    """Return the points [33,3] of the largest person."""
    extents = {slot: np.ptp(pose.points[:, :2], axis=0).prod() for slot, pose in poses.items()}
    return poses[max(extents, key=lambda slot: extents[slot])].points if extents else None


def limbs(points: np.ndarray | None) -> np.ndarray:
    """Return the 12 limbs [12,3] (x, y, seen 0/1) from MediaPipe's points [33,3]; 0 without a
    person."""
    if points is None:
        return np.zeros((12, 3), np.float32)
    return evaluation_points(points[None], LAYOUTS["mediapipe33"])[0, :12]


def resampled(past: deque[tuple[float, np.ndarray]]) -> np.ndarray:
    """Return keypoints [L,12,3] at RATE up to the last one, interpolated between seen keypoints.

    past: (seconds, [12,3] x, y, seen 0/1).
    """
    times = np.array([at for at, _ in past])
    points = np.stack([limb for _, limb in past])
    length = min(SEEN, 1 + round((times[-1] - times[0]) * RATE))
    wanted = times[-1] - np.arange(length)[::-1] / RATE
    out = np.zeros((length, 12, 3), np.float32)
    for k in range(12):
        seen = points[:, k, 2] > 0
        if seen.any():
            for axis in range(2):
                out[:, k, axis] = np.interp(wanted, times[seen], points[seen, k, axis])
            out[:, k, 2] = np.interp(wanted, times, seen.astype(float)) > 0.5
    return out


def shrunk(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Return the picture scaled to HEIGHT and an even width."""
    width = 2 * round(picture.shape[1] * HEIGHT / picture.shape[0] / 2)
    return cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_AREA)


def drawn(
    arrays: dict[str, np.ndarray],
    body: Body,
    picture: np.ndarray,
    paper: np.ndarray,
    cfg: OverlayConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture and the blank background, each with the body from the last frame."""
    scale = picture.shape[0] / arrays["size"][1]
    k, transl = arrays["K"][-1].astype(float), arrays["transl"][-1].astype(float)
    vertices, joints = body.forward(arrays["pose"][-1:], arrays["shapes"][-1:], np.zeros((1, 3)))
    away = turned(vertices, joints, cfg.degrees, arrays["gravity"].astype(float))
    brush = painter(body, max(picture.shape[:2]), max(picture.shape[:2]))

    def pixels(points: np.ndarray) -> np.ndarray:
        placed = (points + transl) @ k.T
        return (placed[:, :2] / np.maximum(placed[:, 2:], 0.05) + 0.5) * scale - 0.5

    over = brush.paint(picture, vertices[0], pixels(vertices[0]), cfg.opacity)
    seen = pixels(away[0])
    middle = (seen.max(0) + seen.min(0)) / 2
    aside = brush.paint(paper, away[0], seen - middle + np.array(paper.shape[1::-1]) / 2)
    return over, aside
