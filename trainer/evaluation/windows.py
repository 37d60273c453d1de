"""Whole clips through a model that was trained on short ones: windows, run in batches, rejoined.

A bi-directional memory is weakest at its ends, so of overlapping windows each frame is taken from
the one whose centre is nearest. Letters: T frames of a window, L frames of a clip.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from trainer.config import EXACT, KeypointErrors
from trainer.data.augment import disturb_keypoints, mirror_batch
from trainer.data.dataset import DataSet
from trainer.data.inputs import InputSpec, draw_inputs
from trainer.data.loader import collate, cut, read_clips
from trainer.data.records import META, Damaged, Record
from trainer.device import DTYPES, autocast
from trainer.errors import BadInput
from trainer.model.motion_hmr import MotionHMR, Prediction


def windows(length: int, frames: int, stride: int) -> list[tuple[int, int, int]]:
    """Return (start, first kept, end of kept) of each window over a clip, in clip frames.

    The kept parts tile the clip; the last window is moved back to end with the clip.
    """
    last = max(0, length - frames)
    starts = [*range(0, last, stride), last]
    edges = [0, *((a + b + frames) // 2 for a, b in pairwise(starts)), length]
    return [(start, edges[i], edges[i + 1]) for i, start in enumerate(starts)]


@dataclass
class Judged:
    """A clip with what the model says of it, on the CPU; prediction tensors are [L, ...]."""

    record: Record
    arrays: dict[str, np.ndarray]
    prediction: dict[str, Tensor] = field(default_factory=dict)
    waiting: int = 0


def narrowed(clip: Judged, names: tuple[str, ...], dataset: DataSet) -> Judged:
    """Return the clip with a lifter's joints, which are called `names`, cut to the data set's."""
    chosen = [names.index(name) for name in dataset.evaluation_names]
    clip.prediction["joints"] = clip.prediction["joints"][:, chosen]
    return clip


def disturbed(clip: Judged, errors: KeypointErrors, spec: InputSpec) -> dict[str, np.ndarray]:
    """Return a clip's arrays with a poor detector's keypoints, the same whenever it is asked.

    As `augment.disturb_keypoints`, over the whole clip, seeded by its key.
    """
    draws = torch.Generator().manual_seed(zlib.crc32(clip.record.key.encode()))
    batch = {"joints2d": torch.tensor(clip.arrays["joints2d"])[None]}
    joints = disturb_keypoints(batch, errors, spec, draws)["joints2d"]
    return {**clip.arrays, "joints2d": joints[0].numpy()}


FIELDS = ("joints", "joints2d", "rotations", "betas", "camera")


def predict_clips(
    model: nn.Module,
    dataset: DataSet,
    spec: InputSpec,
    arrays: frozenset[str],
    *,
    frames: int,
    stride: int,
    batch_size: int,
    device: torch.device,
    precision: str = "fp32",
    max_clips: int | None = None,
    on_damage: str = "skip",
    mirror: bool = False,
    errors: KeypointErrors = EXACT,
) -> Iterator[Judged]:
    """Yield every clip of a data set with its prediction, in order; the model must be in eval.

    mirror: Motion HMR sees each window twice, once in a mirror, and the mean counts.
    errors: what `disturbed` does to the keypoints that the model sees.
    """
    pending: list[tuple[Judged, dict[str, np.ndarray], int, int, int]] = []
    clips: list[Judged] = []
    run = autocast(device, precision)

    def flush() -> None:
        if not pending:
            return
        batch = collate([window for _, window, *_ in pending])
        batch = {name: value.to(device) for name, value in batch.items()}
        dtype = DTYPES.get(precision, torch.float32)
        with torch.inference_mode():
            with run():
                prediction: Prediction = model(draw_inputs(batch, spec, dtype))
            if mirror:
                assert isinstance(model, MotionHMR)
                everyone = torch.ones(len(pending), dtype=torch.bool, device=device)
                turned = mirror_batch(batch, everyone, spec)
                with run():
                    image = model(draw_inputs(turned, spec, dtype))
                prediction = model.between(prediction, image)  # as precise as the body
        for i, (clip, _, start, first, end) in enumerate(pending):
            for name in FIELDS:
                values = getattr(prediction, name)
                if values is None:
                    continue
                if name not in clip.prediction:
                    whole = (len(clip.arrays["occluded"]), *values.shape[2:])
                    clip.prediction[name] = torch.empty(whole)
                clip.prediction[name][first:end] = values[i, first - start : end - start].cpu()
            clip.waiting -= 1
        pending.clear()

    taken = 0
    for item in read_clips(dataset, arrays, frozenset({META})):
        if isinstance(item, Damaged):
            if on_damage == "stop":
                raise BadInput(f"{item}; make that shard again with datagen.launch.")
            print(f"skipped: {item}", file=sys.stderr)
            continue
        clip = Judged(*item)
        clips.append(clip)
        shown = disturbed(clip, errors, spec) if errors else clip.arrays
        length = len(clip.arrays["occluded"])
        for start, first, end in windows(length, frames, stride):
            window = cut(shown, start, min(frames, length))
            if pending and len(pending[0][1]["occluded"]) != len(window["occluded"]):
                flush()
            pending.append((clip, window, start, first, end))
            clip.waiting += 1
            if len(pending) == batch_size:
                flush()
        while clips and not clips[0].waiting:
            yield clips.pop(0)
        taken += 1
        if taken == max_clips:
            break
    flush()
    yield from clips
