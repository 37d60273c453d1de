"""The whole pipeline compared with a straightforward one, and two workers with one.

    python -m benchmarks.pipeline        |  a quick look: --clips 4 --usual-clips 1

Ours warm: shards made from existing libraries. Ours cold: including making the libraries, for as
many clips as there are samples. Straightforward: nothing is reused, so every clip computes
everything: SMPL's forward pass with smplx, pyrender with lights from trimesh meshes, camera motion,
SLIC at full resolution, compositing of whole frames, then the crop, flow in float32, the same
record. Its video frames are as cheap as ours (decoded JPEGs), and its person has no texture. Both
use the same flow estimator; ours runs it in its default precision (bfloat16 where the processor
supports it). One core each, in core-seconds. FlowNetS has random weights, as its speed is the same.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from datagen.cluster import threads

os.environ.update(threads.VARIABLES)  # before numpy is imported

import numpy as np
import tyro

from datagen.backgrounds.library import read_background
from datagen.backgrounds.sources import find_videos
from datagen.bodies.motion.sources import find_motions, load_motion
from datagen.bodies.storage import read_person
from datagen.clips.pairing import Choice, Pairing
from datagen.cluster.backends import open_backend
from datagen.cluster.options import ClusterConfig
from datagen.common.seeds import generator
from datagen.flow.options import FlowConfig
from datagen.launcher import tasks
from datagen.launcher.config import LaunchConfig
from datagen.launcher.library import LibraryFile
from datagen.output import shard

FRAMES = LaunchConfig().clips.clip_length + 1
MOTIONS = ("walk", "kick", "dance_a", "jump")
SCENES = 3
ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare the pipeline with the straightforward one."""

    clips: int = 16
    """Clips that ours makes with each estimator (a quarter of them with the full FlowNetS)."""
    usual_clips: int = 2
    """Clips that the straightforward pipeline makes."""
    shards: int = 4
    """Shards of 8 clips that one and two workers make in each round."""


def main(options: Options) -> None:
    """Print the figures, then one JSON object."""
    threads.pin()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        flows = estimators(folder)
        cold, people, scenes = libraries(folder)
        choices = draw(people, scenes, max(options.clips, 8 * options.shards))
        usual = straightforward(folder, choices[: options.usual_clips], flows)
        print(f"libraries of {len(people)} motions and {len(scenes)} scenes: {cold:.1f} core-s")
        print(table("straightforward, core-s per clip", usual))
        rest = sum(value for stage, value in usual.items() if stage not in flows)
        found: dict[str, dict[str, float]] = {}
        for name, cfg in flows.items():
            clips = max(4, options.clips // 4) if name == "flownets" else options.clips
            task = shard_task(folder, choices[:clips], cfg)
            shard_task(folder, choices[:1], cfg)()  # loads code and weights
            with core_seconds() as took:
                line = task()
            stages = {k: v / clips for k, v in line["seconds"].items() if k != "total"}
            ours, baseline = clips / took[0], 1 / (rest + usual[name])
            found[name] = {
                "ours": ours,
                "baseline": baseline,
                "ratio": ours / baseline,
                "cold": options.clips / (cold + options.clips / ours),
            }
            print(table(f"ours with {name}, s per clip", stages))
            print(
                f"{name}: {ours:.2f} clips per core-second warm, {found[name]['cold']:.2f} cold "
                f"({options.clips} clips), straightforward {baseline:.3f}: "
                f"{ours / baseline:.1f} times (cold {found[name]['cold'] / baseline:.1f})",
                flush=True,
            )
        pace, memory = workers(folder, choices, options.shards, flows)
    print(f"two workers make {pace[2] / pace[1]:.2f} times the clips of one ({pace[1]:.2f} per s)")
    for what, value in memory.items():
        print(f"peak memory of a worker {what}: {value:.2f} GB")
    full = found["flownets"]
    print(
        json.dumps(
            {
                "name": "The pipeline with FlowNetS (against keeping no library)",
                "ours": round(full["ours"], 3),
                "baseline": round(full["baseline"], 4),
                "ratio": round(full["ratio"], 2),
                "unit": "clips per core-second",
                "cold_ratio": round(full["cold"] / full["baseline"], 2),
                "narrow_ratio": round(found["flownets, narrow"]["ratio"], 2),
                "default_ratio": round(found["default"]["ratio"], 2),
                "dis_ratio": round(found["dis"]["ratio"], 2),
                "dis_clips_a_core_second": round(found["dis"]["ours"], 2),
                "two_workers": round(pace[2] / pace[1], 3),
                "worker_gb": round(max(memory.values()), 2),
            }
        )
    )


def estimators(folder: Path) -> dict[str, FlowConfig]:
    """Return the flow configurations, FlowNetS with random weights at both widths."""
    import torch

    from datagen.flow.flownets import DIV_FLOW, FlowNetS

    found = {"dis": FlowConfig(flow="dis"), "default": FlowConfig()}
    for name, width in (("flownets, narrow", 0.25), ("flownets", 1.0)):
        path = folder / f"flownets-{width}.pth"
        torch.manual_seed(0)
        torch.save({"state_dict": FlowNetS(width).state_dict(), "div_flow": DIV_FLOW}, path)
        found[name] = FlowConfig(flow="flownets", flow_weights=path)
    return found


def libraries(folder: Path) -> tuple[float, dict[str, Any], dict[str, Any]]:
    """Make small libraries; return their cost in core-seconds and their manifest lines."""
    cfg = LaunchConfig()
    motions = {source.name: source for source in find_motions(None)}
    people, scenes = {}, {}
    with core_seconds() as took:
        for name in MOTIONS:
            path = folder / "people" / f"{name}.h5"
            people[name] = tasks.BodyTask(motions[name], cfg.bodies, 0, path)()
        for source in find_videos(None)[:: len(find_videos(None)) // SCENES][:SCENES]:
            path = folder / "scenes" / f"{source.name}.h5"
            task = tasks.BackgroundTask(
                source,
                cfg.backgrounds,
                frames=FRAMES,
                width=cfg.bodies.width,
                height=cfg.bodies.height,
                seed=0,
                path=path,
            )
            scenes[source.name] = task()
    return took[0], people, scenes


def draw(people: dict[str, Any], scenes: dict[str, Any], clips: int) -> list[Choice]:
    """Return the choices for `clips` clips, as the launcher draws them."""
    pairing = Pairing(tuple(sorted(people)), tuple(sorted(scenes)), FRAMES, 0)
    return [pairing.choose(0, k, people.get, scenes.get) for k in range(clips)]


def shard_task(
    folder: Path, choices: list[Choice], flow: FlowConfig, index: int = 0
) -> tasks.ShardTask:
    """Return the task that makes a shard of these clips."""
    return tasks.ShardTask(
        index,
        tuple(choices),
        replace(LaunchConfig(), flow=flow),
        {c.person: LibraryFile(folder / "people" / f"{c.person}.h5", "") for c in choices},
        {c.background: LibraryFile(folder / "scenes" / f"{c.background}.h5", "") for c in choices},
        folder / f"shard-{index:06d}.tar",
    )


def straightforward(
    folder: Path, choices: list[Choice], flows: dict[str, FlowConfig]
) -> dict[str, float]:
    """Return core-seconds per clip and stage if every clip computes everything, by estimator."""
    from skimage.segmentation import slic

    from benchmarks.compose import drawing_with
    from benchmarks.compose import straightforward as whole_frames
    from benchmarks.render import Usual
    from datagen.backgrounds.camera_motion import camera_motion
    from datagen.bodies.render.camera import View, into_camera
    from datagen.bodies.smpl.model import load_bodies
    from datagen.clips import compose as room

    body = load_bodies(None)["neutral"]
    usual = Usual(body.faces)
    networks = {name: float32(cfg) for name, cfg in flows.items()}
    motions = {source.name: source for source in find_motions(None)}
    spent: defaultdict[str, float] = defaultdict(float)
    cfg = LaunchConfig().clips

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        with core_seconds() as took:
            yield
        spent[name] += took[0] / len(choices)

    for number in (-1, *range(len(choices))):  # first a warm-up
        choice = choices[max(number, 0)]
        with stage("motion and smplx"):
            motion = load_motion(motions[choice.person], body.rest_joints())
            span = np.arange(FRAMES) % len(motion.pose)
            pose, trans = into_camera(
                View(0.5, 7.0), motion.pose[span], motion.trans[span], body.rest_joints()[0]
            )
            vertices, _ = body.forward(pose, np.zeros(10, np.float32), trans)
        with stage("pyrender"):
            for frame in vertices:
                usual.render(frame)
        # The renderings are compared in benchmarks/render.py; the clip continues with ours, so that
        # both pipelines compose the same pictures.
        person = read_person(
            folder / "people" / f"{choice.person}.h5", choice.clip, choice.start, FRAMES
        )
        with stage("video"):
            background = read_background(
                folder / "scenes" / f"{choice.background}.h5", choice.window
            )
        with stage("camera motion"):
            motion2d = camera_motion(background.frames).motion
        with stage("full-size SLIC"):
            segments = slic(
                background.frames,
                n_segments=40,
                compactness=10.0,
                spacing=(1.0, 1, 1),
                start_label=0,
                channel_axis=-1,
            ).astype(np.uint8)
        background = replace(background, motion=motion2d, segments=segments)
        with stage("compose"), drawing_with(whole_frames):
            clip = room.compose(person, background, cfg, generator(0, 0, number + 1, "compose"))
        for name, network in networks.items():
            with stage(name):
                flow = network(clip.frames)
        with stage("write"):
            record = shard.encode("000000_0000", clip, flow, {}, rgb=True)
            shard.write(folder / "usual.tar", [record])
        if number == -1:
            spent.clear()
    return dict(spent)


def float32(cfg: FlowConfig) -> Callable[[np.ndarray], np.ndarray]:
    """Return an estimator run as in public code: float32, pair by pair, enlarged at the end."""
    from datagen.flow.load import load_estimator

    if cfg.flow == "dis":
        return load_estimator(cfg)
    if cfg.flow != "flownets":
        return load_estimator(replace(cfg, flow_dtype="float32"))
    import torch

    from datagen.flow.checkpoint import read_checkpoint
    from datagen.flow.flownets import DIV_FLOW, MEAN, upsample
    from datagen.flow.network import load_flownets

    assert cfg.flow_weights is not None
    network = load_flownets(read_checkpoint(cfg.flow_weights)[0], cfg.flow_weights).eval()
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)

    def estimate(frames: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255 - mean
        fields = []
        with torch.inference_mode():
            for first, second in pairwise(images):
                flow = network(torch.cat((first, second))[None]) * DIV_FLOW
                upsample(flow, frames.shape[1:3])
                fields.append(flow.numpy())
        return np.concatenate(fields).astype(np.float16)

    return estimate


@dataclass(frozen=True)
class Several:
    """Tasks that one worker runs in sequence; the line has its peak memory."""

    tasks: tuple[Any, ...]
    pause: float = 0.0
    """Seconds to stay busy afterwards, so that the next task goes to another worker."""
    name: str = "several"

    def __call__(self) -> dict[str, Any]:
        for task in self.tasks:
            task()
        time.sleep(self.pause)
        # Not getrusage: a child's maximum starts at that of the parent that it was forked from.
        status = Path("/proc/self/status").read_text()
        return {"gb": int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9}


def workers(
    folder: Path, choices: list[Choice], shards: int, flows: dict[str, FlowConfig]
) -> tuple[dict[int, float], dict[str, float]]:
    """Return clips per second by number of workers, and peak memory by kind of work, GB."""
    every = [choices[8 * k : 8 * k + 8] for k in range(shards)]
    pace = {1: 0.0, 2: 0.0}
    kinds = {count: ClusterConfig(backend="processes", workers=count) for count in pace}
    with open_backend(kinds[1]) as one, open_backend(kinds[2]) as two:
        for backend in (one, two):
            warm = [shard_task(folder, choices[:8], flows["dis"], 100 + k) for k in range(2)]
            warm = warm[: backend.workers]
            list(backend.run([Several((task,), pause=3.0) for task in warm]))
        for _ in range(ROUNDS):  # alternating; the best counts, as the machine may be shared
            for backend in (one, two):
                began = time.perf_counter()
                made = [shard_task(folder, part, flows["dis"], k) for k, part in enumerate(every)]
                assert all(outcome.line for outcome in backend.run(made))
                rate = 8 * shards / (time.perf_counter() - began)
                pace[backend.workers] = max(pace[backend.workers], rate)
    cfg = LaunchConfig()
    motion = max(find_motions(None), key=lambda source: source.name == "dance_a")
    body = tasks.BodyTask(motion, cfg.bodies, 0, folder / "again" / "person.h5")
    scene = tasks.BackgroundTask(
        find_videos(None)[0], cfg.backgrounds, FRAMES, 320, 240, 0, folder / "again" / "scene.h5"
    )
    memory = {}
    for what, these in {
        "(people, scenes, shards with DIS)": (
            body,
            scene,
            shard_task(folder, choices, flows["dis"]),
        ),
        "(shards with FlowNetS)": (shard_task(folder, choices[:2], flows["flownets"]),),
    }.items():
        with open_backend(kinds[1]) as backend:
            (outcome,) = backend.run([Several(these)])
        assert outcome.line is not None, outcome.reason
        memory[what] = outcome.line["gb"]
    return pace, memory


@contextmanager
def core_seconds() -> Iterator[list[float]]:
    """Yield a list that gets the block's CPU time when it ends."""
    took: list[float] = []
    began = time.process_time()
    yield took
    took.append(time.process_time() - began)


def table(title: str, stages: dict[str, float]) -> str:
    """Return the stages with their times and shares as text."""
    total = sum(stages.values())
    rows = (f"  {name:<18}{value:8.4f}  {value / total:4.0%}" for name, value in stages.items())
    return "\n".join((title, *rows))


if __name__ == "__main__":
    main(tyro.cli(Options))
