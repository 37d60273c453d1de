"""Error of the person's offset under known camera motion, compared with a plain tracker.

python -m benchmarks.camera_motion                    |  a quick look: --scenes 4

Every embedded scene is filmed by a camera that pans, tilts, zooms, rolls, shakes or travels, then
disturbed by noise, motion blur or a walking figure that covers 10 to 40 % of the frame. It measures
what `datagen.clips.camera_offset` uses: the motion accumulated over 31 frames at three places where
people stand, compared with the motion by the scene's geometry. Baseline: Shi-Tomasi
corners, pyramidal Lucas-Kanade with a forward-backward check and RANSAC's similarity, at the usual
settings.
Only windows that the pipeline's thresholds accept count; both shares are printed.

With a travelling camera, near and far points move differently (parallax), so no single transform
per frame is right everywhere. The last column is the median error of the best transform, fitted to
the exact motion of the whole background. Disturbances are only added to the other motions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
import tyro
from scipy.spatial.transform import Rotation

from datagen.backgrounds import scenes
from datagen.backgrounds.camera_motion import CameraMotion, apply, camera_motion
from datagen.backgrounds.handheld import Path, tremor
from datagen.backgrounds.library import reject_reason
from datagen.backgrounds.options import BackgroundsConfig
from datagen.common.seeds import generator

# T frames, H W pixels

FRAMES, WIDTH, HEIGHT = 32, 320, 240
PLACES = np.array([[160.0, 120], [130, 130], [190, 130]])  # where people stand
STEPS = 4  # samples of a path per frame
RATE = 30.0 * STEPS
WINDOW = (21, 21)  # Lucas-Kanade of the baseline, OpenCV's default
MOTIONS = ("pan", "tilt", "zoom", "roll", "shake", "parallax", "hand")
SHARES = (0.1, 0.2, 0.3, 0.4)  # share of the frame that a walking figure covers


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the camera-motion estimate on embedded scenes."""

    scenes: int = 24
    """Scenes of each kind of motion; there are 24 panoramas with 4 takes each."""
    seed: int = 0
    """Seed of paths and disturbances."""


def camera_path(kind: str, rng: np.random.Generator, heading: float) -> Path:
    """Draw a hand's path that mostly pans, tilts, zooms, rolls, shakes or travels (parallax)."""
    count = FRAMES * STEPS
    time = np.arange(count) / RATE
    steady = 0.4 if kind == "shake" else 0.1
    yaw, pitch, roll = (
        steady * share * (tremor(rng, count, 0.18 * RATE) + 0.5 * tremor(rng, count, 0.045 * RATE))
        for share in (1.0, 1.0, 0.7)
    )
    sign = rng.choice([-1, 1])
    place = np.zeros((count, 3))
    field = rng.uniform(45.0, 70.0) * np.ones(count)
    if kind == "pan":
        yaw = yaw + sign * rng.uniform(3.0, 14.0) * time
    elif kind == "tilt":
        pitch = pitch + sign * rng.uniform(2.0, 8.0) * time
    elif kind == "roll":
        roll = roll + sign * rng.uniform(3.0, 12.0) * time
    elif kind == "zoom":
        field = field * np.exp(sign * rng.uniform(0.1, 0.3) * time)
    elif kind == "parallax":
        towards = rng.uniform(0, 2 * np.pi)
        place[:, [0, 2]] = np.outer(time, [np.sin(towards), np.cos(towards)])
        place *= rng.uniform(0.2, 0.5)  # metres per second: a slow walk
    pitch = pitch + rng.uniform(-8.0, 4.0)
    angles = np.stack([yaw + np.rad2deg(heading), pitch, roll], axis=1)
    turn = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    return Path(turn=turn, place=place, field=np.deg2rad(field), per_frame=STEPS)


def film(name: str, kind: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frames uint8 [T,H,W,3] and the final positions of PLACES, [3,2] pixels: true, and by
    the least-squares homography of the true motion of the whole background."""
    scene = scenes.open_scene(name)
    start = 70
    if kind != "hand":
        ahead = scene.path.turn[len(scene.path.turn) // 2][2]
        rng = generator(seed, "camera", name, kind)
        scene = replace(scene, path=camera_path(kind, rng, float(np.arctan2(ahead[0], ahead[2]))))
        start = 0
    frames = scene.render(start, FRAMES, WIDTH, HEIGHT)
    y, x = np.mgrid[8:HEIGHT:16, 8:WIDTH:16]
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(float)
    moved = scene.follow(np.concatenate([PLACES, points]), start, FRAMES, WIDTH, HEIGHT)[-1]
    best, _ = cv2.findHomography(points, moved[len(PLACES) :], 0)
    return frames, moved[: len(PLACES)], apply(best, PLACES)


def noise(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the grain of a dark room, 10 of 255."""
    return np.clip(frames + rng.normal(0, 10, frames.shape), 0, 255).astype(np.uint8)


def motion_blur(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur every frame over 9 pixels, in a direction that changes from frame to frame."""
    angles = rng.uniform(0, np.pi) + np.cumsum(rng.normal(0, 0.4, len(frames)))
    along = np.linspace(-4, 4, 17)
    blurred = []
    for frame, angle in zip(frames, angles, strict=True):
        kernel = np.zeros((9, 9))
        x, y = np.rint(4 + along * np.cos(angle)), np.rint(4 + along * np.sin(angle))
        np.add.at(kernel, (y.astype(int), x.astype(int)), 1 / len(along))
        kernel = cv2.GaussianBlur(kernel, (3, 3), 0.5)
        # Centred, so that the blur adds no motion.
        kernel = (kernel + kernel[::-1, ::-1]) / 2
        blurred.append(cv2.filter2D(frame, -1, kernel / kernel.sum()))
    return np.stack(blurred)


def cloth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a random pattern, uint8 [H,W,3]."""
    pattern = cv2.GaussianBlur(rng.standard_normal((height, width, 3)), (0, 0), 1.5)
    return np.clip(128 + 40 * pattern / pattern.std(), 0, 255).astype(np.uint8)


def walker(frames: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Let a patterned figure covering `share` of the frame walk through its middle, swaying.

    The figure is 1.7 times as high as wide, or as high as the frame, and stands on its lower edge.
    """
    count, height, width = frames.shape[:3]
    pattern = cloth(rng, height + 40, width + 200)
    body = np.sqrt(share * height * width / 1.7)
    body, tall = (share * width, height) if 1.7 * body > height else (body, 1.7 * body)
    y, x = np.mgrid[:height, :width]
    speed, start = rng.uniform(1.5, 4.0) * rng.choice([-1, 1]), rng.uniform(-0.1, 0.1) * width
    walked = frames.copy()
    for t in range(count):
        centre = width / 2 + start + speed * (t - count / 2)
        up = 4 * np.sin(0.4 * t)
        inside = (abs(x - centre) < body / 2) & (y > height - tall + up)
        shift = np.array([[1, 0, centre - width / 2 - 100], [0, 1, up - 20]])
        worn = cv2.warpAffine(pattern, shift, (width, height), borderMode=cv2.BORDER_WRAP)
        walked[t][inside] = worn[inside]
    return walked


Disturbance = Callable[[np.ndarray, np.random.Generator], np.ndarray]
DISTURBANCES: dict[str, Disturbance] = {
    "noise": noise,
    "motion blur": motion_blur,
    **{
        f"walker {share:.0%}": lambda frames, rng, share=share: walker(frames, share, rng)
        for share in SHARES
    },
}


def plain(frames: np.ndarray) -> CameraMotion:
    """Estimate the camera's motion in the usual way, as the baseline."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    totals, inliers, ratio, shift = [np.eye(3)], [], [], []
    centre = np.array([[WIDTH - 1, HEIGHT - 1]]) / 2
    for before, after in pairwise(grey):
        step, count, share = np.eye(3), 0, 0.0
        start = cv2.goodFeaturesToTrack(before, 400, 0.01, 7)
        if start is not None:
            end, found, _ = cv2.calcOpticalFlowPyrLK(
                before, after, start, start.copy(), winSize=WINDOW
            )
            back, returned, _ = cv2.calcOpticalFlowPyrLK(
                after, before, end, end.copy(), winSize=WINDOW
            )
            good = (found & returned)[:, 0] == 1
            good &= np.linalg.norm((back - start).reshape(-1, 2), axis=1) < 1
            start, end = start[good], end[good]
            if len(start) >= 3:
                matrix, chosen = cv2.estimateAffinePartial2D(
                    start, end, ransacReprojThreshold=3, confidence=0.99
                )
                if matrix is not None and np.isfinite(matrix).all():
                    step[:2], count, share = matrix, int(chosen.sum()), float(chosen.mean())
        totals.append(step @ totals[-1])
        inliers.append(count)
        ratio.append(share)
        shift.append(float(np.linalg.norm(apply(step, centre) - centre)))
    moved = np.asarray(totals, np.float32)
    never = np.zeros(len(shift))  # the baseline does not measure competing motions
    return CameraMotion(
        moved, moved[:, :2], np.asarray(inliers), np.asarray(ratio), np.asarray(shift), never
    )


def case(name: str, kind: str, disturbance: str | None, seed: int = 0):
    """Return the disturbed frames of a scene and the positions of PLACES, as `film` does."""
    frames, true, best = film(name, kind, seed)
    if disturbance is not None:
        rng = generator(seed, "disturb", name, kind, disturbance)
        frames = DISTURBANCES[disturbance](frames, rng)
    return frames, true, best


def cases(count: int) -> list[tuple[str, str, str | None, str]]:
    """Return (row of the table, motion, disturbance, scene): each motion alone on `count` scenes,
    then each disturbance on `count` scenes with alternating motions (without parallax)."""
    names = [scenes.scene_names()[index] for index in _spread(count)]
    rows: list[tuple[str, str, str | None, str]]
    rows = [(kind, kind, None, name) for kind in MOTIONS for name in names]
    turns = [kind for kind in MOTIONS if kind != "parallax"]
    for disturbance in DISTURBANCES:
        rows += [
            (disturbance, turns[index % len(turns)], disturbance, name)
            for index, name in enumerate(names)
        ]
    return rows


def _spread(count: int) -> list[int]:
    """Return indices of `count` of the scenes, different panoramas first."""
    total = len(scenes.scene_names())
    order = [
        panorama * scenes.TAKES + (panorama + take) % scenes.TAKES
        for take in range(scenes.TAKES)
        for panorama in range(total // scenes.TAKES)
    ]
    return order[:count]


def offset_error(motion: CameraMotion, true: np.ndarray) -> np.ndarray:
    """Return the error in pixels [3] of the offset accumulated at PLACES."""
    return np.linalg.norm(apply(motion.homography[-1].astype(float), PLACES) - true, axis=1)


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    cfg = BackgroundsConfig()
    errors: dict[str, dict[str, list[np.ndarray]]] = {}
    accepted: dict[str, dict[str, list[bool]]] = {}
    floor: dict[str, list[np.ndarray]] = {}
    for row, kind, disturbance, name in cases(options.scenes):
        frames, true, best = case(name, kind, disturbance, options.seed)
        floor.setdefault(row, []).append(np.linalg.norm(best - true, axis=1))
        for method, estimate in (("ours", camera_motion), ("plain", plain)):
            motion = estimate(frames)
            trusted = reject_reason(motion, cfg) is None
            accepted.setdefault(row, {}).setdefault(method, []).append(trusted)
            errors.setdefault(row, {}).setdefault(method, [])
            if trusted:
                errors[row][method].append(offset_error(motion, true))
    print("error of the offset after 31 frames, pixels          ours | plain tracker")
    head = "median    95 %  accepted"
    print(f"{'motion or disturbance':22s} {head} | {head} | best single transform")
    for row in errors:
        line = [_figures(errors[row][m], accepted[row][m]) for m in ("ours", "plain")]
        print(f"{row:22s} {line[0]} | {line[1]} | {np.median(np.concatenate(floor[row])):6.2f}")
    pooled = {
        method: (
            [error for row in errors for error in errors[row][method]],
            [trusted for row in accepted for trusted in accepted[row][method]],
        )
        for method in ("ours", "plain")
    }
    print(f"{'all':22s} {_figures(*pooled['ours'])} | {_figures(*pooled['plain'])}")
    ours, baseline = (float(np.median(np.concatenate(pooled[m][0]))) for m in ("ours", "plain"))
    worst, baseline_worst = (
        float(np.percentile(np.concatenate(pooled[m][0]), 95)) for m in ("ours", "plain")
    )
    result = {
        "name": "camera motion",
        "ours": round(ours, 3),
        "baseline": round(baseline, 3),
        "ratio": round(baseline / ours, 2),
        "unit": "px after 31 frames, median",
        "p95": round(worst, 3),
        "baseline_p95": round(baseline_worst, 3),
    }
    print(json.dumps(result))


def _figures(errors: list[np.ndarray], accepted: list[bool]) -> str:
    if not errors:
        return f"{'-':>6s}  {'-':>6s}  {np.mean(accepted):8.0%}"
    values = np.concatenate(errors)
    return f"{np.median(values):6.2f}  {np.percentile(values, 95):6.2f}  {np.mean(accepted):8.0%}"


if __name__ == "__main__":
    main(tyro.cli(Options))
