"""3DPW: real people outdoors, moving camera, SMPL ground truth (von Marcard et al., 2018).

`sequenceFiles/<split>/<name>.pkl` and `imageFiles/<name>/image_%05d.jpg`. The ground truth is SMPL
pose and shape in the world; the 14 evaluation joints are regressed from the posed gendered mesh,
with the same regressor as for predictions, because other joint definitions differ by 46 mm.
"""

# N frames of a sequence; the 18 points have OpenPose's COCO layout

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from jaxtyping import UInt8
from scipy.spatial.transform import Rotation

from datagen.bodies.render.camera import project
from datagen.bodies.smpl.unpickle import read_lists
from datagen.common import pictures
from datagen.common.cli import count
from datagen.common.errors import BadInput
from datagen.footage.dataset import Footage
from datagen.footage.keypoints import evaluation_points, within
from datagen.footage.layouts import LAYOUTS, OPENPOSE
from datagen.footage.track import Track, Truth
from datagen.output.fingerprint import content

if TYPE_CHECKING:
    from datagen.bodies.smpl.model import Body

SPLITS = {"train": 24, "validation": 12, "test": 24}
"""Number of sequences in each split."""
FIELDS = ("betas", "poses", "trans", "poses2d", "jointPositions", "campose_valid")
"""Fields with a list entry for every person."""
NUM_BETAS = 10  # 48 of the 87 tracks have 300, which are zero from the eleventh on
LIMIT = 1e5
"""Pixels, metres or radians; larger numbers are damage."""
FAR = 0.005
"""Distance in metres between the body's and the sequence's joints beyond which it is another body
model."""
RULES = {
    "HMMR: > 6 of neck, shoulders, elbows, wrists, hips, knees above 0.1": "hmmr",
    "VIBE: > 6 of the 12 limbs above 0.3": "vibe",
    "SPIN: camera pose valid": "spin",
    "3DPW's own: any detection and camera pose valid": "own",
    "here: >= 7 of neck and 12 limbs above 0.1 and camera pose valid": "here",
    "here, without points outside the picture": "counted",
}
"""Rules in the literature for which frames count, and the names of their counts in a shard's
line."""


@dataclass(frozen=True, eq=False)
class ThreedpwPerson:
    """One person of a sequence, world frame, metres."""

    gender: str
    betas: np.ndarray
    """[10]."""
    poses: np.ndarray
    """[N,72] axis-angle."""
    trans: np.ndarray
    """[N,3]."""
    points: np.ndarray
    """[N,18,3] x, y, confidence."""
    joints: np.ndarray
    """[N,24,3] SMPL's kinematic joints."""
    valid: np.ndarray
    """bool [N]: whether the camera pose is valid."""


@dataclass(frozen=True, eq=False)
class Sequence:
    """The content of a sequence file."""

    people: list[ThreedpwPerson]
    cameras: np.ndarray
    """[N,4,4] world → camera."""
    intrinsics: np.ndarray
    """[3,3] K."""

    def __len__(self) -> int:
        return len(self.cameras)


@dataclass(frozen=True)
class SequenceSource:
    """One sequence: its file and its folder of images."""

    name: str
    path: Path
    images: Path
    body: Path | None
    joint_regressor: Path | None
    truth: bool = True

    def identity(self) -> dict[str, Any]:
        """Return everything its records depend on."""
        images = content(self.images, sorted(self.images.glob("image_*.jpg")))
        return {"input": content(self.path), "images": images}

    def open(self) -> Footage:
        """Return its people and images.

        Raises:
            BadInput: the file is damaged or too short, images are missing, or the body is not
                3DPW's.
        """
        sequence = read_sequence(self.path)
        files = find_images(self.images, len(sequence))
        height, width = read_image(files[0]).shape[:2]
        tracks = []
        for index, person in enumerate(sequence.people):
            points = evaluation_points(person.points, LAYOUTS["openpose18"], OPENPOSE)
            points = within(points, width, height)
            if not points[..., 2].any():
                continue
            name = f"{self.name}_{index}"
            truth = self._truth(sequence, person) if self.truth else None
            meta = {"images": str(self.images), "size": [width, height], "fps": 30}
            meta["gender"] = person.gender
            source = np.arange(len(sequence), dtype=np.int32)
            tracks.append(Track(name, name, source, points, truth, meta=meta))
        if not tracks:
            raise BadInput(f"{self.path}: no person is detected in it")
        rules = [count_frames(person, width, height) for person in sequence.people]
        total = {name: sum(rule[name] for rule in rules) for name in RULES.values()}
        return Footage(tracks, self._frames(files, (height, width)), {"rules": total})

    def _truth(self, sequence: Sequence, person: ThreedpwPerson) -> Truth:
        from datagen.bodies.smpl.model import kept_bodies

        bodies = kept_bodies(self.body, self.joint_regressor)
        if person.gender not in bodies:
            raise BadInput(
                f"--body {self.body} has no {person.gender} model, which {self.path.name} needs; "
                "put SMPL_MALE and SMPL_FEMALE there"
            )
        truth = truth_of(bodies[person.gender], sequence, person)
        apart = np.linalg.norm(
            truth.joints3d[:, :24] - _moved(sequence.cameras, person.joints), axis=-1
        )
        if np.median(apart) > FAR:
            raise BadInput(
                f"--body {self.body}: its joints differ by {1000 * np.median(apart):.0f} mm from "
                f"those in {self.path.name}; 3DPW needs the SMPL model it was fitted with"
            )
        return truth

    @staticmethod
    def _frames(files: list[Path], size: tuple[int, int]) -> Iterator[tuple[int, np.ndarray]]:
        for number, file in enumerate(files):
            image = read_image(file)
            if image.shape[:2] != size:
                raise BadInput(f"{file} is {image.shape[1]}x{image.shape[0]}, unlike the first")
            yield number, image


def truth_of(body: Body, sequence: Sequence, person: ThreedpwPerson) -> Truth:
    """Return a person's ground truth in the camera's frame, from the posed mesh of `body`."""
    turn, shift = sequence.cameras[:, :3, :3], sequence.cameras[:, :3, 3]
    pose = person.poses.copy()
    root = Rotation.from_matrix(turn) * Rotation.from_rotvec(person.poses[:, :3])
    pose[:, :3] = root.as_rotvec()
    # SMPL rotates about the rest pelvis, which is therefore transformed as a point.
    pelvis = body.rest_joints(person.betas)[0].astype(np.float64)
    trans = np.einsum("nij,nj->ni", turn, pelvis + person.trans) + shift - pelvis
    joints = body.joints(pose, person.betas, trans)
    return Truth(
        joints3d=joints,
        valid=person.valid & np.isfinite(joints).all((1, 2)),
        camera=sequence.intrinsics.astype(np.float32),
        joints2d=project(joints, sequence.intrinsics),
        pose=pose.astype(np.float32),
        betas=person.betas.astype(np.float32),
        trans=trans.astype(np.float32),
    )


def _moved(cameras: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return world points [N,K,3] in the frames of cameras [N,4,4]."""
    return points @ cameras[:, :3, :3].transpose(0, 2, 1) + cameras[:, None, :3, 3]


def count_frames(person: ThreedpwPerson, width: int, height: int) -> dict[str, int]:
    """Return the number of a person's frames that count by each rule in RULES."""
    confidence = person.points[..., 2]
    some = person.points.any((1, 2))
    body13 = slice(1, 14)
    hmmr = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12]  # HMMR's heels and head are not in 3DPW
    points = evaluation_points(person.points, LAYOUTS["openpose18"], OPENPOSE)
    seen = within(points, width, height)[:, :13, 2]
    kept = {
        "hmmr": (confidence[:, hmmr] > 0.1).sum(1) > 6,
        "vibe": (confidence[:, 2:14] > 0.3).sum(1) > 6,
        "spin": person.valid,
        "own": some & person.valid,
        "here": ((confidence[:, body13] > 0.1).sum(1) >= 7) & person.valid,
        "counted": (seen.sum(1) >= 7) & person.valid,
    }
    return {name: int(frames.sum()) for name, frames in kept.items()}


def read_sequence(path: Path) -> Sequence:
    """Read a sequence file, without executing code in its pickle.

    Raises BadInput if it is damaged, lacks a field or has arrays of different lengths.
    """
    names = (*FIELDS, "genders", "gender", "cam_poses", "cam_intrinsics")
    raw = read_lists(path, names, "a sequence of 3DPW")
    raw.setdefault("genders", raw.pop("gender", None))
    missing = [name for name in (*FIELDS, "cam_poses", "cam_intrinsics") if name not in raw]
    if missing or raw["genders"] is None:
        raise BadInput(f"{path} lacks {', '.join(missing) or 'genders'}; it is not a 3DPW sequence")
    if single := [name for name in (*FIELDS, "genders") if not np.iterable(raw[name])]:
        raise BadInput(f"{path}: {', '.join(single)} must be lists with one entry per person")
    cameras = _array(path, "cam_poses", raw["cam_poses"], (None, 4, 4))
    frames = len(cameras)
    people = []
    counts = {name: len(raw[name]) for name in (*FIELDS, "genders")}
    if len(set(counts.values())) != 1 or not counts["poses"]:
        raise BadInput(f"{path} names different numbers of people: {counts}")
    shapes = {
        "betas": (None,), "poses": (frames, 72), "trans": (frames, 3), "poses2d": (frames, 3, 18),
        "jointPositions": (frames, 72), "campose_valid": (frames,),
    }  # fmt: skip
    for index in range(counts["poses"]):
        one = {name: _array(path, name, raw[name][index], shapes[name]) for name in FIELDS}
        gender = {"m": "male", "f": "female"}.get(str(raw["genders"][index]).lower()[:1])
        if gender is None or len(one["betas"]) < NUM_BETAS:
            raise BadInput(f"{path}: person {index} has no gender m or f, or fewer than 10 betas")
        people.append(
            ThreedpwPerson(
                gender=gender,
                betas=one["betas"][:NUM_BETAS],
                poses=one["poses"],
                trans=one["trans"],
                points=one["poses2d"].transpose(0, 2, 1),
                joints=one["jointPositions"].reshape(frames, 24, 3),
                valid=one["campose_valid"] > 0,
            )
        )
    return Sequence(people, cameras, _array(path, "cam_intrinsics", raw["cam_intrinsics"], (3, 3)))


def _array(path: Path, name: str, value: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    array = value if isinstance(value, np.ndarray) else np.asarray(value if value else [])
    same = array.ndim == len(shape) and all(
        wanted is None or wanted == found for wanted, found in zip(shape, array.shape, strict=True)
    )
    if not same or array.dtype.kind not in "fiub" or not (np.abs(array) < LIMIT).all():
        wanted = " x ".join("any" if n is None else str(n) for n in shape)
        raise BadInput(f"{path}: {name} is {array.dtype} {list(array.shape)}, expected {wanted}")
    return array.astype(np.float64)


def find_images(folder: Path, frames: int) -> list[Path]:
    """Return the image files of a sequence, in order. Raises BadInput if some are missing."""
    files = [folder / f"image_{number:05d}.jpg" for number in range(frames)]
    there = set(folder.glob("image_*.jpg"))
    missing = [file.name for file in files if file not in there]
    if missing:
        raise BadInput(
            f"{folder} lacks {len(missing)} of {frames} images ({missing[0]} …); "
            "unpack imageFiles.zip again"
        )
    return files


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Return an image as uint8 [H,W,3] RGB, as stored, ignoring any EXIF orientation."""
    try:
        return pictures.read(path, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is {error}; unpack imageFiles.zip again") from error


def find_sources(
    root: Path, split: str, body: Path | None, joint_regressor: Path | None, *, truth: bool
) -> list[SequenceSource]:
    """Return the sequences of a split.

    Raises BadInput if root is not 3DPW's or the split has none.
    """
    folder = root / "sequenceFiles" / split
    files = sorted(folder.glob("*.pkl"))
    if not files or not (root / "imageFiles").is_dir():
        raise BadInput(
            f"--root {root} lacks {'imageFiles/' if files else f'sequenceFiles/{split}/*.pkl'}; "
            "unpack 3DPW's sequenceFiles.zip and imageFiles.zip there"
        )
    if len(files) != SPLITS[split]:
        found = count(len(files), "sequence")
        print(f"note: {folder} holds {found}, 3DPW has {SPLITS[split]}")
    return [
        SequenceSource(path.stem, path, root / "imageFiles" / path.stem, body, joint_regressor,
                       truth)
        for path in files
    ]  # fmt: skip
