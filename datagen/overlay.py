"""Show people in a video in 3D: the body over the picture, and the same body rotated by 60°.

    python -m datagen.overlay clip.mp4
    python -m datagen.overlay holiday/ photo.jpg --person all
    python -m datagen.overlay --predictions predictions/ --shards shards/ --video clip.mp4
    python -m datagen.overlay 0 --live

The first two need only what comes with the program: detector, network and body; --checkpoint gives
another network. They keep keypoints, shards and predictions in a folder work/ beside the results,
with the same crop and flow as in the network's training. Each person gets a film .mp4 with the
input's times and sound, a contact sheet .png, an animated mesh .glb (glTF 2.0) and the motion .npz
(AMASS's layout at 30 frames per second, for Blender's SMPL add-ons and datagen.launch --motions);
--export bvh trc mot json adds files for other programs. The third shows predictions of
trainer.predict; without --video, over the crops in the shards.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from datagen.common import cli
from datagen.common.files import sha256
from datagen.replay.options import OverlayConfig

if TYPE_CHECKING:
    from datagen.bodies.smpl.model import Body
    from datagen.replay.pictures import Pictures
    from datagen.replay.prediction import PredictedMotion


def overlay(cfg: OverlayConfig) -> int:
    """Write the results of every prediction; print what to look at."""
    if cfg.live:
        from datagen.replay.live import watch

        return watch(cfg)
    return _show_predictions(cfg) if cfg.predictions is not None else _show_inputs(cfg)


def _show_inputs(cfg: OverlayConfig) -> int:
    """Show videos and pictures with predictions made by this command."""
    from datagen.replay import results
    from datagen.replay.bodies import ready_body, warn_of_other_body
    from datagen.replay.checkpoint import checkpoint_info, shipped
    from datagen.replay.inputs import find_clips
    from datagen.replay.names import Names
    from datagen.replay.pictures import of_video
    from datagen.replay.predict import identity_of, predict, suffix
    from datagen.replay.prediction import read_motion

    clips = find_clips([path.expanduser() for path in cfg.inputs or [cfg.video] if path])
    checkpoint = cfg.checkpoint or shipped()
    found = predict(clips, checkpoint, cfg, meanwhile=lambda: ready_body(cfg.body))
    body = ready_body(cfg.body)
    warn_of_other_body(checkpoint_info(checkpoint).rest, checkpoint, body)
    names, written = Names(cfg.out), []
    for clip, file in found[: cfg.people]:
        wanted = clip.stem + suffix(cfg.person, file)
        identity = identity_of(clip, checkpoint, cfg, file) | {"of": wanted}
        motion = read_motion(file)
        under = of_video(motion, clip.path)
        written += _write(cfg.out / names.take(wanted, identity), motion, body, under, cfg)
    results.conclude(written)
    return 0


def _show_predictions(cfg: OverlayConfig) -> int:
    """Show predictions of trainer.predict over their video or their stored crops."""
    from datagen.replay import pictures, results
    from datagen.replay.bodies import load_body, rest_of, warn_of_other_body
    from datagen.replay.names import Names
    from datagen.replay.predict import prediction_files
    from datagen.replay.prediction import read_motion
    from datagen.replay.selection import of_this

    assert cfg.predictions is not None
    files = prediction_files(cfg.predictions)
    if cfg.video is not None:
        files = of_this(cfg.video, files)
    body = load_body(cfg.body)
    if cfg.shards is not None:
        warn_of_other_body(rest_of(cfg.shards), cfg.shards, body)
    names, written = Names(cfg.out), []
    for file in files[: cfg.people]:
        motion = read_motion(file)
        if cfg.video is not None:
            under = pictures.of_video(motion, cfg.video)
        else:
            assert cfg.shards is not None
            under = pictures.of_records(motion, cfg.shards)
        path = cfg.out / names.take(motion.name, {"prediction": sha256(file)[:16]})
        written += _write(path, motion, body, under, cfg)
    results.conclude(written)
    return 0


def _write(
    path: Path, motion: PredictedMotion, body: Body, under: Pictures, cfg: OverlayConfig
) -> list[Path]:
    """Write one person's results; print which frames show the person. Return the files."""
    from datagen.replay import coverage, results
    from datagen.replay.exports import write_exports

    for line in coverage.report(path.name, motion, under.numbers):
        print(line)
    film: list[Path] = []
    if cfg.film:
        film = results.write_film(path, motion, body, under, cfg.degrees, cfg.opacity)
    return film + write_exports(path, motion, body, cfg.export, cfg.smooth)


def main(args: list[str] | None = None) -> int:
    """Run the command with command line `args` and return the exit status."""
    return cli.run(OverlayConfig, overlay, __doc__, args)


if __name__ == "__main__":
    sys.exit(main())
