"""Convert real footage to shards, with the same crop and flow as the training clips.

    python -m datagen.ingest video clip.mp4 --keypoints openpose/ --out footage
    python -m datagen.ingest video clip.mp4 --detector mediapipe --out footage
    python -m datagen.ingest 3dpw --root 3DPW --split test --body smpl/ --out 3dpw-test
    python -m datagen.ingest aspset --root ASPset-510 --out aspset-test
    python -m datagen.ingest pose2sim --out pose2sim
    python -m datagen.ingest pose2sim --embedded --out person

The result is a data set that trainer.predict and trainer.evaluate read. With --unlabelled 31 it is
cut into short clips for trainer.fit --dann-shards.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from datagen.common import cli
from datagen.common.cli import count
from datagen.common.errors import BadInput, near
from datagen.footage.options import (
    AspsetConfig,
    FootageConfig,
    Pose2SimConfig,
    ThreeDPWConfig,
    VideoConfig,
)
from datagen.output.layout import Layout


@dataclass(frozen=True, kw_only=True)
class IngestConfig:
    """The kind of footage."""

    source: (
        Annotated[VideoConfig, tyro.conf.subcommand("video")]
        | Annotated[ThreeDPWConfig, tyro.conf.subcommand("3dpw")]
        | Annotated[Pose2SimConfig, tyro.conf.subcommand("pose2sim")]
        | Annotated[AspsetConfig, tyro.conf.subcommand("aspset")]
    )


def ingest(cfg: IngestConfig) -> int:
    """Make the data set; return 0 if an input could be used."""
    source = cfg.source
    if isinstance(source, VideoConfig):
        return _video(source)
    if isinstance(source, AspsetConfig):
        return _aspset(source)
    return _threedpw(source) if isinstance(source, ThreeDPWConfig) else _pose2sim(source)


def _threedpw(cfg: ThreeDPWConfig) -> int:
    from datagen.footage import threedpw
    from datagen.footage.dataset import ingest as make

    options = cfg.footage
    root = cfg.root.expanduser()
    sources = threedpw.find_sources(
        root, cfg.split, options.body, options.joint_regressor, truth=options.unlabelled is None
    )
    lines = make(sources, options, split=cfg.split)
    print(f"Valid frames of {sum(len(line['tracks']) for line in lines)} people, by rule:")
    for text, name in threedpw.RULES.items():
        print(f"  {sum(line['rules'][name] for line in lines if 'rules' in line):7d}  {text}")
    return report(lines, options)


def _pose2sim(cfg: Pose2SimConfig) -> int:
    from datagen.common.record import KEYPOINTS
    from datagen.footage import pose2sim
    from datagen.footage.dataset import ingest as make

    if cfg.embedded:
        from datagen.footage.embedded_clip import EmbeddedClip

        clip = [EmbeddedClip(cfg.truth)]
        return report(
            make(clip, cfg.footage, evaluation=KEYPOINTS, truth_source=cfg.truth), cfg.footage
        )
    root = cfg.root and cfg.root.expanduser()
    if root is not None and not root.is_dir():
        raise BadInput(f"--root {root} is not a folder{near(root)}")
    root = root or pose2sim.fetch(Path("~/.cache/motion-hmr/pose2sim").expanduser())
    sources = pose2sim.find_sources(root, cfg.truth, cfg.scene)
    if cfg.keypoints == "mediapipe":
        from datagen.footage.detector import detections

        folder = Layout(cfg.footage.out.expanduser()).root / "keypoints"
        videos = {source.name: source.video for source in sources}
        files, reasons = detections(videos, folder)
        for reason in reasons.values():
            raise BadInput(reason)
        sources = [replace(source, found=files[source.name]) for source in sources]
    lines = make(
        sources,
        cfg.footage,
        evaluation=KEYPOINTS,
        truth_source=cfg.truth,
        choices={"keypoints": cfg.keypoints, "scene": cfg.scene},
    )
    for line in lines[:1]:  # the cameras share it
        print(f"Ground truth: {cfg.truth}")
        for text in pose2sim.describe(line["residuals"]):
            print(f"  {text}")
    return report(lines, cfg.footage)


def _aspset(cfg: AspsetConfig) -> int:
    from datagen.footage import aspset
    from datagen.footage.dataset import ingest as make

    root = cfg.root.expanduser()
    sources = aspset.find_sources(root, cfg.split)
    if cfg.keypoints is None:
        from datagen.footage.detector import detections

        folder = Layout(cfg.footage.out.expanduser()).root / "keypoints"
        files, reasons = detections({one.name: one.video for one in sources}, folder)
        for reason in reasons.values():
            raise BadInput(reason)
    else:
        folder = cfg.keypoints.expanduser()
        files = {one.name: next(folder.glob(f"{one.name}*"), None) for one in sources}
        if absent := [name for name, file in files.items() if file is None]:
            raise BadInput(f"--keypoints {folder} has no file for {', '.join(absent[:3])}")
    sources = [replace(one, found=files[one.name]) for one in sources]
    return report(
        make(sources, cfg.footage, evaluation=aspset.EVALUATION, split=cfg.split), cfg.footage
    )


def _video(cfg: VideoConfig) -> int:
    from datagen.footage.dataset import ingest as make
    from datagen.footage.video_source import named
    from datagen.footage.videos import find_sources

    videos = named([path.expanduser() for path in cfg.videos])
    folder = Layout(cfg.footage.out.expanduser()).root / "keypoints"
    return report(make(find_sources(cfg, videos, folder), cfg.footage), cfg.footage)


def report(lines: list[dict[str, Any]], cfg: FootageConfig) -> int:
    """Print the finished shards and the next command; return 0 if there are any."""
    for line in lines:
        counts = line["statistics"]
        print(
            f"  {line['name']}  {line['source']}: {count(len(line['tracks']), 'track')}, "
            f"{count(counts['frames'], 'frame')} in {count(line['clips'], 'record')}, "
            f"{100 * counts['seen_keypoints']:.0f} % of the keypoints seen"
        )
        left_out = dict(line.get("dropped", {}))
        if "rest" in counts:
            left_out[f"too few for another clip of {cfg.unlabelled}"] = counts["rest"]
        if left_out:
            frames = f" of {count(line['video_frames'], 'frame')}" if "video_frames" in line else ""
            reasons = ", ".join(f"{number:,} {reason}" for reason, number in left_out.items())
            print(f"    left out{frames}: {reasons}")
    clips = sum(line["clips"] for line in lines)
    size = sum(line["bytes"] for line in lines) / 1e6
    shards, records = count(len(lines), "shard"), count(clips, "record")
    print(f"{shards}, {records}, {size:.1f} MB in {cfg.out}")
    out = shlex.quote(str(cfg.out))
    if cfg.unlabelled:
        inputs = "--inputs rgb " if cfg.rgb else ""  # the domain gap is in the pictures
        print(f"Next: python -m trainer.fit --shards shards {inputs}--dann-shards {out}")
    else:
        known = any(line["statistics"]["valid"] for line in lines)
        command = "trainer.evaluate" if known else "trainer.predict"
        print(f"Next: python -m {command} --shards {out}")
    return 0 if lines else 1


def main(args: list[str] | None = None) -> int:
    """Ingest with command line `args` and return the exit status."""
    return cli.run(IngestConfig, ingest, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
