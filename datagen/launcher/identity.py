"""A data set's identity: the options and inputs that decide its bytes, and its dataset.json."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from datagen.backgrounds.options import TIME_SPACING
from datagen.bodies import shapes
from datagen.bodies.appearance.scans import scan_files
from datagen.bodies.smpl.files import used_files
from datagen.bodies.smpl.model import kept_bodies, neutral_or_first
from datagen.common import record
from datagen.common.errors import BadInput, near
from datagen.common.options import own_code
from datagen.flow.weights import weights_of
from datagen.launcher.config import LaunchConfig
from datagen.launcher.contents import entry
from datagen.launcher.sources import Sources, find_sources
from datagen.output.dataset import contract, refuse_other
from datagen.output.fingerprint import EMBEDDED, FLOW, LATER, assets, content
from datagen.output.layout import Layout

NOT_BYTES = ("num_shards", "shards", "out", "library")
"""Options of the output stage that do not affect the shards' bytes."""

SOURCES = ("motions", "surreal", "videos")
"""Options that name folders of sources, only some of which may be used."""

FORMER_OPTIONS = {"backgrounds": {"slic_time_spacing": TIME_SPACING}}
"""Removed options by stage, with the value that is now fixed. Identities still include them, so
older data sets can be continued and their libraries shared."""


def identity(
    cfg: LaunchConfig, sources: Sources | None = None, *, read: bool = True
) -> dict[str, Any]:
    """Return every option and input that decides the bytes of a shard, ready for JSON.

    Inputs are identified by their names and the SHA-256 of the files that are read. Moving a folder
    or adding a file of another kind to it changes nothing; adding a video or changing a file in
    place does. Raises BadInput if an input does not exist.

    sources: the result of `find_sources`, if already known; read: whether to hash the sources'
    files, which is slow for many. Without it the result is not a full identity, but still
    determines the library's folders.
    """
    stages: dict[str, Any] = {"record": record.REVISION}
    for stage in ("bodies", "backgrounds", "clips", "flow", "output"):
        options = asdict(getattr(cfg, stage))
        stages[stage] = {
            name: given(name, value)
            for name, value in options.items()
            if name not in NOT_BYTES and (value or name not in LATER)
        } | FORMER_OPTIONS.get(stage, {})
    stages["bodies"].pop("shapes", None)
    scans = shapes.find_scans(cfg.bodies, cfg.output.split)
    if scans and not cfg.output.labels_only:
        stages["bodies"]["shapes"] = shapes.identity(scans)
    # data sets made before --video-rate existed took frames as stored: no entry
    if cfg.backgrounds.videos is None or cfg.backgrounds.video_rate == "stored":
        del stages["backgrounds"]["video_rate"]
    sources = sources or find_sources(cfg)
    place = "surreal" if cfg.bodies.surreal else "motions"
    motions, videos = sources.all_motions, sources.all_videos
    stages["bodies"][place] = entry(motions, sources.motions, "motions", read=read)
    stages["backgrounds"]["videos"] = entry(videos, sources.videos, "videos", read=read)
    if weights := weights_of(cfg.flow.flow) if cfg.flow.flow_weights is None else "":
        stages[FLOW] = f"{cfg.flow.flow}-{weights}"
    stages |= own_code(cfg.backgrounds.scenes, "--scenes") | own_code(cfg.flow.flow, "--flow")
    if cfg.output.labels_only:  # all motions are dealt to num_shards shards
        stages["output"]["num_shards"] = cfg.output.num_shards
        # There is no flow in it; DIS was the default, and older sets keep their identity.
        stages["flow"]["flow"] = "dis"
        stages.pop(FLOW, None)
    places = cfg.bodies.motions
    used = (
        cfg.bodies.body is None,
        "embedded" in places or not (places or cfg.bodies.surreal),
        cfg.backgrounds.videos is None
        and not cfg.backgrounds.scenes
        and not cfg.output.labels_only,
    )
    for asset, is_used in zip(EMBEDDED, used, strict=True):
        if is_used:
            stages[asset] = assets(asset.removeprefix("embedded "))
    return stages


def given(option: str, value: Any) -> Any:
    """Return an option's value for JSON: a path's content digest, None for one of SOURCES.

    Raises BadInput if the path does not exist.
    """
    if option in SOURCES:
        for part in value if isinstance(value, tuple) else (value,):
            _check(option, part)
        return None
    _check(option, value)
    if option == "stride" and len(value) == 1:  # as stored before several strides were possible
        return value[0]
    if not isinstance(value, Path):
        return list(value) if isinstance(value, tuple) else value
    files = None
    if option == "body":
        files = used_files(value)
    elif option == "textures" and value.is_dir():
        files = scan_files(value)
    return content(value, files)


def _check(option: str, value: Any) -> None:
    """Raise BadInput for a path that does not exist."""
    if isinstance(value, Path) and not value.exists():
        name = option.replace("_", "-")
        raise BadInput(f"--{name} {value}: no such file or folder{near(value)}; correct the path")


def describe(
    cfg: LaunchConfig,
    flow_name: str,
    flow_stride: int,
    clips: int,
    known: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of dataset.json for a data set that holds `clips` clips so far.

    known: its identity, if already known.
    """
    bodies = kept_bodies(cfg.bodies.body, cfg.bodies.joint_regressor)
    return {
        **contract(known or identity(cfg), flow_name, flow_stride, cfg.clips.person_diagonal),
        "joint_regressor": neutral_or_first(bodies).regressor(),
        "clip_length": cfg.clips.clip_length,
        "image_size": cfg.clips.image_size,
        "rgb": cfg.output.rgb,
        "split": cfg.output.split,
        "shards": cfg.output.total,
        "clips_per_shard": cfg.output.clips_per_shard,
        "clips": clips,
    }


def guard(layout: Layout, cfg: LaunchConfig, known: dict[str, Any] | None = None) -> None:
    """Raise BadInput if the output folder holds shards of another configuration, or no data set but
    a README.md that the data set's card would replace.

    known: the identity, if already known.
    """
    if layout.card.exists() and not layout.dataset.exists():
        raise BadInput(
            f"{layout.shards} holds a README.md but no data set, and the data set's README.md "
            "would overwrite it; choose another --out"
        )

    def performers() -> dict[str, str]:
        motions = find_sources(cfg).all_motions
        return {motion.name: motion.subject for motion in motions}

    refuse_other(layout, known or identity(cfg), performers)
