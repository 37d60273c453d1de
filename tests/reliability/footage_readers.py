"""Readers of what others measured in footage, with small whole files to mutate."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case, npz
from mutations import npy


def people(frames: int = 4) -> np.ndarray:
    """COCO's 17 points of a standing person, [T,17,3]."""
    xy = np.array([[50, 10], [52, 8], [48, 8], [55, 10], [45, 10], [60, 25], [40, 25], [63, 42],
                   [37, 42], [64, 58], [36, 58], [56, 60], [44, 60], [57, 80], [43, 80], [57, 98],
                   [43, 98]], float)  # fmt: skip
    return np.stack([np.c_[3 * xy + t, np.full(17, 0.9)] for t in range(frames)])


def keypoint_files() -> list[Case]:
    points = people()
    results = [
        {"image_id": t, "category_id": 1, "score": 0.9, "keypoints": frame.ravel().tolist()}
        for t, frame in enumerate(points)
    ]
    return [
        Case({"k.npy": npy(points)}, "k.npy", "npy"),
        Case({"k.npz": npz({"keypoints": points, "layout": np.array("coco17")})}, "k.npz", "npz"),
        Case({"k.json": json.dumps(points.tolist()).encode()}, "k.json", "json"),
        Case({"k.json": json.dumps(results).encode()}, "k.json", "json"),
    ]


def read_keypoints(path: Path) -> Any:
    from datagen.footage.keypoint_files import read_appearance, read_people

    found = read_people(path)
    return found, read_appearance(path, found.points.shape[:2])


CAMERA = (
    '<calibration><cameras><camera serial="1"><transform x="1" y="2" z="3" '
    + " ".join(f'r{i}{j}="{int(i == j)}"' for i in (1, 2, 3) for j in (1, 2, 3))
    + '/><intrinsic focalLengthU="90000" focalLengthV="90000" centerPointU="30000" '
    'centerPointV="20000"/></camera></cameras></calibration>'
)


def cameras() -> list[Case]:
    return [Case({"c.qca.txt": CAMERA.encode()}, "c.qca.txt", "text")]


def read_calibration(path: Path) -> Any:
    from datagen.footage.calibration import read_cameras

    return read_cameras(path)


def trc() -> list[Case]:
    names = "RAnkle RKnee RHip LHip LKnee LAnkle RWrist RElbow RShoulder LShoulder LElbow LWrist"
    head = "PathFileType\t4\t(X/Y/Z)\ta.trc\nDataRate Units\n60 m\nFrame#\tTime\t"
    rows = "".join(f"{t}\t{t / 60}\t" + "\t".join(["0.5"] * 36) + "\n" for t in range(3))
    text = head + "\t\t\t".join(names.split()) + "\n\t\tX1\n" + rows
    return [Case({"a.trc": text.encode()}, "a.trc", "text")]


def read_trc(path: Path) -> Any:
    from datagen.footage.pose2sim import read_trc

    return read_trc(path)


def threedpw() -> list[Case]:
    rng, n = np.random.default_rng(0), 3
    content = {
        "betas": [np.zeros(10)] * 2, "poses": [rng.normal(size=(n, 72))] * 2,
        "trans": [np.zeros((n, 3))] * 2, "genders": ["m", "f"],
        "poses2d": [np.zeros((n, 3, 18))] * 2, "jointPositions": [np.zeros((n, 72))] * 2,
        "cam_poses": np.tile(np.eye(4), (n, 1, 1)), "campose_valid": [np.ones(n, int)] * 2,
        "cam_intrinsics": np.eye(3), "sequence": "x",
    }  # fmt: skip
    return [Case({"x.pkl": b"\x80\2}."}, "x.pkl", "pickle", content)]


def read_threedpw(path: Path) -> Any:
    from datagen.footage.threedpw import read_sequence

    return read_sequence(path)


def kinetics() -> list[Case]:
    text = "label,youtube_id,time_start,time_end,split\nx,abcdefghijk,1,11,train\n"
    return [Case({"k.csv": text.encode()}, "k.csv", "text")]


def read_kinetics(path: Path) -> Any:
    from datagen.backgrounds.sources import kinetics_clips

    return sorted(kinetics_clips(path))


def joints_c3d() -> list[Case]:
    import ezc3d

    from datagen.footage.aspset import NAMES

    file = ezc3d.c3d()
    points = file["parameters"]["POINT"]
    points["RATE"]["value"], points["UNITS"]["value"] = [50.0], ["mm"]
    points["LABELS"]["value"] = list(NAMES)
    file["data"]["points"] = np.ones((4, len(NAMES), 3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.c3d")
        file.write(str(path))
        return [Case({"a.c3d": path.read_bytes()}, "a.c3d")]


def read_c3d(path: Path) -> Any:
    from datagen.footage.aspset import read_joints

    return read_joints(path)
