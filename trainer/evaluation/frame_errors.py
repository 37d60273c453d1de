"""Each clip's and each frame's errors, written beside evaluation.json.

clips.jsonl   one line per clip: its key, its person and motion, its errors
frames.npz    arrays over all frames, N of them, and the E evaluation joints:
    names [E], keys [C]       joints and clips by name
    clip [N], frame [N]       of each row: its clip's index in keys, its frame in the clip
    counted, occluded [N]     whether the frame has seven visible keypoints; total occlusion
    error float32 [N,E]       mm from each true joint after alignment; PA-MPJPE is the mean
    mpjpe float32 [N]         mm, relative to the hips' midpoint
    visibility uint8 [N,E]    0 outside the picture, 1 behind the occluder, 2 visible
    truth, predicted float16 [N,E,3]  true joints, and predicted ones aligned to them, metres about
                              the true hips' midpoint, camera axes
Frames without ground truth are left out. A frame takes 250 bytes before compression.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainer.common.files import write_atomic
from trainer.data.dataset import DataSet
from trainer.data.records import Record
from trainer.evaluation.metrics import acceleration_error, aligned, hips_of, mpjpe
from trainer.evaluation.truth import Comparison
from trainer.evaluation.windows import PredictedClip, meta_of

CLIPS, FRAMES = "clips.jsonl", "frames.npz"


@dataclass
class FrameErrors:
    """Collects the errors of clips; `write` saves them beside evaluation.json."""

    dataset: DataSet
    lines: list[dict[str, Any]] = field(default_factory=list)
    parts: list[dict[str, np.ndarray]] = field(default_factory=list)

    def add(self, clip: PredictedClip, person: str, compared: Comparison) -> None:
        """Add a clip and its predicted and true joints."""
        predicted, truth, known = compared.predicted, compared.truth, compared.known.numpy()
        hips = hips_of(self.dataset.evaluation_names)
        estimate = aligned(predicted, truth).numpy()
        true = truth.double().numpy()
        middle = true[:, list(hips)].mean(1, keepdims=True)
        error = 1000 * np.linalg.norm(estimate - true, axis=-1)
        part = {
            "clip": np.full(len(true), len(self.lines), np.int32),
            "frame": np.arange(len(true), dtype=np.int32),
            "counted": compared.counted.numpy(),
            "occluded": clip.arrays["occluded"].astype(bool),
            "error": error.astype(np.float32),
            "mpjpe": mpjpe(predicted, truth, hips).numpy().astype(np.float32),
            "visibility": clip.arrays["visibility"][:, list(self.dataset.evaluation_joints)],
            "truth": (true - middle).astype(np.float16),
            "predicted": (estimate - middle).astype(np.float16),
        }
        self.parts.append({name: value[known] for name, value in part.items()})
        line = {"key": clip.record.key, "person": person, **shown_by(clip.record)}
        line["frames"] = int(part["counted"].sum())
        line["pa_mpjpe"] = _mean(error.mean(1)[part["counted"]])
        line["mpjpe"] = _mean(part["mpjpe"][part["counted"]])
        three = part["counted"][2:] & part["counted"][1:-1] & part["counted"][:-2]
        if len(true) > 2:
            line["acceleration"] = _mean(acceleration_error(predicted, truth, hips).numpy()[three])
        line["hidden"] = _mean(part["visibility"][known] != 2)
        step = np.linalg.norm(np.diff(true - middle, axis=0), axis=-1)[known[1:] & known[:-1]]
        rate = float(meta_of(clip.record).get("fps", self.dataset.fps))
        line["fps"] = rate
        line["speed"] = _mean(step * rate)  # m/s of the joints about the hips
        self.lines.append(line)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both files atomically and return their paths."""
        arrays = {
            name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]
        }
        arrays["names"] = np.array(self.dataset.evaluation_names)
        arrays["keys"] = np.array([line["key"] for line in self.lines])
        clips, frames = folder / CLIPS, folder / FRAMES
        with write_atomic(clips) as file:
            file.writelines(json.dumps(line).encode() + b"\n" for line in self.lines)
        with write_atomic(frames) as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
        return clips, frames


def shown_by(record: Record) -> dict[str, Any]:
    """Return what a clip shows, from its meta.json: motion, subject, scene …"""
    meta = meta_of(record)
    people = meta.get("people")
    people = people if isinstance(people, dict) else meta  # a record of a motion without pictures
    look = people.get("look")
    content = {
        "motion": people.get("motion"),
        "subject": people.get("subject"),
        "gender": people.get("gender"),
        "skin_tone": look.get("skin_tone") if isinstance(look, dict) else None,
        "scene": meta.get("background"),
    }
    return {name: value for name, value in content.items() if value is not None}


def _mean(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 4) if values.size else None
