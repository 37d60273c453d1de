"""The Pose2Sim demo (BSD-3): a real person with measured 3D joints, freely downloadable.

Four calibrated cameras filmed one balancing person, 100 frames at 60 fps. Videos and calibration
are in the PyPI wheel of pose2sim 0.9.8, the triangulated joints (.trc) and OpenPose's 2D keypoints
in that of 0.4.0. Two pitfalls, both measured: frame k of the videos shows frame k − 1 of the .trc
and of the keypoints, so frame 0 has no ground truth; and the published principal points are off by
up to 20 px, which shifts projections but does not change the joints' shape. The .trc is accurate to
2 or 3 cm: it was triangulated frame by frame, and its bone lengths vary by 3 to 9 %. The other
ground truth, `refined`, adjusts all frames of all cameras jointly. The scene `multi` of 0.9.8 is
the same recording with a rendered woman, not a second real person. This is test data: train nothing
on it and select nothing by it.
"""

# T frames of the videos, N frames of the truth

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64

from datagen.common.errors import BadInput, BadMachine
from datagen.common.files import make_folder
from datagen.common.frames import frame_size, frame_times, read_frames
from datagen.common.record import JOINTS, KEYPOINTS, Line, mirrored
from datagen.footage.calibration import Camera, read_cameras
from datagen.footage.dataset import Footage
from datagen.footage.keypoint_files import read_keypoints
from datagen.footage.multiview import BONES, Assumptions, adjust, residuals
from datagen.footage.track import Track, Truth
from datagen.footage.tracking import link
from datagen.footage.video_source import keypoint_content
from datagen.output.fingerprint import content

TruthName = Literal["trc", "refined"]

WHEELS = {"0.9.8": "videos and calibration", "0.4.0": "3D joints and OpenPose's keypoints"}
LATE = 1
"""Frame k of the videos shows frame k − LATE of the ground truth."""
FPS = 60
"""Frame rate of the cameras."""
STEP = 2
"""60 fps → 30: every other frame; the other frames make a second track, so all are used."""
UPRIGHT = [2, 0, 1]
"""The .trc has y up (Pose2Sim permuted Y, Z, X to X, Y, Z), the calibration z up."""
DOWN = np.array([0.0, 0.0, -1.0])
"""Direction of gravity in the calibration's world."""


@dataclass(frozen=True)
class Recording:
    """The demo's files, with cameras in the calibration's order."""

    videos: tuple[Path, ...]
    keypoints: tuple[Path, ...]
    calibration: Path
    trc: Path


@dataclass(frozen=True, eq=False)
class MeasuredPerson:
    """The recorded person according to one of the two ground truths."""

    joints: np.ndarray
    """[N,12,3] metres, world."""
    detected: np.ndarray
    """[C,N,14,3] OpenPose's points."""
    cameras: tuple[Camera, ...]
    """The calibration's cameras with corrected principal points."""
    offsets: np.ndarray
    """[C,2] corrections of the principal points, pixels."""
    residuals: Line
    """How well the ground truth fits the views."""


@dataclass(frozen=True)
class CameraSource:
    """The recording of one camera."""

    recording: Recording
    index: int
    truth: TruthName = "trc"
    found: Path | None = None
    """Keypoint file from another detector, used instead of OpenPose's."""

    @property
    def name(self) -> str:
        return self.video.stem

    @property
    def video(self) -> Path:
        return self.recording.videos[self.index]

    def identity(self) -> Line:
        """Return everything its records depend on."""
        known: Line = {"input": content(self.video), "late": LATE, "step": STEP}
        measured = (self.recording.calibration, self.recording.trc, *self.recording.keypoints)
        known["recording"] = [keypoint_content(path) for path in measured]
        if self.truth == "refined":
            known["refined"] = asdict(Assumptions())
        if self.found is not None:
            known["keypoints"] = content(self.found)
        return known

    def open(self) -> Footage:
        """Return its two tracks (even and odd frames) with ground truth.

        Raises:
            BadInput: a file is damaged or does not fit the others.
        """
        person = find_person(self.recording, self.truth)
        camera = person.cameras[self.index]
        seen = camera.see(person.joints)
        frames = len(frame_times(self.video))
        here = np.arange(frames) - LATE
        known = (here >= 0) & (here < len(seen))
        here = np.clip(here, 0, len(seen) - 1)
        joints3d = np.zeros((frames, len(JOINTS), 3), np.float32)
        joints3d[:, LIMBS] = seen[here] * known[:, None, None]
        points, offset = person.detected[self.index][here], person.offsets[self.index]
        if self.found is not None:
            people = read_keypoints(self.found, frames)
            points = nearest(people, camera.project(person.joints)[here])
            points[~known] = 0
            more = principal_offsets(person.joints[here], [camera], points[:, None, :12])[0]
            camera, offset = camera.shifted(more), offset + more
        points = points * known[:, None, None]
        width, height = frame_size(self.video)
        offset = np.round(offset, 2).tolist()
        meta = {
            "video": str(self.video), "size": [width, height], "fps": FPS / STEP,
            "principal_offset": offset, "truth": self.truth,
        }  # fmt: skip
        tracks = []
        for phase in range(STEP):
            used = np.arange(phase, frames, STEP)
            truth = Truth(
                joints3d=joints3d[used],
                valid=known[used],
                camera=camera.intrinsics.astype(np.float32),
                gravity=(camera.rotation @ DOWN).astype(np.float32),
            )
            tracks.append(
                Track(
                    person=self.name,
                    name=f"{self.name}_{phase}",
                    source=used.astype(np.int32),
                    points=points[used],
                    truth=truth,
                    meta=meta,
                )
            )
        numbered = enumerate(read_frames(self.video, range(frames)))
        line = {"principal_offset": offset, "truth": self.truth, "residuals": person.residuals}
        return Footage(tracks, numbered, line)


@lru_cache(maxsize=4)  # the four cameras share one person
def find_person(recording: Recording, truth: TruthName) -> MeasuredPerson:
    """Return the person according to one of the ground truths.

    trc: triangulated frame by frame and filtered by Pose2Sim; each camera's principal point is
    corrected by the median reprojection error. refined: `multiview.adjust` of all cameras.

    Raises:
        BadInput: a file is damaged or does not fit the others.
    """
    cameras = read_cameras(recording.calibration)
    detected = np.stack([_detections(path, recording.trc) for path in recording.keypoints])
    points = detected[:, :, : len(KEYPOINTS)].swapaxes(0, 1)
    if truth == "refined":
        adjusted = adjust(points, cameras, fps=FPS)
        joints, offsets = adjusted.joints, adjusted.offsets
    else:
        joints = read_trc(recording.trc)
        offsets = principal_offsets(joints, cameras, points)
    corrected = tuple(camera.shifted(by) for camera, by in zip(cameras, offsets, strict=True))
    return MeasuredPerson(
        joints, detected, corrected, offsets, residuals(joints, points, corrected)
    )


def _detections(path: Path, trc: Path) -> np.ndarray:
    """Return the points [N,14,3] of the largest person in one camera's view."""
    people = link(read_keypoints(path, layout="openpose25b"))
    if not people:
        raise BadInput(f"{path} has no person with at least three joints")
    frames = len(read_trc(trc))
    if len(people[0]) != frames:
        raise BadInput(f"{path} has {len(people[0])} frames, {trc} has {frames}")
    return people[0]


LIMBS = [JOINTS.index(name) for name in KEYPOINTS]
MIRRORED = mirrored(KEYPOINTS)


def nearest(
    people: Float[np.ndarray, "t p 14 3"], true: Float[np.ndarray, "t 12 2"]
) -> Float[np.ndarray, "t 14 3"]:
    """Return each frame's person [T,14,3] that matches the ground truth [T,12,2]; zeros if none
    does.

    A match has a mean limb distance below a quarter of the true box's diagonal, with left and right
    as detected or swapped (a detector's error, not another person).
    """
    limbs = people[..., : len(KEYPOINTS), :]
    seen = limbs[..., 2] > 0
    total = np.minimum(
        *((np.linalg.norm(limbs[..., :2] - one[:, None], axis=-1) * seen).sum(-1)
          for one in (true, true[:, MIRRORED]))
    )  # fmt: skip
    mean = total / np.maximum(seen.sum(-1), 1)
    mean[~seen.any(-1)] = np.inf
    best = mean.argmin(1)
    every = np.arange(len(people))
    size = np.linalg.norm(np.ptp(true, axis=1), axis=-1)
    return people[every, best] * (mean[every, best] < size / 4)[:, None, None]


def principal_offsets(
    joints: Float[np.ndarray, "n 12 3"],
    cameras: Sequence[Camera],
    points: Float[np.ndarray, "n c 12 3"],
) -> Float[np.ndarray, "c 2"]:
    """Return the corrections of the principal points [C,2], pixels: median reprojection errors.

    Args:
        joints: [N,12,3] world coordinates.
        cameras: C of them.
        points: [N,C,12,3] OpenPose's points in the same frames.
    """
    apart = np.stack([points[:, c, :, :2] - camera.project(joints)
                      for c, camera in enumerate(cameras)])  # fmt: skip
    seen = points[..., 2].swapaxes(0, 1) > 0
    return np.stack([np.median(apart[c][seen[c]], axis=0) for c in range(len(cameras))])


def read_trc(path: Path) -> Float64[np.ndarray, "n 12 3"]:
    """Return the 12 limbs float64 [N,12,3] in a .trc with OpenPose's names, metres, z up.

    Raises BadInput if it is not one.
    """
    try:
        lines = path.read_text().splitlines()
        unit = dict(zip(lines[1].split(), lines[2].split(), strict=True))["Units"]
        names = [name for name in lines[3].split("\t")[2:] if name.strip()]
        rows = [line.rstrip("\t").split("\t")[2:] for line in lines[5:] if line.strip()]
        points = np.array(rows, float).reshape(len(rows), len(names), 3)
        picked = [names.index(_trc_name(limb)) for limb in KEYPOINTS]
    except (OSError, IndexError, KeyError, ValueError) as error:
        raise BadInput(f"{path} is not a .trc with the 12 limbs ({error})") from None
    scale = {"m": 1.0, "mm": 1e-3}.get(unit)
    if scale is None or not len(points) or not (np.abs(points[:, picked]) < 1e6).all():
        raise BadInput(f"{path} has gaps or an unknown unit ({unit})")
    return scale * points[:, picked][..., UPRIGHT]


def _trc_name(limb: str) -> str:
    """Return the .trc's name for one of record.KEYPOINTS: lsp_right_knee → RKnee."""
    _, side, part = limb.split("_")
    return side[0].upper() + part.capitalize()


def find_sources(
    root: Path, truth: TruthName = "trc", scene: Literal["single", "multi"] = "single"
) -> list[CameraSource]:
    """Return the cameras of an unpacked demo: both wheels' files anywhere below root.

    Raises BadInput that names missing files.
    """
    folder = {"single": "Demo_SinglePerson", "multi": "Demo_MultiPerson"}[scene]
    calibration = _one(root, f"{folder}/calibration/*.qca.txt", "0.9.8")
    trc = _one(root, "Demo/opensim/Balancing_for_IK.trc", "0.4.0")
    videos = sorted(calibration.parents[1].glob("videos/cam*.mp4"))
    folders = sorted(trc.parents[1].glob("pose/cam*_json"))
    cameras = len(read_cameras(calibration))
    if not len(videos) == len(folders) == cameras:
        raise BadInput(
            f"{root} has {len(videos)} videos, {len(folders)} folders of keypoints and {cameras} "
            "calibrated cameras; the numbers must be equal; unpack both wheels completely"
        )
    recording = Recording(tuple(videos), tuple(folders), calibration, trc)
    return [CameraSource(recording, index, truth) for index in range(cameras)]


def describe(found: dict[str, list[float]]) -> list[str]:
    """Return the result of `multiview.residuals` as lines of text."""
    joints = [name.removeprefix("lsp_").replace("_", " ") for name in KEYPOINTS]
    bones = [f"{joints[a]}-{joints[b]}" for a, b in BONES]
    by_joint = zip(joints, found["reprojection_px"], strict=True)
    by_bone = zip(bones, found["bones_m"], found["bone_spread_percent"], strict=True)
    return [
        "median reprojection error, px: " + ", ".join(f"{name} {px:g}" for name, px in by_joint),
        "bones, mm ± %: " + ", ".join(f"{n} {1000 * m:.0f} ± {p:g}" for n, m, p in by_bone),
    ]


def _one(root: Path, pattern: str, wheel: str) -> Path:
    found = sorted(root.rglob(pattern))
    if not found:
        raise BadInput(
            f"{root} holds no {pattern}; unpack pose2sim {wheel} ({WHEELS[wheel]}) there: "
            f"pip download --no-deps pose2sim=={wheel} && unzip pose2sim-{wheel}-*.whl"
        )
    return found[0]


def fetch(cache: Path) -> Path:
    """Download both wheels with pip and unpack their demos, once; return their folder.

    Raises BadMachine if pip fails.
    """
    for version in WHEELS:
        folder = cache / version
        if (folder / "whole").exists():
            continue
        make_folder(folder)
        wanted = f"pose2sim=={version}"
        print(f"Downloading {wanted} ({WHEELS[version]}) to {folder}")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--no-deps", "-q", wanted, "-d", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        wheels = sorted(folder.glob(f"pose2sim-{version}-*.whl"))
        if done.returncode or not wheels:
            last = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise BadMachine(
                f"pip could not download {wanted} ({last}); download and unzip it elsewhere "
                "and give its folder with --root"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(folder, [name for name in wheel.namelist() if "/Demo" in name])
        wheels[0].unlink()
        (folder / "whole").touch()
    return cache
