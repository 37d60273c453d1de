"""Readers of motions, bodies, pictures and SURREAL's files, with small whole files to mutate."""

from __future__ import annotations

import functools
import io
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io
from cases import Case, npz, odd
from motion_files import REST, bvh_text, deepmimic_frame
from mutations import npy

# motions


def poses(frames: int = 20) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (frames, 72)).cumsum(0) * 0.1


def amass() -> list[Case]:
    long = np.zeros((20, 156))
    long[:, :66] = poses()[:, :66]
    arrays = {"poses": long, "trans": np.zeros((20, 3)), "betas": np.zeros(16),
              "mocap_framerate": np.array(120.0)}  # fmt: skip
    return [Case({"a_poses.npz": npz(arrays)}, "a_poses.npz", "npz")]


def surreal_npz() -> list[Case]:
    arrays = {"pose_01_01": poses(), "trans_01_01": np.zeros((20, 3)),
              "pose_02_02": poses(9), "trans_02_02": np.zeros((9, 3))}  # fmt: skip
    return [Case({"smpl_data.npz": npz(arrays)}, "smpl_data.npz", "npz")]


def bvh() -> list[Case]:
    return [Case({"a.bvh": bvh_text(8, LeftLeg_X=30).encode()}, "a.bvh", "text")]


def amc() -> list[Case]:
    from test_damaged_files import amc_text, asf_text

    files = {"01.asf": asf_text().encode(), "01_01.amc": amc_text().encode()}
    return [Case(files, name, "text") for name in files]


def deepmimic() -> list[Case]:
    frames = [deepmimic_frame().tolist() for _ in range(6)]
    text = json.dumps({"Loop": "wrap", "Frames": frames}).encode()
    return [Case({"a.txt": text}, "a.txt", form) for form in ("json", "text")]


def motion(path: Path) -> Any:
    from datagen.bodies.motion.sources import find_motions, load_betas, load_motion

    return [(s.name, load_motion(s, REST), load_betas(s)) for s in find_motions(path.parent)]


def motion_garbage(found: Any) -> str:
    for name, one, betas in found:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", name) or len(one.subject) > 200:
            return f"name {name!r:.60}"
        if len(one.pose) < 2 or one.trans.shape != (len(one.pose), 3):
            return "an empty motion"
        if wrong := odd(one.pose, 1e3) or odd(one.trans, 1.1e6) or odd(betas, 1e3):
            return wrong
    return ""


def subjects() -> list[Case]:
    files = {**bvh()[0].files, "subjects.csv": b"file,subject\na.bvh,p1\n"}
    return [Case(files, "subjects.csv", "text")]


# bodies


@functools.cache
def body_arrays() -> dict[str, np.ndarray]:
    from trainer_fixtures import toy_body

    arrays = toy_body(np.random.default_rng(0))
    parents = arrays.pop("parents")
    count = len(arrays["v_template"])
    faces = np.random.default_rng(0).integers(0, count, (20, 3))
    tree = np.stack([parents.astype(np.int64), np.arange(24)])
    tree[0, 0] = 2**32 - 1
    arrays.pop("eval_regressor")
    return {**arrays, "kintree_table": tree, "f": faces.astype(np.uint32)}


def body_npz() -> list[Case]:
    return [Case({"neutral.npz": npz(body_arrays())}, "neutral.npz", "npz")]


def body_pkl() -> list[Case]:
    from scipy import sparse

    content = {**body_arrays(), "bs_style": "lbs"}
    content["J_regressor"] = sparse.csc_matrix(content["J_regressor"])
    return [Case({"SMPL_NEUTRAL.pkl": b"\x80\2}."}, "SMPL_NEUTRAL.pkl", "pickle", content)]


def body(path: Path) -> Any:
    from datagen.bodies.smpl.files import find_body_files, read_body_file

    return [read_body_file(file) for file in find_body_files(path).values()]


def regressor() -> list[Case]:
    rows = np.full((17, 144), 1 / 144)
    return [Case({"r.npy": npy(rows)}, "r.npy", "npy")]


def read_regressor(path: Path) -> Any:
    from datagen.bodies.smpl.regressor import read_regressor

    return read_regressor(path, 144)


FACES = np.array([[0, 1, 2], [2, 1, 3]])


def uv_map() -> list[Case]:
    text = "vt 0 0\nvt 1 0\nvt 0 1\nvt 1 1\nf 1/1 2/2 3/3\nf 3/3 2/2 4/4\n"
    return [Case({"uv.obj": text.encode()}, "uv.obj", "text")]


def read_uv(path: Path) -> Any:
    from datagen.bodies.smpl.uvmap import read_uv_map

    return read_uv_map(path, FACES)


def picture(size: int = 80, kind: str = ".jpg") -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8)
    return cv2.imencode(kind, noise)[1].tobytes()


def pictures() -> list[Case]:
    return [Case({f"a{kind}": picture(80, kind)}, f"a{kind}") for kind in (".jpg", ".png")]


def read_picture(path: Path) -> Any:
    from datagen.bodies.appearance.scans import _read
    from datagen.footage.threedpw import read_image

    _read.cache_clear()
    return [_read(path), read_image(path)]


# SURREAL


def surreal_labels() -> list[Case]:
    rng, stream = np.random.default_rng(1), io.BytesIO()
    info = {
        "joints2D": np.full((2, 24, 3), 100, np.float32), "zrot": np.full((3, 1), 0.3),
        "joints3D": rng.normal(0, 0.5, (3, 24, 3)).astype(np.float32),
        "pose": rng.normal(0, 0.3, (72, 3)), "shape": np.ones((10, 3)),
        "camLoc": np.array([[7.0], [0], [0]]), "gender": np.ones((3, 1), np.uint8),
        "bg": np.array(["a"] * 3, object),
    }  # fmt: skip
    scipy.io.savemat(stream, info)
    name = "01_01_c0001_info.mat"
    return [Case({name: stream.getvalue()}, name, "mat")]


def read_surreal_labels(path: Path) -> Any:
    from datagen.bodies.surreal import read_labels

    return read_labels(path)


def surreal_masks() -> list[Case]:
    stream = io.BytesIO()
    masks = {f"segm_{t}": np.ones((240, 320), np.uint8) for t in (1, 2)}
    scipy.io.savemat(stream, masks, do_compression=True)
    return [Case({"01_01_c0001_segm.mat": stream.getvalue()}, "01_01_c0001_segm.mat", "mat")]


def read_surreal_masks(path: Path) -> Any:
    from datagen.bodies.surreal import _read_masks

    return _read_masks(path, 2)
