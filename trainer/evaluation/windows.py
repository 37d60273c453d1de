"""Run a model on clips longer than those it was trained on: in overlapping windows, in batches.

A bidirectional LSTM is least accurate at its ends, so each frame is taken from the window whose
centre is nearest. Letters: T frames of a window, L frames of a clip.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from trainer.common.device import DTYPES, autocast
from trainer.data.augment import disturb_keypoints, mirror_batch
from trainer.data.dataset import DataSet
from trainer.data.endless.source import fixed_clips
from trainer.data.inputs import Batch, InputSpec, draw_inputs
from trainer.data.loader import collate, cut, read_clips
from trainer.data.options import EXACT, KeypointErrors
from trainer.data.records import META, Damaged, Record
from trainer.errors import BadInput
from trainer.model.motion_hmr import MotionHMR, Prediction
from trainer.model.motion_joints import MotionJoints


def windows(length: int, frames: int, stride: int) -> list[tuple[int, int, int]]:
    """Return (start, first kept, end of kept) of each window over a clip, in clip frames.

    The kept parts tile the clip; the last window is shifted back to end with the clip.
    """
    last = max(0, length - frames)
    starts = [*range(0, last, stride), last]
    edges = [0, *((a + b + frames) // 2 for a, b in pairwise(starts)), length]
    return [(start, edges[i], edges[i + 1]) for i, start in enumerate(starts)]


@dataclass
class PredictedClip:
    """A clip and the model's prediction of it, on the CPU; prediction tensors are [L, ...]."""

    record: Record
    arrays: dict[str, np.ndarray]
    prediction: dict[str, Tensor] = field(default_factory=dict)
    waiting: int = 0
    shown: dict[str, np.ndarray] = field(default_factory=dict)
    """The arrays as the network was given them."""


def narrowed(clip: PredictedClip, names: tuple[str, ...], dataset: DataSet) -> PredictedClip:
    """Return the clip with a lifter's joints, named `names`, reduced to the data set's joints."""
    chosen = [names.index(name) for name in dataset.evaluation_names]
    clip.prediction["joints"] = clip.prediction["joints"][:, chosen]
    return clip


def disturbed(
    clip: PredictedClip, errors: KeypointErrors, spec: InputSpec
) -> dict[str, np.ndarray]:
    """Return a clip's arrays with a poor detector's keypoints, the same at every call.

    As `augment.disturb_keypoints`, over the whole clip, seeded by its key.
    """
    draws = torch.Generator().manual_seed(zlib.crc32(clip.record.key.encode()))
    batch = {"joints2d": torch.tensor(clip.arrays["joints2d"])[None]}
    joints = disturb_keypoints(batch, errors, spec, draws)["joints2d"]
    return {**clip.arrays, "joints2d": joints[0].numpy()}


FIELDS = ("joints", "joints2d", "rotations", "betas", "camera", "sigma", "gravity")


@dataclass(frozen=True)
class ClipPredictor:
    """A model with the settings by which it is run over whole clips."""

    model: nn.Module
    """In eval mode."""
    spec: InputSpec
    frames: int
    """Frames of a window."""
    stride: int
    """Frames from one window to the next."""
    batch_size: int
    device: torch.device
    precision: str = "fp32"
    mirror: bool = False
    """Whether to average with the prediction of the mirrored window."""

    def __call__(self, windows: list[dict[str, np.ndarray]]) -> Prediction:
        """Return the prediction for windows of equal length."""
        batch = {name: value.to(self.device) for name, value in collate(windows).items()}
        with torch.inference_mode():
            prediction = self.predict(batch)
            if self.mirror:
                assert isinstance(self.model, MotionHMR | MotionJoints)
                everyone = torch.ones(len(windows), dtype=torch.bool, device=self.device)
                mirrored = self.predict(mirror_batch(batch, everyone, self.spec))
                # Outside autocast, as precise as the body.
                prediction = self.model.average_flipped(prediction, mirrored)
        return prediction

    def predict(self, batch: Batch) -> Prediction:
        """Return the prediction for a batch on the device."""
        dtype = DTYPES.get(self.precision, torch.float32)
        with autocast(self.device, self.precision)():
            return self.model(draw_inputs(batch, self.spec, dtype))


@dataclass(frozen=True)
class Window:
    """A part of a clip that waits for its prediction."""

    clip: PredictedClip
    arrays: dict[str, np.ndarray]
    places: slice
    """The clip's frames for which this window is used."""
    kept: slice
    """Their positions in the window."""


def windows_of(clip: PredictedClip, run: ClipPredictor) -> Iterator[Window]:
    """Yield a clip's windows; with every n-th frame, once for each of the n offsets."""
    length, spacing = len(clip.arrays["occluded"]), run.spec.spacing
    for phase in range(min(spacing, length)):
        seen = len(range(phase, length, spacing))
        for start, first, end in windows(seen, run.frames, run.stride):
            arrays = cut(clip.shown, phase + start * spacing, min(run.frames, seen), spacing)
            places = slice(phase + first * spacing, phase + (end - 1) * spacing + 1, spacing)
            yield Window(clip, arrays, places, slice(first - start, end - start))


def predict_clips(
    run: ClipPredictor,
    dataset: DataSet,
    arrays: frozenset[str],
    *,
    max_clips: int | None = None,
    on_damage: str = "skip",
    errors: KeypointErrors = EXACT,
) -> Iterator[PredictedClip]:
    """Yield every clip of a data set with its prediction, in order.

    errors: keypoint errors, as in `disturbed`.
    """
    pending: list[Window] = []
    clips: list[PredictedClip] = []
    for clip in islice(read_evaluated(dataset, arrays, on_damage), max_clips):
        clips.append(clip)
        clip.shown = disturbed(clip, errors, run.spec) if errors else clip.arrays
        for window in windows_of(clip, run):
            add(window, pending, run)
        while clips and not clips[0].waiting:
            yield clips.pop(0)
    keep(pending, run)
    yield from clips


def predict_clip(run: ClipPredictor, clip: PredictedClip) -> None:
    """Predict one clip from its arrays `shown`."""
    pending: list[Window] = []
    for window in windows_of(clip, run):
        add(window, pending, run)
    keep(pending, run)


def add(window: Window, pending: list[Window], run: ClipPredictor) -> None:
    """Collect a window with others of its length; predict when there are enough for a batch."""
    length = len(window.arrays["occluded"])
    if pending and len(pending[0].arrays["occluded"]) != length:
        keep(pending, run)
    pending.append(window)
    window.clip.waiting += 1
    if len(pending) == run.batch_size:
        keep(pending, run)


def read_evaluated(
    dataset: DataSet, arrays: frozenset[str], on_damage: str
) -> Iterator[PredictedClip]:
    """Yield a data set's clips; damaged clips are named and skipped, or end the run."""
    if dataset.labels_only:
        items = fixed_clips(dataset)
    else:
        items = read_clips(dataset, arrays, frozenset({META}))
    for item in items:
        if not isinstance(item, Damaged):
            clip = PredictedClip(*item)
            if "camera" in clip.arrays:
                clip.arrays["camera"] = camera_of(clip)
            yield clip
        elif on_damage == "stop":
            raise BadInput(f"{item}; make that shard again with datagen.launch.")
        else:
            print(f"skipped: {item}", file=sys.stderr)


def keep(pending: list[Window], run: ClipPredictor) -> None:
    """Predict the pending windows and store the kept part of each in its clip."""
    if not pending:
        return
    prediction = run([window.arrays for window in pending])
    for i, window in enumerate(pending):
        clip = window.clip
        for name in FIELDS:
            values = getattr(prediction, name)
            if values is None:
                continue
            if name not in clip.prediction:
                whole = (len(clip.arrays["occluded"]), *values.shape[2:])
                clip.prediction[name] = torch.empty(whole)
            clip.prediction[name][window.places] = values[i, window.kept].cpu()
        clip.waiting -= 1
    pending.clear()


def camera_of(clip: PredictedClip) -> Float[np.ndarray, "3 3"]:
    """Return a clip's K [3, 3], or an estimate from the picture's size if its record has none.

    The focal length is then the picture's diagonal (53° from corner to corner), as in CLIFF.
    """
    k = clip.arrays["camera"]
    if k[0, 0] > 0:
        return k
    size = np.array(meta_of(clip.record).get("size", (0, 0)))
    return intrinsics(k, size).astype(k.dtype)


def meta_of(record: Record) -> dict[str, Any]:
    """Return a clip's meta.json, empty if it has none that can be read."""
    try:
        meta = json.loads(record.members[META])
    except (KeyError, ValueError):
        return {}
    return meta if isinstance(meta, dict) else {}


def intrinsics(
    k: Float[np.ndarray, "3 3"], size: Num[np.ndarray, " 2"]
) -> Float[np.ndarray, "3 3"]:
    """Return the record's K [3,3], or an estimate for a picture of (width, height) if it has none.

    Its focal length is the picture's diagonal (53° from corner to corner), as in CLIFF.
    """
    if k[0, 0] > 0:
        return k.astype(np.float64)
    width, height = size if size.all() else (1000, 1000)
    focal = float(np.hypot(width, height))
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
