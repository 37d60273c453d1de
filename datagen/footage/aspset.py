"""ASPset-510 (CC0): 17 amateurs, 30 sports clips each, filmed by up to three cameras at 50 fps.

The layout follows its own code (github.com/anibali/aspset-510). `splits.csv` lists subject, clip,
split and camera ("all" or one; the test split has one camera per clip). `test/` and `trainval/`
hold `videos/S/S-CLIP-CAMERA.mkv`, `joints_3d/S/S-CLIP.c3d` (17 joints, mm, a world whose y points
down; frame k is the video's frame k) and `cameras/S/S-CAMERA.json` (intrinsic 3 x 4 and extrinsic 4
x 4, mm). Its boxes are not used: 2D keypoints come from a detector, as for any footage. This module
was written from the documentation and tested on files in that format; the data itself was not
available.
"""

# N frames of a clip

from __future__ import annotations

import csv
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from datagen.common.errors import BadInput, BadMachine, near
from datagen.common.frames import frame_size, frame_times, read_frames
from datagen.common.record import EVAL_JOINTS, JOINTS, Line
from datagen.footage.calibration import Camera
from datagen.footage.dataset import Footage
from datagen.footage.keypoint_files import read_keypoints
from datagen.footage.pose2sim import nearest
from datagen.footage.track import Track, Truth
from datagen.output.fingerprint import content

CAMERAS = ("left", "mid", "right")
NAMES = (
    "right_ankle", "right_knee", "right_hip", "right_wrist", "right_elbow", "right_shoulder",
    "left_ankle", "left_knee", "left_hip", "left_wrist", "left_elbow", "left_shoulder",
    "head_top", "head", "neck", "spine", "pelvis",
)  # fmt: skip
"""The 17 joints of a .c3d in their order (posekit's skeleton aspset_17j)."""
SKELETON = "aspset_17j"
FPS = 50
MOST = 1e7
"""Units, 10 km in mm, beyond which a joint is damaged."""
STEP = 2
"""50 frames per second → 25: every other frame; the other frames make a second track."""
DOWN = np.array([0.0, 1.0, 0.0])
"""Direction of gravity in its world."""
EVALUATION = tuple(EVAL_JOINTS)
"""All evaluation joints have a counterpart."""
_PLACES = [NAMES.index(joint.removeprefix("lsp_")) for joint in EVAL_JOINTS]
_EVAL = [JOINTS.index(joint) for joint in EVAL_JOINTS]


@dataclass(frozen=True)
class AspsetSource:
    """One clip from one camera."""

    root: Path
    subject: str
    clip: str
    camera: str
    part: str
    """Folder of its split: test or trainval."""
    found: Path | None = None
    """Keypoint file of the video."""

    @property
    def name(self) -> str:
        return f"{self.subject}-{self.clip}-{self.camera}"

    def _file(self, kind: str, name: str) -> Path:
        return self.root / self.part / kind / self.subject / f"{self.subject}-{name}"

    @property
    def video(self) -> Path:
        return self._file("videos", f"{self.clip}-{self.camera}.mkv")

    @property
    def mocap(self) -> Path:
        return self._file("joints_3d", f"{self.clip}.c3d")

    @property
    def calibration(self) -> Path:
        return self._file("cameras", f"{self.camera}.json")

    def identity(self) -> Line:
        """Return everything its records depend on."""
        parts = (self.mocap, self.calibration, self.found)
        return {
            "input": content(self.video),
            "step": STEP,
            "files": [content(part) for part in parts if part is not None and part.exists()],
        }

    def open(self) -> Footage:
        """Return its two tracks (even and odd frames) with ground truth.

        Raises:
            BadInput: a file is missing or damaged, or does not fit the others.
        """
        assert self.found is not None
        camera, joints = read_camera(self.calibration), read_joints(self.mocap)
        frames = len(frame_times(self.video))
        known = np.arange(frames) < len(joints)
        here = np.minimum(np.arange(frames), len(joints) - 1)
        seen = camera.see(joints)[here]
        people = read_keypoints(self.found, frames)
        limbs = camera.project(joints[:, _PLACES[:12]])[here]
        points = nearest(people, limbs) * known[:, None, None]
        joints3d = np.zeros((frames, len(JOINTS), 3), np.float32)
        joints3d[:, _EVAL] = seen[:, _PLACES] * known[:, None, None]
        width, height = frame_size(self.video)
        meta = {"video": str(self.video), "size": [width, height], "fps": FPS / STEP,
                "truth": "aspset"}  # fmt: skip
        tracks = []
        for phase in range(STEP):
            used = np.arange(phase, frames, STEP)
            if not points[used, :, 2].any():
                continue
            truth = Truth(
                joints3d=joints3d[used],
                valid=known[used],
                camera=camera.intrinsics.astype(np.float32),
                gravity=(camera.rotation @ DOWN).astype(np.float32),
            )
            tracks.append(
                Track(
                    name=f"{self.name}_{phase}",
                    person=self.subject,
                    source=used.astype(np.int32),
                    points=points[used],
                    truth=truth,
                    time=used / FPS,
                    meta=meta,
                )
            )
        if not tracks:
            raise BadInput(
                f"{self.video}: {self.found} has no person where {self.mocap.name} has one"
            )
        line = {"video": str(self.video), "video_frames": frames, "truth_frames": len(joints)}
        return Footage(tracks, enumerate(read_frames(self.video, range(frames))), line)


def find_sources(root: Path, split: str) -> list[AspsetSource]:
    """Return the clips and cameras of a split ("train", "val" or "test"), in splits.csv's order.

    Raises:
        BadInput: splits.csv is missing or malformed, or a file of the split is missing.
    """
    path = root / "splits.csv"
    try:
        with path.open(newline="") as file:
            rows = [row for row in csv.reader(file) if row and not row[0].startswith("subject")]
    except (OSError, csv.Error, UnicodeDecodeError):
        raise BadInput(
            f"--root {root} holds no splits.csv{near(root)}; unpack ASPset-510 there"
        ) from None
    if any(len(row) not in (3, 4) for row in rows):
        raise BadInput(f"{path} is not ASPset-510's: it needs subject, clip, split and camera")
    sources = [
        AspsetSource(root, row[0], row[1], camera, "test" if split == "test" else "trainval")
        for row in rows
        if row[2] == split
        for camera in (CAMERAS if row[3:] in ([], ["all"]) else row[3:])
    ]
    if not sources:
        raise BadInput(f"{path} has no clips of the split {split}")
    missing = [
        file
        for source in sources
        for file in (source.video, source.mocap, source.calibration)
        if not file.is_file()
    ]
    if len(missing) == 3 * len(sources):
        raise BadInput(
            f"--root {root} has none of the split's files ({missing[0]} …); unpack "
            "ASPset-510's archives there"
        )
    for file in missing[:3]:
        print(f"note: {file} is missing; its clip is skipped")
    lacking = set(missing)
    return [
        source
        for source in sources
        if not {source.video, source.mocap, source.calibration} & lacking
    ]


def read_camera(path: Path) -> Camera:
    """Return the camera of a JSON file, metres. Raises BadInput if it is not one."""
    try:
        stored = json.loads(path.read_text())
        intrinsic = np.asarray(stored["intrinsic_matrix"], float).reshape(3, 4)
        extrinsic = np.asarray(stored["extrinsic_matrix"], float).reshape(4, 4)
        rotation, shift = extrinsic[:3, :3], extrinsic[:3, 3]
        turn = np.abs(rotation @ rotation.T - np.eye(3)).max()
        if not (np.isfinite(intrinsic).all() and turn < 1e-2):
            raise ValueError("not a rotation")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is not a camera of ASPset-510 ({error})") from None
    return Camera(intrinsic[:, :3], rotation, -rotation.T @ shift / 1000)


def read_joints(path: Path) -> Float64[np.ndarray, "n 17 3"]:
    """Return the 17 joints float64 [N,17,3] in a .c3d, metres.

    Raises:
        BadInput: it is damaged or of another skeleton.
        BadMachine: the package c3d is missing.
    """
    try:
        import c3d
    except ModuleNotFoundError:
        raise BadMachine(
            "reading .c3d needs the package c3d; pip install -c constraints.txt c3d"
        ) from None
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "No analog data found in file."
            reader = c3d.Reader(file)
            labels = tuple(label.strip() for label in reader.point_labels)
            units = reader.get("POINT:UNITS")
            unit = str(units.string_value).strip() if units else ""
            frames = [points[:, :4] for _, points, _ in reader.read_frames()]
        joints, residual = np.split(np.stack(frames).astype(np.float64), [3], axis=2)
        if (residual < 0).any():
            raise ValueError("a joint was not measured")
    except Exception as error:  # a damaged file may raise anything
        raise BadInput(f"{path} is not a readable .c3d ({type(error).__name__})") from None
    scale = {"mm": 1e-3, "m": 1.0}.get(unit)
    if labels != NAMES or scale is None or not (np.abs(joints) < MOST).all():
        raise BadInput(
            f"{path} does not have ASPset-510's joints in mm, but {len(labels)} points "
            f"({', '.join(labels[:3])} …) in {unit or 'no unit'}"
        )
    return joints * scale
