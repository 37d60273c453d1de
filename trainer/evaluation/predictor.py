"""Prediction from Python: from keypoints or pictures of one person to the body's motion.

    from trainer.predict import load

    predictor = load()                                    # the network that ships
    person = predictor.predict(keypoints=points, size=(1280, 720), fps=30)
    person.joints, person.pose, person.transl             # and person.save("clip.npz")

Letters: L frames, K keypoints, H W pixels.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Num
from torch import nn

from trainer.common.files import write_atomic
from trainer.data.dataset import DataSet, open_dataset
from trainer.data.loader import read_clips, wanted_arrays
from trainer.data.records import META, Damaged, Record
from trainer.data.shard import Shard
from trainer.errors import BadInput
from trainer.evaluation.fitting import refined
from trainer.evaluation.tracks import tracks
from trainer.evaluation.windows import ClipPredictor, PredictedClip, camera_of, predict_clip
from trainer.model.body import BodyJoints
from trainer.model.build import ModelSpec
from trainer.model.proportions import proportions

COCO17 = (16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9)
"""COCO's limbs in the network's order: right ankle, knee, hip, left hip, knee, ankle, right wrist,
elbow, shoulder, left shoulder, elbow, wrist."""
CONFIDENT = 0.3
"""Confidence above which a keypoint counts as seen."""
GEOMETRY = frozenset({"crop", "camera", "source", "time", "joints2d"})
"""Arrays of a record that relate its predictions to the video."""


@dataclass(frozen=True, eq=False)
class PosedPerson:
    """One person's motion over L frames."""

    arrays: dict[str, np.ndarray]
    """All arrays, as `python -m trainer.predict --help` describes its files."""

    def __repr__(self) -> str:
        return f"PosedPerson({len(self.joints)} frames; arrays {', '.join(self.arrays)})"

    @property
    def joints(self) -> Float32[np.ndarray, "l 38 3"]:
        """float32 [L,38,3] metres about SMPL's origin, camera axes (x right, y down, z away)."""
        return self.arrays["joints"]

    @property
    def pose(self) -> Float32[np.ndarray, "l 72"]:
        """float32 [L,72] SMPL's axis-angle; the root's is body → camera axes."""
        return self.arrays["pose"]

    @property
    def betas(self) -> Float32[np.ndarray, " 10"]:
        """float32 [10]."""
        return self.arrays["betas"]

    @property
    def transl(self) -> Float32[np.ndarray, "l 3"]:
        """float32 [L,3] SMPL's translation in the camera's axes, metres."""
        return self.arrays["transl"]

    def save(self, path: str | Path) -> None:
        """Write the arrays as trainer.predict does, for datagen.overlay --predictions."""
        with write_atomic(Path(path)) as file:
            np.savez(file, **self.arrays)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Predictor:
    """A checkpoint that is ready to predict; made by `trainer.predict.load`."""

    model: nn.Module
    spec: ModelSpec
    body: BodyJoints
    device: torch.device
    mirror: bool = True
    """Whether to average with the prediction of the mirrored input."""
    refine: bool = False
    """Whether joints are fitted to the keypoints before the body."""

    def predict(
        self,
        frames: np.ndarray | None = None,
        keypoints: np.ndarray | None = None,
        *,
        size: tuple[int, int] | None = None,
        fps: float = 30.0,
    ) -> PosedPerson:
        """Return a person's motion.

        A network whose only input is keypoints, such as the one that ships, needs no frames. Other
        networks, and finding keypoints, need frames and the generator's packages.

        Args:
            frames: uint8 [L,H,W,3] RGB. Without keypoints the largest person is found in them.
            keypoints: float [L,K,3] x, y in pixels and confidence: the 12 limbs (in the order of
                `spec.keypoint_names`), these and two more, or COCO's 17.
            size: width and height of the pictures, where no frames are given.
            fps: frames per second.

        Raises:
            BadInput: an input is missing, or has another shape.
        """
        check(frames, keypoints, size, fps)
        if keypoints is not None and self.spec.inputs == "keypoints" and not self.spec.channels:
            if frames is not None:
                size = (frames.shape[2], frames.shape[1])
            assert size is not None
            dataset, record, arrays = in_memory(self.spec, limbs(keypoints), size, fps)
            clips = [PredictedClip(record, arrays)]
            return self._person(clips, dataset)
        if frames is None:
            raise BadInput(
                f"this network's input is {self.spec.inputs}, so keypoints are not enough: give "
                "frames uint8 [L,H,W,3] too"
            )
        with tempfile.TemporaryDirectory() as folder:
            dataset = ingested(Path(folder), self.spec, frames, keypoints, fps)
            wanted = wanted_arrays(self.spec.inputs, rays=self.spec.rays, targets=False)
            clips = []
            for item in read_clips(dataset, wanted | GEOMETRY, frozenset({META})):
                assert not isinstance(item, Damaged), str(item)
                clips.append(PredictedClip(*item))
            return self._person(clips, dataset)

    def _person(self, clips: list[PredictedClip], dataset: DataSet) -> PosedPerson:
        run = ClipPredictor(
            self.model, dataset.input_spec(self.spec), frames=self.spec.frames,
            stride=max(1, self.spec.frames // 2), batch_size=4, device=self.device,
            mirror=self.mirror and self.spec.name != "lifter",
        )  # fmt: skip
        for clip in clips:
            clip.arrays["camera"] = camera_of(clip)
            clip.shown = clip.arrays
            predict_clip(run, clip)
            if self.refine:
                refined(clip, dataset, proportions(self.body))
        _, arrays = next(tracks(clips, dataset, self.body))
        return PosedPerson(arrays)


def check(
    frames: np.ndarray | None,
    keypoints: np.ndarray | None,
    size: tuple[int, int] | None,
    fps: float,
) -> None:
    """Raise BadInput for inputs that `Predictor.predict` does not take."""
    if frames is None and keypoints is None:
        raise BadInput("give frames uint8 [L,H,W,3], keypoints [L,K,3], or both")
    if frames is not None and (
        frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not len(frames)
    ):
        raise BadInput(f"frames must be uint8 [L,H,W,3] RGB, got {frames.dtype} {frames.shape}")
    if keypoints is not None and (
        keypoints.ndim != 3 or keypoints.shape[1] not in (12, 14, 17) or keypoints.shape[2] != 3
        or not len(keypoints)
    ):  # fmt: skip
        raise BadInput(
            "keypoints must be [L,K,3], x, y and confidence of 12, 14 or 17 points, got "
            f"{list(keypoints.shape)}"
        )
    if frames is not None and keypoints is not None and len(frames) != len(keypoints):
        raise BadInput(f"there are {len(frames)} frames but keypoints of {len(keypoints)} frames")
    if frames is None and (size is None or min(size) < 1):
        raise BadInput(
            "give the pictures' size=(width, height), which the camera is estimated from"
        )
    if not 0 < fps < 1e6:
        raise BadInput(f"fps must be positive, got {fps}")


def limbs(keypoints: Num[np.ndarray, "l k 3"]) -> Float32[np.ndarray, "l 12 3"]:
    """Return the 12 limb keypoints float32 [L,12,3]: x, y and 1, or zeros where missing."""
    chosen = list(COCO17) if keypoints.shape[1] == 17 else list(range(12))
    points = np.asarray(keypoints, np.float64)[:, chosen]
    seen = np.isfinite(points).all(-1) & (np.nan_to_num(points[..., 2]) > CONFIDENT)
    out = np.where(seen[..., None], points, 0)
    out[..., 2] = seen
    return out.astype(np.float32)


def in_memory(
    spec: ModelSpec, points: np.ndarray, size: tuple[int, int], fps: float
) -> tuple[DataSet, Record, dict[str, np.ndarray]]:
    """Return a data set of one record, which is not stored anywhere, and the record's arrays.

    The crop is the whole picture, as coordinates do not depend on the crop.
    """
    length, count = len(points), max(spec.evaluation_joints) + 1
    side = spec.stored_size or 224
    crop = np.zeros((length, 2, 3), np.float32)
    crop[:, [0, 1], [0, 1]] = side / max(size)
    joints2d = np.zeros((length, count, 3), np.float32)
    shown = points.copy()
    shown[..., :2] = points[..., :2] * (side / max(size)) * points[..., 2:]
    joints2d[:, list(spec.keypoints)] = shown
    frames = np.arange(length)
    arrays = {
        "joints2d": joints2d,
        "occluded": (points[..., 2].max(1) == 0).astype(np.uint8),
        "crop": crop,
        "camera": np.zeros((3, 3), np.float32),
        "source": frames.astype(np.int32),
        "time": frames / fps,
    }
    meta = {"size": list(size), "fps": fps, "track": "person", "person": "person",
            "keep": [0, length], "track_frames": length}  # fmt: skip
    mirror = list(range(count))
    for joint, counterpart in zip(spec.evaluation_joints, spec.evaluation_mirror, strict=True):
        mirror[joint] = spec.evaluation_joints[counterpart]
    names = [f"joint_{i}" for i in range(count)]
    for joint, name in zip(spec.evaluation_joints, spec.evaluation_names, strict=True):
        names[joint] = name
    nowhere = Path()
    dataset = DataSet(
        folder=nowhere, shards=(), clip_length=length, image_size=side, joints=tuple(names),
        keypoints=spec.keypoints, evaluation_joints=spec.evaluation_joints, mirror=tuple(mirror),
        flow_stride=1, flow_name="", rgb=False, fps=fps, body=nowhere, clips=1, clips_per_shard=1,
        fingerprint="", keypoints_only=True,
    )  # fmt: skip
    record = Record(Shard(nowhere), "person", members={META: json.dumps(meta).encode()})
    return dataset, record, arrays


def ingested(
    folder: Path, spec: ModelSpec, frames: np.ndarray, keypoints: np.ndarray | None, fps: float
) -> DataSet:
    """Return a data set of pictures, made by datagen.ingest in a temporary folder.

    Raises:
        BadInput: datagen or its packages are not installed, or no person is found.
    """
    needs = "the crops and the flow of frames" if keypoints is not None else "finding people"
    if any(importlib.util.find_spec(name) is None for name in ("datagen", "cv2")):
        raise BadInput(
            f"{needs} needs the generator: pip install '.[datagen]'; a network whose only "
            "input is keypoints does not need it if you give keypoints"
        )
    from PIL import Image

    video, shards = folder / "frames", folder / "shards"
    video.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(video / f"{number:06d}.png", compress_level=1)
    (video / "fps.txt").write_text(f"{fps}\n")
    line = [sys.executable, "-m", "datagen.ingest", "video", str(video), "--out", str(shards)]
    line += crops_and_flow(spec)
    if keypoints is None:
        line += ["--detector", "mediapipe"]
    else:
        np.savez(folder / "keypoints.npz", keypoints=limbs(keypoints)[:, None], layout="limbs")
        line += ["--keypoints", str(folder / "keypoints.npz")]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        printed = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
        raise BadInput(printed[-1].removeprefix("error: ") if printed else done.stderr[-500:])
    return open_dataset(shards, truth=False)


def crops_and_flow(spec: ModelSpec) -> list[str]:
    """Return datagen.ingest's options for the crops and flow that a network was trained on."""
    options: list[str] = []
    if spec.stored_size:
        options += ["--image-size", str(spec.stored_size)]
    if spec.person_diagonal:
        options += ["--person-diagonal", f"{spec.person_diagonal:g}"]
    estimator, _, weights = spec.flow.partition("-")
    if weights:
        raise BadInput(
            f"this network was trained on {estimator} flow with weights of its own; use "
            "datagen.overlay --flow-weights"
        )
    return [*options, "--flow", estimator] if estimator else options
