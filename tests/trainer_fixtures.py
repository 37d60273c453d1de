"""Small synthetic data sets for the trainer: a toy body in SMPL's layout, moved and projected.

Nothing of datagen is needed, and everything is true: the 2D joints are projections of the 3D ones,
which are the body's own, so a model can learn the task.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import torch

from trainer import rotations
from trainer.model.body import BodyJoints

SMPL_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
SMPL_NAMES = [
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
]
LSP = [
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "neck",
    "head_top",
]
EVAL_NAMES = [f"lsp_{name}" for name in LSP]
# A person of 1.7 m in a T-pose: y up, facing +z, its left at +x.
REST = np.array([
    [0, 0, 0], [0.09, -0.08, 0], [-0.09, -0.08, 0], [0, 0.1, 0], [0.1, -0.48, 0], [-0.1, -0.48, 0],
    [0, 0.24, 0], [0.1, -0.9, -0.02], [-0.1, -0.9, -0.02], [0, 0.3, 0], [0.1, -0.95, 0.12],
    [-0.1, -0.95, 0.12], [0, 0.5, 0], [0.08, 0.42, 0], [-0.08, 0.42, 0], [0, 0.6, 0.03],
    [0.18, 0.43, 0], [-0.18, 0.43, 0], [0.44, 0.43, 0], [-0.44, 0.43, 0], [0.69, 0.43, 0],
    [-0.69, 0.43, 0], [0.78, 0.43, 0], [-0.78, 0.43, 0],
])  # fmt: skip


def toy_body(rng: np.random.Generator, per_joint: int = 6) -> dict[str, np.ndarray]:
    """Return a reduced body: a small cloud of vertices about each joint, softly skinned."""
    centres = np.concatenate((REST, [[0, 0.78, 0.03]]))
    owner = np.repeat([*range(24), 15], per_joint)
    cloud = rng.normal(0, 0.03, (len(centres), per_joint, 3))
    cloud -= cloud.mean(1, keepdims=True)
    vertices = (centres[:, None] + cloud).reshape(-1, 3)
    count = len(vertices)
    weights = np.zeros((count, 24))
    for vertex, bone in enumerate(owner):
        weights[vertex, bone] = 0.8
        weights[vertex, max(SMPL_PARENTS[bone], 0)] += 0.2
    regressor = np.zeros((24, count))
    evaluation = np.zeros((14, count))
    for bone in range(24):
        regressor[bone, bone * per_joint : (bone + 1) * per_joint] = 1 / per_joint
    for row, name in enumerate(LSP):
        first = 24 * per_joint if name == "head_top" else SMPL_NAMES.index(name) * per_joint
        evaluation[row, first : first + per_joint] = 1 / per_joint
    shape = rng.normal(0, 0.01, (count, 3, 10))
    shape[:, :, 0] += 0.03 * vertices
    body = {
        "v_template": vertices,
        "shapedirs": shape,
        "posedirs": rng.normal(0, 0.002, (count, 3, 207)),
        "weights": weights,
        "J_regressor": regressor,
        "eval_regressor": evaluation,
    }
    body = {name: value.astype(np.float32) for name, value in body.items()}
    body["parents"] = np.array(SMPL_PARENTS, np.int32)
    return body


def mirrored(names: list[str]) -> list[int]:
    """Return the index of each name's left-right counterpart."""
    swap = {"left": "right", "right": "left"}
    return [
        names.index("_".join(swap.get(part, part) for part in name.split("_"))) for name in names
    ]


def toy_clip(
    body: BodyJoints, rng: np.random.Generator, frames: int, size: int, stride: int
) -> dict[str, np.ndarray]:
    """Return the arrays of one clip: a body that swings its limbs before a static camera."""
    time = np.arange(frames)[:, None] / 30
    pose = np.zeros((frames, 24, 3))
    swinging = [1, 2, 4, 5, 16, 17, 18, 19]
    for joint in swinging:
        axis = rng.normal(0, 0.5, 3)
        phase, speed = rng.uniform(0, 6.28), rng.uniform(3, 8)
        pose[:, joint] = axis * np.sin(speed * time + phase)
    pose[:, 16, 2] -= 1.0
    pose[:, 17, 2] += 1.0
    turn = rotations.matrix_from_axis_angle(
        torch.tensor(np.stack([np.zeros(1), rng.uniform(-3, 3, 1), np.zeros(1)], -1)).float()
    )
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    pose[:, 0] = rotations.axis_angle_from_matrix(upright @ turn)[0].numpy()
    betas = rng.normal(0, 0.7, 10).astype(np.float32)
    pose = pose.reshape(frames, 72).astype(np.float32)
    trans = np.array([0, 0, rng.uniform(6, 8)], np.float32) + np.zeros((frames, 3), np.float32)
    with torch.no_grad():
        joints = body(
            rotations.matrix_from_axis_angle(torch.from_numpy(pose).unflatten(1, (24, 3))),
            torch.from_numpy(betas).expand(frames, -1),
        ).numpy()
    joints = joints + trans[:, None]
    focal = 4.2 * size
    pixels = joints[..., :2] / joints[..., 2:] * focal + (size - 1) / 2
    inside = ((pixels >= -0.5) & (pixels < size - 0.5)).all(-1)
    occluded = np.zeros(frames, np.uint8)
    if rng.random() < 0.3:
        first = int(rng.integers(frames))
        occluded[first : first + 3] = 1
    cells = -(-size // stride)
    flow = np.zeros((frames, 2, cells, cells), np.float32)
    column, row = np.meshgrid(np.arange(cells), np.arange(cells))
    centre = (np.stack((column, row), -1) + 0.5) * stride - 0.5
    for t in range(frames - 1):
        away = np.linalg.norm(centre[:, :, None] - pixels[t], axis=-1)
        nearest = away.argmin(-1)
        step = (pixels[t + 1] - pixels[t])[nearest]
        flow[t] = np.where(away.min(-1) < size / 14, step.transpose(2, 0, 1), 0)
    flow[occluded == 1] = 0
    return {
        "flow": flow.astype(np.float16),
        "joints2d": np.concatenate((pixels, inside[..., None]), -1).astype(np.float32),
        "visibility": (2 * inside).astype(np.uint8),
        "joints3d": joints.astype(np.float32),
        "pose": pose,
        "betas": betas,
        "trans": trans,
        "occluded": occluded,
        "crop": np.tile(np.eye(2, 3, dtype=np.float32), (frames, 1, 1)),
        "offsets": np.zeros((frames, 2), np.float32),
        "camera": np.array(
            [[focal, 0, (size - 1) / 2], [0, focal, (size - 1) / 2], [0, 0, 1]], np.float32
        ),
    }


def picture_strip(arrays: dict[str, np.ndarray], size: int) -> bytes:
    """Return a JPEG strip with a red dot at each left and a blue one at each right joint."""
    from PIL import Image

    frames = len(arrays["occluded"])
    strip = np.full((frames, size, size, 3), 90, np.uint8)
    row, column = np.mgrid[:size, :size]
    for t in range(frames):
        for j, name in enumerate(SMPL_NAMES):
            x, y = arrays["joints2d"][t, j, :2]
            dot = (column - x) ** 2 + (row - y) ** 2 < (size / 40) ** 2
            strip[t][dot] = (230, 40, 40) if "left" in name else (40, 40, 230)
    out = io.BytesIO()
    Image.fromarray(strip.reshape(-1, size, 3)).save(out, "JPEG", quality=90)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    """Return an array as .npy bytes."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Return arrays as .npz bytes."""
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def write_shards(
    folder: Path,
    *,
    shards: int = 2,
    clips: int = 4,
    frames: int = 8,
    size: int = 64,
    stride: int = 4,
    rgb: bool = False,
    seed: int = 0,
    short: int = 0,
) -> Path:
    """Write a data set of toy clips, return its folder; the last shard has `short` clips less."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = toy_body(rng)
    np.savez(folder / "body.npz", **arrays)  # type: ignore[arg-type]
    body = BodyJoints(arrays)
    joints = SMPL_NAMES + EVAL_NAMES
    total = 0
    for shard in range(shards):
        with tarfile.open(folder / f"shard-{shard:06d}.tar", "w", format=tarfile.GNU_FORMAT) as tar:
            for index in range(clips - (short if shard == shards - 1 else 0)):
                clip = toy_clip(
                    body, np.random.default_rng([seed, shard, index]), frames, size, stride
                )
                members = {"flow.npy": npy(clip.pop("flow"))}
                members["labels.npz"] = npz(clip)
                members["meta.json"] = json.dumps({"person": f"toy{index % 2}"}).encode()
                if rgb:
                    members["rgb.jpg"] = picture_strip(clip, size)
                for name, data in members.items():
                    info = tarfile.TarInfo(f"{shard:06d}_{index:04d}.{name}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                total += 1
    told = {
        "version": 1,
        "fingerprint": f"toy-{seed}",
        "config": {},
        "clip_length": frames,
        "image_size": size,
        "joints": joints,
        "keypoints": list(range(24, 36)),
        "evaluation_joints": list(range(24, 38)),
        "mirror": mirrored(joints),
        "flow": {"name": "toy", "stride": stride, "upsample": "bilinear"},
        "rgb": rgb,
        "fps": 30,
        "body": "body.npz",
        "split": "train",
        "shards": shards,
        "clips_per_shard": clips,
        "clips": total,
    }
    (folder / "dataset.json").write_text(json.dumps(told))
    return folder
