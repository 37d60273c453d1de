"""Compare runs: curves, figures and errors by group, for compare_runs.ipynb.

Reads run folders (trainer.fit) and the results of trainer.evaluate, in them or elsewhere:
metrics.jsonl, config.json, evaluation.json, clips.jsonl, frames.npz. Folders may be URLs that
fsspec reads. Errors are of one data set, that of `find_runs`.

Letters: N frames, E evaluation joints, R runs, G groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from trainer.analysis.runs import Run, frame_errors
from trainer.analysis.table import TextTable
from trainer.errors import BadInput

HIDDEN = (0, 1, 3, 6, 15)
"""Edges of the groups of frames by the number of evaluation joints that are not visible."""
SPEEDS = (0, 0.25, 0.5, 1.0, 2.0, np.inf)
"""Edges of the groups of frames by the joints' mean speed about the hips, m/s."""


def overview(runs: Iterable[Run]) -> TextTable:
    """Return one row per run: its settings, training length and errors."""
    rows = []
    for run in runs:
        options, held = run.config, [m for m in run.metrics if m.get("val_pa_mpjpe") is not None]
        persons = (run.evaluation or {}).get("persons", {})
        best = min((line["val_pa_mpjpe"] for line in held), default=None)
        if best is not None and run.validated_on_training:
            best = f"{best:.1f} (training data)"
        rows.append(
            [run.name, options.get("inputs"), options.get("model"),
             options.get("backbone") or "default",
             max((line["step"] for line in run.metrics), default=0), best,
             (run.evaluation or {}).get("shards"),
             *(persons.get(name) for name in ("pa_mpjpe", "mpjpe", "acceleration"))]
        )  # fmt: skip
    head = (
        "run", "inputs", "model", "backbone", "steps", "best held-out PA-MPJPE, mm",
        "evaluated on", "PA-MPJPE, mm", "MPJPE, mm", "acceleration error, mm/frame²",
    )  # fmt: skip
    return TextTable(head, rows)


@dataclass(frozen=True)
class Groups:
    """PA-MPJPE of runs over groups of frames."""

    what: str
    labels: list[str]
    runs: list[str]
    error: np.ndarray
    """[R,G] mm, NaN where a run has no frame of the group."""
    frames: np.ndarray
    """[R,G] number of frames or joints."""
    counted: str = "frames"
    """What is counted: frames, or joints in frames."""

    @property
    def table(self) -> TextTable:
        head = [self.what, *(f"{run}, mm" for run in self.runs), self.counted]
        rows = [
            [label, *self.error[:, g], int(self.frames[:, g].max())]
            for g, label in enumerate(self.labels)
        ]
        return TextTable(head, rows)


def evaluated(runs: Iterable[Run]) -> list[Run]:
    """Return the runs that were evaluated frame by frame. BadInput if none was."""
    found = [run for run in runs if run.frames is not None and run.clips]
    if not found:
        raise BadInput(
            "no run was evaluated on this data set (frames.npz, clips.jsonl); run trainer.evaluate "
            "on it, or name another one to find_runs."
        )
    return found


def by_joint(runs: Sequence[Run]) -> Groups:
    """Return the mean error of each joint over the frames that count."""
    names = [
        name.removeprefix("lsp_").replace("_", " ")
        for name in frame_errors(runs[0])["names"].tolist()
    ]
    errors, counts = [], []
    for run in runs:
        frames = frame_errors(run)
        errors.append(frames["error"][frames["counted"]].mean(0))
        counts.append([frames["counted"].sum()] * len(names))
    return Groups("joint", names, _names(runs), np.array(errors), np.array(counts))


def by_visibility(runs: Sequence[Run]) -> Groups:
    """Return the mean error of visible joints, joints behind the occluder, joints outside the
    picture, and all joints in total occlusion (which no published figure counts)."""
    kinds = ("visible", "behind the occluder", "outside the picture", "total occlusion")

    def split(frames: dict[str, np.ndarray]) -> list[np.ndarray]:
        counted, seen = frames["counted"][:, None], frames["visibility"]
        total = np.broadcast_to(frames["occluded"][:, None], seen.shape)
        return [counted & (seen == 2), counted & (seen == 1), counted & (seen == 0), total]

    errors, counts = [], []
    for run in runs:
        frames = frame_errors(run)
        chosen = split(frames)
        errors.append([_mean(frames["error"][keep]) for keep in chosen])
        counts.append([int(keep.sum()) for keep in chosen])
    what = "visibility of the joint"
    return Groups(what, [*kinds], _names(runs), np.array(errors), np.array(counts), "joints")


def by_hidden(runs: Sequence[Run]) -> Groups:
    """Return the mean error of frames by their number of joints that are not visible."""
    labels = [_span(low, high - 1, "") for low, high in pairwise(HIDDEN)]

    def place(run: Run) -> np.ndarray:
        frames = frame_errors(run)
        return np.digitize((frames["visibility"] != 2).sum(1), HIDDEN) - 1

    return _grouped("joints not visible", labels, runs, place)


def by_speed(runs: Sequence[Run]) -> Groups:
    """Return the mean error of frames by the joints' speed relative to the hips."""
    labels = [
        f"{low:g} to {high:g} m/s" if np.isfinite(high) else f"over {low:g} m/s"
        for low, high in pairwise(SPEEDS)
    ]
    return _grouped("speed", labels, runs, lambda run: np.digitize(speeds(run), SPEEDS) - 1)


def by_motion(runs: Sequence[Run], limit: int = 20) -> Groups:
    """Return the mean error by motion (by person if clips name no motion), worst first."""
    names = [_motion(line) for line in runs[0].clips]
    labels = sorted(set(names))

    def place(run: Run) -> np.ndarray:
        own = np.array([labels.index(m) if (m := _motion(c)) in labels else -1 for c in run.clips])
        return own[frame_errors(run)["clip"]]

    groups = _grouped("motion", labels, runs, place)
    order = np.argsort(-np.nan_to_num(np.nanmean(groups.error, axis=0), nan=-1))[:limit]
    return Groups(
        groups.what, [labels[g] for g in order], groups.runs,
        groups.error[:, order], groups.frames[:, order],
    )  # fmt: skip


def by_pose(
    runs: Sequence[Run], clusters: int = 8, seed: int = 0
) -> tuple[Groups, Float[np.ndarray, "g e 3"]]:
    """Return the mean error by cluster of true poses, rarest last, and the clusters' mean poses.

    Poses are rotated to face the same way, so that clusters do not depend on direction. Clusters
    are computed on the first run's frames (k-means++), and all runs' frames are assigned to them.
    Returns the groups and the centres [G,E,3], metres.
    """
    from scipy.cluster.vq import kmeans2, vq

    first = _facing(frame_errors(runs[0]))
    few = first[:: max(1, len(first) // 20_000)].reshape(-1, first[0].size)
    centres, owner = kmeans2(few, _seeds(few, clusters, seed), minit="matrix")
    size = np.bincount(owner, minlength=len(centres))
    centres = centres[np.argsort(-size)][: int((size > 0).sum())]

    def place(run: Run) -> np.ndarray:
        poses = _facing(frame_errors(run))
        return vq(poses.reshape(len(poses), -1), centres)[0]

    labels = [f"pose {index + 1}" for index in range(len(centres))]
    groups = _grouped("pose cluster", labels, runs, place)
    return groups, centres.reshape(len(centres), -1, 3)


def extremes(run: Run, count: int = 3) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the lines of the best and the worst clips by PA-MPJPE, most extreme first."""
    ranked = sorted(
        (clip for clip in run.clips if clip.get("pa_mpjpe") is not None),
        key=lambda clip: clip["pa_mpjpe"],
    )
    return ranked[:count], ranked[::-1][:count]


def clip_table(clips: Iterable[dict[str, Any]]) -> TextTable:
    """Return clips as a table: their content, errors and visibility."""
    columns = {
        "clip": "key", "motion": "motion", "person": "person", "scene": "scene",
        "PA-MPJPE, mm": "pa_mpjpe", "MPJPE, mm": "mpjpe", "joints hidden, %": "hidden",
        "speed, m/s": "speed", "frames": "frames",
    }  # fmt: skip
    rows = []
    for clip in clips:
        share = clip.get("hidden")
        clip = clip | {"hidden": None if share is None else round(100 * share)}
        rows.append([clip.get(name) for name in columns.values()])
    return TextTable(list(columns), rows)


def speeds(run: Run) -> Float[np.ndarray, " n"]:
    """Return each frame's mean speed of the true joints about the hips, m/s [N]."""
    frames = frame_errors(run)
    truth = frames["truth"].astype(np.float32)
    rate = np.array([clip.get("fps", 30) for clip in run.clips])[frames["clip"][1:]]
    step = np.linalg.norm(np.diff(truth, axis=0), axis=-1).mean(-1) * rate
    # Frames without ground truth are left out, so rows before and after a gap are no neighbours.
    beside = (np.diff(frames["clip"]) == 0) & (np.diff(frames["frame"]) == 1)
    step = np.where(beside, step, np.nan)
    # A frame's speed is that to the next frame; the last one before a gap has the previous speed.
    speed = np.append(step, np.nan)
    last = np.isnan(speed)
    before = np.roll(speed, 1)
    return np.nan_to_num(np.where(last, before, speed))


def _seeds(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return at most `count` distinct points far from each other (k-means++)."""
    rng = np.random.default_rng(seed)
    chosen = [points[rng.integers(len(points))]]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((points - chosen[-1]) ** 2).sum(1))
        if not nearest.sum():
            break
        chosen.append(points[rng.choice(len(points), p=nearest / nearest.sum())])
    return np.stack(chosen)


def _facing(frames: dict[str, np.ndarray]) -> np.ndarray:
    """Return true joints [N,E,3] rotated about the vertical axis so that the hips lie along x."""
    truth = frames["truth"].astype(np.float64)
    names = [name.removeprefix("lsp_") for name in frames["names"].tolist()]
    across = truth[:, names.index("left_hip")] - truth[:, names.index("right_hip")]
    angle = np.arctan2(across[:, 2], across[:, 0])
    cos, sin = np.cos(angle), np.sin(angle)
    zero, one = np.zeros_like(cos), np.ones_like(cos)
    turn = np.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], -1).reshape(-1, 3, 3)
    return truth @ turn.transpose(0, 2, 1)


def _grouped(
    what: str, labels: list[str], runs: Sequence[Run], place: Callable[[Run], np.ndarray]
) -> Groups:
    """Return the mean error over the counted frames of each group."""
    errors = np.full((len(runs), len(labels)), np.nan)
    counts = np.zeros((len(runs), len(labels)), int)
    for r, run in enumerate(runs):
        frames, group = frame_errors(run), place(run)
        error = frames["error"].mean(1)
        for g in range(len(labels)):
            keep = frames["counted"] & (group == g)
            errors[r, g], counts[r, g] = _mean(error[keep]), keep.sum()
    return Groups(what, labels, _names(runs), errors, counts)


def _motion(clip: dict[str, Any]) -> str:
    return str(clip.get("motion") or clip.get("person") or clip["key"]).removesuffix("_mirrored")


def _names(runs: Sequence[Run]) -> list[str]:
    return [run.name for run in runs]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _span(low: int, high: int, unit: str) -> str:
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"
