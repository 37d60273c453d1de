"""The Pose2Sim demo (BSD-3): real people with measured 3D joints that anyone may download.

Four calibrated cameras filmed one balancing person, 100 frames at 60 fps. Videos and calibration
are in PyPI's wheel of pose2sim 0.9.8, the triangulated joints (.trc) and OpenPose's 2D keypoints in
that of 0.4.0. Two traps, both measured: frame k of the videos shows frame k − 1 of the .trc and of
the keypoints, so frame 0 has no truth; and the shipped principal points are up to 20 px off, which
moves projections but not the joints' shape. The truth itself is good to 2 or 3 cm. Test data:
nothing may be trained or chosen on it.
"""

# T frames of the videos, N frames of the truth

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from datagen.bodies.render.camera import project
from datagen.common.errors import BadInput, BadMachine
from datagen.common.files import make_folder
from datagen.common.record import JOINTS, KEYPOINTS
from datagen.footage.dataset import Footage
from datagen.footage.frames import frame_size, frame_times, read_frames
from datagen.footage.keypoint_files import read_keypoints
from datagen.footage.track import Track, Truth
from datagen.footage.tracking import link

WHEELS = {"0.9.8": "videos and calibration", "0.4.0": "3D joints and OpenPose's keypoints"}
LATE = 1
"""The videos show the truth's frame k − LATE at frame k."""
STEP = 2
"""60 fps → 30: every other frame; the rest makes a second track, so that all frames count."""
UNIT = 64
"""Qualisys's sensor units in a pixel."""
UPRIGHT = [2, 0, 1]
"""The .trc is y up (Pose2Sim turned Y, Z, X into X, Y, Z), the calibration z up."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera: x_camera = R (x_world − position)."""

    intrinsics: np.ndarray
    """[3,3] K, pixels."""
    rotation: np.ndarray
    """[3,3] R."""
    position: np.ndarray
    """[3] metres."""

    def see(self, points: np.ndarray) -> np.ndarray:
        """Return world points [...,3] in the camera's frame (x right, y down, z forward)."""
        return (points - self.position) @ self.rotation.T


@dataclass(frozen=True)
class CameraSource:
    """What one camera filmed."""

    name: str
    video: Path
    keypoints: Path
    calibration: Path
    trc: Path
    index: int

    def identity(self) -> dict[str, Any]:
        """Return what decides its records."""
        return {"input": self.video.stat().st_size, "late": LATE, "step": STEP}

    def open(self) -> Footage:
        """Return its two tracks (even and odd frames) with their truth.

        Raises:
            BadInput: a file is damaged or does not fit the others.
        """
        camera = read_cameras(self.calibration)[self.index]
        joints = read_trc(self.trc)
        people = link(read_keypoints(self.keypoints))
        if not people:
            raise BadInput(f"{self.keypoints} shows nobody with three joints or more")
        detected = people[0]
        if len(detected) != len(joints):
            raise BadInput(
                f"{self.keypoints} is of {len(detected)} frames, {self.trc} of {len(joints)}"
            )
        frames = len(frame_times(self.video))
        seen = camera.see(joints)
        off = principal_offset(seen, camera, detected)
        intrinsics = camera.intrinsics.copy()
        intrinsics[:2, 2] += off
        here = np.arange(frames) - LATE
        known = (here >= 0) & (here < len(joints))
        here = np.clip(here, 0, len(joints) - 1)
        joints3d = np.zeros((frames, len(JOINTS), 3), np.float32)
        joints3d[:, LIMBS] = seen[here] * known[:, None, None]
        points = detected[here] * known[:, None, None]
        width, height = frame_size(self.video)
        meta = {
            "video": str(self.video), "size": [width, height], "fps": 60 / STEP,
            "principal_offset": np.round(off, 2).tolist(),
        }  # fmt: skip
        tracks = []
        for phase in range(STEP):
            used = np.arange(phase, frames, STEP)
            truth = Truth(
                joints3d=joints3d[used], valid=known[used], camera=intrinsics.astype(np.float32)
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
        return Footage(tracks, numbered, {"principal_offset": meta["principal_offset"]})


LIMBS = [JOINTS.index(name) for name in KEYPOINTS]


def principal_offset(seen: np.ndarray, camera: Camera, detected: np.ndarray) -> np.ndarray:
    """Return [2] pixels to add to the principal point: the limbs' median reprojection error.

    Args:
        seen: [N,12,3] true limbs in the camera's frame.
        detected: [N,14,3] OpenPose's points of the same frames.
    """
    apart = detected[:, : len(KEYPOINTS), :2] - project(seen, camera.intrinsics)
    return np.median(apart[detected[:, : len(KEYPOINTS), 2] > 0], axis=0)


def read_cameras(path: Path) -> list[Camera]:
    """Return the cameras of a Qualisys calibration (.qca.txt), in its order.

    Raises BadInput if it is none.
    """
    flip = np.diag([1.0, -1.0, -1.0])  # Qualisys looks along −z with y up
    cameras = []
    try:
        for node in ElementTree.parse(path).getroot().iter("camera"):
            place, lens = (_numbers(node.find(tag), path) for tag in ("transform", "intrinsic"))
            rotation = np.array([[place[f"r{i}{j}"] for j in (1, 2, 3)] for i in (1, 2, 3)])
            intrinsics = np.array(
                [
                    [lens["focalLengthU"], 0, lens["centerPointU"]],
                    [0, lens["focalLengthV"], lens["centerPointV"]],
                    [0, 0, UNIT],
                ]
            )
            position = np.array([place[axis] for axis in "xyz"]) / 1000
            cameras.append(Camera(intrinsics / UNIT, flip @ rotation, position))
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        raise BadInput(f"{path} is no calibration of Qualisys ({error})") from None
    return cameras


def _numbers(node: ElementTree.Element | None, path: Path) -> dict[str, float]:
    if node is None:
        raise ValueError("a camera lacks its transform or intrinsic")
    return {name: float(value) for name, value in node.attrib.items()}


def read_trc(path: Path) -> np.ndarray:
    """Return the 12 limbs float64 [N,12,3] of a .trc of OpenPose's names, metres, z up.

    Raises BadInput if it is none.
    """
    try:
        lines = path.read_text().splitlines()
        unit = dict(zip(lines[1].split(), lines[2].split(), strict=True))["Units"]
        names = [name for name in lines[3].split("\t")[2:] if name.strip()]
        rows = [line.rstrip("\t").split("\t")[2:] for line in lines[5:] if line.strip()]
        points = np.array(rows, float).reshape(len(rows), len(names), 3)
        picked = [names.index(_trc_name(limb)) for limb in KEYPOINTS]
    except (OSError, IndexError, KeyError, ValueError) as error:
        raise BadInput(f"{path} is no .trc with the 12 limbs ({error})") from None
    scale = {"m": 1.0, "mm": 1e-3}.get(unit)
    if scale is None or not len(points) or not np.isfinite(points[:, picked]).all():
        raise BadInput(f"{path} has gaps or an unknown unit ({unit})")
    return scale * points[:, picked][..., UPRIGHT]


def _trc_name(limb: str) -> str:
    """Return the .trc's name of one of record.KEYPOINTS: lsp_right_knee → RKnee."""
    _, side, part = limb.split("_")
    return side[0].upper() + part.capitalize()


def find_sources(root: Path) -> list[CameraSource]:
    """Return the cameras of an unpacked demo: both wheels' files somewhere under root.

    Raises BadInput naming what is missing.
    """
    calibration = _one(root, "Demo_SinglePerson/calibration/*.qca.txt", "0.9.8")
    trc = _one(root, "Demo/opensim/Balancing_for_IK.trc", "0.4.0")
    videos = sorted(calibration.parents[1].glob("videos/cam*.mp4"))
    folders = sorted(trc.parents[1].glob("pose/cam*_json"))
    cameras = len(read_cameras(calibration))
    if not len(videos) == len(folders) == cameras:
        raise BadInput(
            f"{root} has {len(videos)} videos, {len(folders)} folders of keypoints and {cameras} "
            "calibrated cameras, which should be as many; unpack both wheels whole"
        )
    return [
        CameraSource(video.stem, video, folder, calibration, trc, index)
        for index, (video, folder) in enumerate(zip(videos, folders, strict=True))
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
    """Download and unpack both wheels' demos by pip, once; return their folder.

    Raises BadMachine if pip cannot.
    """
    for version in WHEELS:
        folder = cache / version
        if (folder / "whole").exists():
            continue
        make_folder(folder)
        wanted = f"pose2sim=={version}"
        print(f"Fetching {wanted} ({WHEELS[version]}) into {folder}")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--no-deps", "-q", wanted, "-d", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        wheels = sorted(folder.glob(f"pose2sim-{version}-*.whl"))
        if done.returncode or not wheels:
            last = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise BadMachine(
                f"pip could not fetch {wanted} ({last}); fetch and unzip it elsewhere "
                "and give its folder with --root"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(folder, [name for name in wheel.namelist() if "/Demo" in name])
        wheels[0].unlink()
        (folder / "whole").touch()
    return cache
