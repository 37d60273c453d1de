"""The bundled clip of a real person: 50 frames from one camera of the Pose2Sim demo.

`datagen/assets/people/pose2sim_demo/` holds the clip (540x960, 30 frames per second, H.264),
OpenPose's keypoints as read by `ingest video --keypoints`, and each frame's joints from both ground
truths and from MediaPipe. BSD-3, see datagen/assets/LICENSES.md. Test data, like the whole demo.
"""

# T frames

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from datagen.common.frames import frame_size, read_frames
from datagen.common.record import JOINTS, Line
from datagen.footage.dataset import Footage
from datagen.footage.keypoint_files import read_keypoints
from datagen.footage.pose2sim import LIMBS, TruthName
from datagen.footage.track import Track, Truth
from datagen.footage.tracking import link
from datagen.output.fingerprint import content

FOLDER = Path(__file__).parents[1] / "assets" / "people" / "pose2sim_demo"
CLIP, CLIP_KEYPOINTS = FOLDER / "clip.mp4", FOLDER / "keypoints.npz"
CLIP_TRUTH = FOLDER / "truth.npz"
FPS = 30


def clip_joints(name: str) -> Float64[np.ndarray, "t 12 3"]:
    """Return the limbs float64 [T,12,3], metres, in the order of record.KEYPOINTS.

    name: `trc` or `refined`, both in the camera's frame, or `mediapipe`, in MediaPipe's own.
    """
    with np.load(CLIP_TRUTH, allow_pickle=False) as stored:
        return stored[name].astype(np.float64)


@dataclass(frozen=True)
class EmbeddedClip:
    """The embedded clip as a source of footage."""

    truth: TruthName = "trc"

    @property
    def name(self) -> str:
        return "pose2sim_demo"

    def identity(self) -> Line:
        """Return everything its records depend on."""
        parts = (CLIP, CLIP_KEYPOINTS, CLIP_TRUTH)
        return {"input": [content(part) for part in parts], "truth": self.truth}

    def open(self) -> Footage:
        """Return its single track with ground truth."""
        points = link(read_keypoints(CLIP_KEYPOINTS))[0]
        limbs = clip_joints(self.truth)
        with np.load(CLIP_TRUTH, allow_pickle=False) as stored:
            camera = stored[f"{self.truth}_camera"].astype(np.float32)
            gravity = stored["gravity"].astype(np.float32)
        joints3d = np.zeros((len(limbs), len(JOINTS), 3), np.float32)
        joints3d[:, LIMBS] = limbs
        frames = np.arange(len(points), dtype=np.int32)
        track = Track(
            name=self.name,
            person=self.name,
            source=frames,
            points=points,
            truth=Truth(
                joints3d=joints3d,
                valid=np.ones(len(points), bool),
                camera=camera,
                gravity=gravity,
            ),
            meta={
                "video": f"{self.name}/{CLIP.name}", "size": list(frame_size(CLIP)), "fps": FPS,
                "truth": self.truth,
            },
        )  # fmt: skip
        return Footage([track], enumerate(read_frames(CLIP, frames)), {"truth": self.truth})
