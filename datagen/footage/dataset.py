"""Makes a data set from real footage: one shard per source, resumable, bad sources quarantined.

A shard's bytes depend only on its source and the options. It gets the next free number, so inputs
can be added later; `manifests/shards.jsonl` lists each shard's source.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from datagen.bodies.smpl.files import used_files
from datagen.bodies.smpl.model import Body, kept_bodies, neutral_or_first, write_reduced
from datagen.cluster.backends import open_backend
from datagen.cluster.options import ClusterConfig
from datagen.cluster.quarantine import Quarantine
from datagen.common import record
from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.common.files import make_folder, sweep
from datagen.common.options import own_code
from datagen.common.record import Line
from datagen.flow.load import estimator
from datagen.flow.weights import weights_of
from datagen.footage import pieces
from datagen.footage.options import FootageConfig
from datagen.footage.track import Track
from datagen.output import dataset, fingerprint, shard
from datagen.output.claim import claimed
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest, finished_shards


@dataclass(frozen=True, eq=False)
class Footage:
    """An opened source: its tracks, its frames, and further fields of its manifest line."""

    tracks: Sequence[Track]
    frames: Iterable[tuple[int, np.ndarray]]
    """(number in the source, uint8 [H,W,3] RGB) in order, for all frames of any track."""
    line: Line


class FootageSource(Protocol):
    """A source of footage: a video, a sequence, a camera. Picklable."""

    @property
    def name(self) -> str: ...

    def identity(self) -> Line:
        """Return everything its records depend on: `input`, the content digest, and reading
        options."""
        ...

    def open(self) -> Footage:
        """Return the opened source. Raises BadInput if it cannot be used."""
        ...


@dataclass(frozen=True)
class FootageTask:
    """Cut the tracks of one source, estimate their flow and write the tar."""

    source: FootageSource
    index: int
    cfg: FootageConfig
    path: Path
    fingerprint: str
    """Fingerprint of the data set."""

    @property
    def name(self) -> str:
        return self.source.name

    def __call__(self) -> Line:
        began = time.perf_counter()
        footage = self.source.open()
        counts = {"frames": 0, "seen_keypoints": 0.0, "valid": 0}
        written = shard.write(self.path, self._records(footage, counts), self.fingerprint)
        if not written["clips"]:
            raise BadInput(
                f"{self.name} has no person for {self.cfg.unlabelled} consecutive frames; "
                "request shorter clips with --unlabelled"
            )
        if rest := sum(len(track) for track in footage.tracks) - counts["frames"]:
            counts["rest"] = rest
        counts["seen_keypoints"] = round(counts["seen_keypoints"] / max(counts["frames"], 1), 4)
        return {
            "kind": "shard",
            "name": self.path.name,
            "shard": self.index,
            "source": self.name,
            "identity": self.source.identity(),
            **written,
            "tracks": [track.name for track in footage.tracks],
            "seconds": {"total": round(time.perf_counter() - began, 3)},
            "statistics": counts,
            **footage.line,
        }

    def _records(self, footage: Footage, counts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        cfg = self.cfg
        cutters, most = [], pieces.longest(cfg.image_size, rgb=cfg.rgb)
        for track in footage.tracks:
            parts = (
                pieces.clips_of(len(track), cfg.unlabelled)
                if cfg.unlabelled
                else pieces.spans(len(track), most)
            )
            cutters.append(pieces.Cutter(track, cfg.image_size, cfg.person_diagonal, parts))
        if cfg.keypoints_only:
            estimate, cut = None, pieces.without_frames(cutters)
        else:
            estimate, cut = estimator(cfg.flow), pieces.cut(footage.frames, cutters)
        for number, piece in enumerate(cut):
            first, last = piece.meta["keep"]
            counts["frames"] += last - first
            counts["valid"] += int(piece.arrays["valid"].sum())
            limbs = piece.arrays["joints2d"][first:last, LIMBS, 2]
            counts["seen_keypoints"] += float(limbs.mean(1).sum())
            yield shard.members(
                shard.key(self.index, number),
                piece.frames,
                piece.arrays,
                None if estimate is None else pieces.flow_of(piece, estimate),
                piece.meta,
                rgb=cfg.rgb and not cfg.keypoints_only,
            )


LIMBS = [record.JOINTS.index(name) for name in record.KEYPOINTS]


def ingest(
    sources: Sequence[FootageSource],
    cfg: FootageConfig,
    *,
    evaluation: Sequence[str] = record.EVAL_JOINTS,
    split: str = "",
    truth_source: str = "",
    choices: dict[str, str] | None = None,
) -> list[Line]:
    """Make the missing shards of the sources; return the lines of all shards that exist then.

    evaluation: the evaluation joints with ground truth, if not all; split: name of the split in the
    original data set; truth_source: origin of the true joints, if there is a choice; choices: the
    source's other options that must be equal within one data set.

    Raises:
        BadInput: the folder holds another configuration's shards, another command is filling it,
            or too many sources are bad.
    """
    cfg = replace(cfg, out=cfg.out.expanduser().resolve())
    layout = Layout(cfg.out)
    content = {**describe(cfg, evaluation, split, truth_source, choices or {}), "split": split}
    body = neutral_or_first(kept_bodies(cfg.body, cfg.joint_regressor))
    if not truth_source:  # otherwise the ground truth has measured joints
        content["joint_regressor"] = body.regressor()
    dataset.refuse_other(layout, content["config"])
    with claimed(layout, content["fingerprint"]):
        dataset.refuse_other(
            layout, content["config"]
        )  # another command may have started in the meantime
        return _fill(sources, cfg, layout, content, body)


def _fill(
    sources: Sequence[FootageSource], cfg: FootageConfig, layout: Layout, content: Line, body: Body
) -> list[Line]:
    """Make the missing shards of a data set; `content` is its dataset.json without counts."""
    manifest = Manifest(layout.manifests / "shards.jsonl")
    make_folder(layout.shards)
    sweep(layout.shards)
    for note in body.notes:
        print(f"note: {note}")
    write_reduced(layout.body, body)
    lines = finished_shards(layout)
    for index in layout.found().keys() - lines.keys():  # killed before the line was written
        layout.shard(index).unlink()
    _write_dataset(layout, content, list(lines.values()))
    tasks = _tasks(sources, lines, layout, cfg, content["fingerprint"])
    if tasks:
        made = f"crops of {cfg.image_size} px and {cfg.flow.flow} flow"
        print(
            f"Preparing {f'{len(tasks)} of ' if len(tasks) < len(sources) else ''}"
            f"{count(len(sources), 'input')}: {'keypoints' if cfg.keypoints_only else made} of "
            + (f"clips of {cfg.unlabelled} frames" if cfg.unlabelled else "whole tracks")
        )
    bad = _run(tasks, cfg, layout, manifest)
    lines = finished_shards(layout)
    _write_dataset(layout, content, list(lines.values()))
    if len(bad) > cfg.max_bad * max(len(sources), 1):
        if len(sources) == 1:
            raise BadInput(bad[0])
        raise BadInput(
            f"{len(bad)} of {count(len(sources), 'input')} could not be used, more than --max-bad "
            f"{cfg.max_bad}; each is listed above and in {layout.manifests / 'quarantine.jsonl'}"
        )
    return list(lines.values())


def describe(
    cfg: FootageConfig,
    evaluation: Sequence[str],
    split: str = "",
    truth_source: str = "",
    choices: dict[str, str] | None = None,
) -> Line:
    """Return dataset.json without its counts."""
    options = {name: value for name, value in asdict(cfg).items() if name not in NOT_BYTES}
    if not cfg.keypoints_only:  # older data sets do not have this entry
        del options["keypoints_only"]
    flow = {
        name: fingerprint.content(value) if isinstance(value, Path) else value
        for name, value in options.pop("flow").items()
    }
    if cfg.body is not None:
        options["body"] = fingerprint.content(cfg.body, used_files(cfg.body))
    if cfg.joint_regressor is not None:
        options["joint_regressor"] = fingerprint.content(cfg.joint_regressor)
    names = list(evaluation)
    estimate = estimator(cfg.flow)  # refuses bad weights before anything is written
    identity = {"record": record.REVISION, "footage": options, "flow": flow, "evaluation": names}
    if weights := weights_of(cfg.flow.flow) if cfg.flow.flow_weights is None else "":
        identity[fingerprint.FLOW] = f"{cfg.flow.flow}-{weights}"
    identity |= own_code(cfg.flow.flow, "--flow")
    if split:  # two splits in one folder would be evaluated as one
        identity["split"] = split
    if truth_source:
        identity["truth"] = truth_source  # named like its option
    identity |= choices or {}
    longest = pieces.longest(cfg.image_size, rgb=cfg.rgb) + 2 * pieces.CONTEXT
    return {
        **dataset.contract(identity, estimate.name, estimate.stride, cfg.person_diagonal),
        "evaluation_joints": [record.JOINTS.index(name) for name in names],
        "clip_length": cfg.unlabelled or longest,
        "image_size": cfg.image_size,
        "rgb": cfg.rgb and not cfg.keypoints_only,
        "real": True,
        **({"keypoints_only": True} if cfg.keypoints_only else {}),
        **({"truth_source": truth_source} if truth_source else {}),
    }


NOT_BYTES = ("out", "workers", "max_bad")
"""Options that do not affect the shards' bytes."""


def _tasks(
    sources: Sequence[FootageSource],
    lines: dict[int, Line],
    layout: Layout,
    cfg: FootageConfig,
    digest: str,
) -> list[FootageTask]:
    """Return the tasks of the sources without a shard, or with one made differently.

    digest: the data set's fingerprint. Raises BadInput if the folder holds a different input with a
    source's name.
    """
    known = {line["source"]: index for index, line in lines.items()}
    free = max([*layout.found(), *lines, -1]) + 1
    tasks = []
    for source in sources:
        index, identity = known.get(source.name), source.identity()
        if index is None:
            index, free = free, free + 1
        elif lines[index]["identity"] == identity:
            continue
        elif lines[index]["identity"]["input"] != identity["input"]:
            raise BadInput(
                f"{layout.shards} already holds another {source.name} (in "
                f"{lines[index]['name']}); choose another --out or rename the input"
            )
        tasks.append(FootageTask(source, index, cfg, layout.shard(index), digest))
    return tasks


def _run(
    tasks: list[FootageTask], cfg: FootageConfig, layout: Layout, manifest: Manifest
) -> list[str]:
    """Make the shards; return the reasons of the failed ones, which are also in the quarantine."""
    bad: list[str] = []
    if not tasks:
        return bad
    quarantine = Quarantine(layout.manifests / "quarantine.jsonl")
    workers = min(cfg.workers, len(tasks))
    kind = "processes" if workers > 1 else "serial"
    with open_backend(ClusterConfig(backend=kind, workers=workers)) as backend:
        outcomes = tqdm(backend.run(tasks), total=len(tasks), unit="input")
        for outcome in quarantine.watch(outcomes, "footage"):
            if outcome.line is not None:
                manifest.append(outcome.line)
                continue
            bad.append(outcome.reason)
            if len(tasks) > 1:  # a single one's reason is the command's error
                tqdm.write(f"skipped: {outcome.reason}")
    return bad


def _write_dataset(layout: Layout, content: Line, lines: list[Line]) -> None:
    clips = [line["clips"] for line in lines]
    counts = {
        "shards": len(lines), "clips_per_shard": max(clips, default=0), "clips": sum(clips),
        "truth": any(line["statistics"]["valid"] for line in lines),
    }  # fmt: skip
    dataset.write(layout, {**content, **counts})
