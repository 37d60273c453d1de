"""Time of each stage of datagen.overlay: 300 frames of 1280x720 with one person.

    python -m benchmarks.video [--frames 300] [--video FILE]

Stages are in core-milliseconds per frame (`time.process_time`, so that other work on the machine
matters little), on one thread each. Then the whole command, with and without drawing: wall-clock
and CPU seconds per frame, and peak memory. The baseline is the former way of drawing the body: at
twice the size and averaged, with the clips' renderer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datagen.bodies.render.light import shade
from datagen.bodies.render.renderer import Renderer
from datagen.bodies.smpl.mesh import Mesh
from datagen.common.frames import frame_times, read_frames
from datagen.flow.load import estimator
from datagen.flow.options import FlowConfig
from datagen.footage.detection.followers import Followers
from datagen.footage.detection.pose_detector import PoseDetector
from datagen.footage.embedded_clip import CLIP, CLIP_KEYPOINTS
from datagen.footage.pieces import crop_frames
from datagen.replay import mesh_painter
from datagen.replay.bodies import load_body
from datagen.replay.pictures import Pictures, of_video
from datagen.replay.prediction import PredictedMotion, read_motion
from datagen.replay.video_writer import film
from datagen.replay.views import show

WIDTH, HEIGHT = 1280, 720
SOME = 60
"""Number of frames that a stage is measured on."""


def write_clip(path: Path, frames: int) -> None:
    """Write a 1280x720 video of the embedded person, played back and forth."""
    pictures = [cv2.resize(one, (405, HEIGHT), interpolation=cv2.INTER_AREA)
                for one in read_frames(CLIP, range(50))]  # fmt: skip
    order = [*range(50), *range(48, 0, -1)]
    left = (WIDTH - 405) // 2
    with film(path, 30) as growing:
        for t in range(frames):
            one = pictures[order[t % len(order)]]
            growing.add(cv2.copyMakeBorder(
                one, 0, 0, left, WIDTH - 405 - left, cv2.BORDER_REPLICATE
            ))  # fmt: skip


def measured(call: Callable[[], Any], frames: int) -> float:
    """Return core-milliseconds per frame."""
    begin = time.process_time()
    call()
    return 1e3 * (time.process_time() - begin) / frames


def stages(video: Path, prediction: Path) -> dict[str, float]:
    """Return core-milliseconds per frame of each stage, measured on some frames."""
    pictures = list(read_frames(video, range(SOME)))
    followers = Followers(PoseDetector())
    followers.step(pictures[0])
    maps = np.tile(np.array([[0.3, 0, -80], [0, 0.3, 0]]), (SOME, 1, 1))
    estimate = estimator(FlowConfig())
    motion, body = read_motion(prediction), load_body(None)
    under = of_video(motion, video)
    shown = show(motion, body, under, degrees=60, opacity=0.9)
    both = [next(shown).both for _ in range(3)]

    def encode() -> None:
        with film(video.with_name("encoded.mp4"), 30) as growing:
            for t in range(SOME):
                growing.add(both[t % 3])

    times = len(frame_times(video))
    return {
        "decode": measured(lambda: list(read_frames(video, range(SOME))), SOME),
        "detect": measured(lambda: [followers.step(one) for one in pictures], SOME),
        "crop+flow (networks with flow)": measured(
            lambda: estimate(crop_frames(np.stack(pictures), maps, 224)), SOME
        ),
        "network+fit": network(keypoints(times), times),
        "draw": draw(motion, body, pictures),
        "encode": measured(encode, SOME),
    }


def keypoints(frames: int) -> np.ndarray:
    """Return the embedded person's keypoints [L,17,3], played back and forth."""
    with np.load(CLIP_KEYPOINTS) as file:
        points = file["keypoints"][:, 0, :17]
    order = [*range(50), *range(48, 0, -1)]
    return points[[order[t % len(order)] for t in range(frames)]]


def network(points: np.ndarray, frames: int) -> float:
    """Return core-milliseconds per frame of the network and the body fit."""
    import torch

    from trainer.predict import load

    torch.set_num_threads(1)
    predictor = load()
    return measured(lambda: predictor.predict(keypoints=points, size=(540, 960)), frames)


def draw(motion: PredictedMotion, body: Any, pictures: list[np.ndarray]) -> float:
    """Return core-milliseconds per frame of drawing both views."""

    def frames() -> Iterator[Any]:
        from datagen.replay.pictures import Picture

        for t in range(SOME):
            yield Picture(pictures[t], t, t / 30)

    under = Pictures(WIDTH, HEIGHT, place_maps(motion), frames(), numbers=np.arange(SOME))
    return measured(lambda: list(show(motion, body, under, degrees=60, opacity=0.9)), SOME)


def place_maps(motion: PredictedMotion) -> np.ndarray:
    """Return crop pixels → picture pixels [L,2,3]."""
    from datagen.clips import crop

    return crop.inverse(motion.crop.astype(np.float64))


def draw_before(motion: PredictedMotion, body: Any) -> tuple[float, float]:
    """Return core-milliseconds per view: now, and at twice the size with all render targets."""
    vertices, _ = body.forward(motion.pose[:20], motion.shapes[:20], np.zeros((20, 3)))
    seen = motion.in_crop(vertices, slice(0, 20))
    seen = (
        seen @ place_maps(motion)[:20, :, :2].swapaxes(1, 2) + place_maps(motion)[:20, None, :, 2]
    )
    paper = np.full((HEIGHT, WIDTH, 3), 244, np.uint8)
    brush = mesh_painter.painter(body, WIDTH, WIDTH)
    brush.paint(paper, vertices[0], seen[0])
    ours = measured(
        lambda: [brush.paint(paper, *one) for one in zip(vertices, seen, strict=True)], 20
    )
    focal = 2.0 * WIDTH
    renderer = Renderer(np.diag([focal, focal, 1]).astype(np.float32), 2 * WIDTH, 2 * WIDTH)
    mesh, look = Mesh(body.faces, body.num_vertices), np.ones((body.num_vertices, 3))

    def twice() -> None:
        for here, pixels in zip(vertices, seen, strict=True):
            depth = 10 + here[:, 2:] - here[:, 2:].mean()
            placed = np.concatenate([(2 * pixels + 0.5) * depth / focal, depth], 1)
            shades = shade(mesh.normals(here.astype(np.float32)), mesh_painter.LIGHT)
            drawn = next(renderer.render(mesh, placed[None].astype(np.float32), shades[None], look))
            cv2.resize(drawn.rgb, (WIDTH, WIDTH), interpolation=cv2.INTER_AREA)

    return ours, measured(twice, 20)


def command(video: Path, out: Path, frames: int, *more: str) -> dict[str, float]:
    """Run datagen.overlay; return wall-clock and CPU seconds per frame, and peak MB."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    line = [sys.executable, "-m", "datagen.overlay", str(video), "--out", str(out), *more]
    subprocess.run(line, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    core = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "clock": (time.perf_counter() - begin) / frames,
        "core": core / frames,
        "MB": after.ru_maxrss / 1e3,
    }


def main() -> None:
    """Print the figures, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--video", type=Path, help="instead of the embedded person")
    cfg = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "clip.mp4"
        if cfg.video:
            video.symlink_to(cfg.video.resolve())
        else:
            write_clip(video, cfg.frames)
        frames = len(frame_times(video))
        quick = command(video, Path(folder) / "quick", frames, "--no-film")
        whole = command(video, Path(folder) / "whole", frames)
        prediction = next(Path(folder).glob("whole/work/predictions-*/clip.npz"))
        parts = stages(video, prediction)
        ours, baseline = draw_before(read_motion(prediction), load_body(None))
    print(f"machine load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, value in parts.items():
        print(f"  {name:36} {value:6.1f} core-ms per frame")
    for name, value in (("the command", whole), ("without drawing", quick)):
        print(
            f"{name:16} {1e3 * value['core']:6.1f} core-ms per frame ({2 / value['core']:.0f} "
            f"frames/s of two free cores), {1 / value['clock']:.1f} frames/s of wall-clock time, "
            f"{value['MB']:.0f} MB"
        )
    line = {
        "name": "Drawing a body (against twice the size, averaged)", "ours": round(ours, 1),
        "baseline": round(baseline, 1), "ratio": round(baseline / ours, 2),
        "unit": "core-ms per view", "stages": {k: round(v, 1) for k, v in parts.items()},
        "command_core_ms": round(1e3 * whole["core"], 1),
        "without_drawing_core_ms": round(1e3 * quick["core"], 1),
        "memory_mb": round(whole["MB"]),
    }  # fmt: skip
    print(json.dumps(line))


if __name__ == "__main__":
    main()
