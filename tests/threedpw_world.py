"""Small folders in 3DPW's format: rendered open bodies before a moving camera, truth known."""

import pickle
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from datagen.bodies import light
from datagen.bodies.looks import dress
from datagen.bodies.mesh import Mesh
from datagen.bodies.model import Body, load_bodies
from datagen.bodies.motion import find_motions, load_motion
from datagen.bodies.render import Renderer
from datagen.record import EVAL_JOINTS

WIDTH, HEIGHT = 320, 240
K = np.array([[280.0, 0, 161.5], [0, 280.0, 118.0], [0, 0, 1]])
OPENPOSE = [
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
]  # fmt: skip


@lru_cache(maxsize=1)
def bodies() -> dict[str, Body]:
    return load_bodies()


@dataclass
class Actor:
    """One person of a sequence, world frame (y up)."""

    gender: str
    betas: np.ndarray
    poses: np.ndarray
    trans: np.ndarray

    @property
    def body(self) -> Body:
        return bodies()["male" if self.gender == "m" else "female"]

    def surface(self) -> tuple[np.ndarray, np.ndarray]:
        """Return vertices [N,V,3] and joints [N,38,3] in the world."""
        return self.body.forward(self.poses, self.betas[:10], self.trans)


def actor(gender: str, motion: str, frames: int, place: tuple, yaw: float, seed: int) -> Actor:
    rng = np.random.default_rng(seed)
    betas = np.zeros(300 if gender == "m" else 10)  # 3DPW has both lengths
    betas[:10] = rng.normal(0, 1, 10)
    body = bodies()["male" if gender == "m" else "female"]
    source = next(s for s in find_motions(None) if s.name == motion)
    moved = load_motion(source, body.rest_joints())
    turn = Rotation.from_euler("y", yaw)
    poses = moved.pose[:frames].astype(float).copy()
    poses[:, :3] = (turn * Rotation.from_rotvec(poses[:, :3])).as_rotvec()
    pelvis = body.rest_joints(betas[:10])[0]
    path = turn.apply(moved.trans[:frames] - moved.trans[0])
    return Actor(gender, betas, poses, path + place - pelvis)


def cameras(frames: int, distance: float) -> np.ndarray:
    """Return [N,4,4] world → camera of somebody who walks by, hand-held, looking at the origin."""
    out = np.tile(np.eye(4), (frames, 1, 1))
    for t in range(frames):
        eye = np.array([0.8 - 0.02 * t, 0.3 + 0.01 * np.sin(t), distance])
        forward = -eye / np.linalg.norm(eye)
        right = np.cross(forward, [0, 1, 0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        rotation = Rotation.from_euler("z", 0.02 * np.sin(t / 3)).as_matrix() @ rotation
        out[t, :3, :3], out[t, :3, 3] = rotation, -rotation @ eye
    return out


def moved(views: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.einsum("nij,nkj->nki", views[:, :3, :3], points) + views[:, None, :3, 3]


def write_sequence(root: Path, split: str, name: str, actors: list[Actor], distance=4.0) -> dict:
    """Write a sequence's file and images; return the file's content."""
    frames = len(actors[0].poses)
    views = cameras(frames, distance)
    depths, pictures, points, joints = [], [], [], []
    renderer = _renderer()
    for number, one in enumerate(actors):
        surface, world = one.surface()
        seen = moved(views, surface).astype(np.float32)
        mesh = Mesh(one.body.faces, one.body.num_vertices, one.body.uv, one.body.face_uv)
        lamp = light.draw_light(np.random.default_rng(number))
        shades = np.stack([light.shade(mesh.normals(frame), lamp) for frame in seen])
        texture, _ = dress(one.body, np.random.default_rng(7 + number), None)
        drawn = list(renderer.render(mesh, seen, shades, texture))
        pictures.append(np.stack([p.rgb for p in drawn]))
        depths.append(np.stack([np.where(p.mask, p.depth, np.inf) for p in drawn]))
        points.append(detections(moved(views, world)))
        joints.append(world[:, :24].reshape(frames, 72))
    images = root / "imageFiles" / name
    images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    wall = cv2.resize(rng.integers(30, 220, (30, 40, 3), np.uint8), (WIDTH * 2, HEIGHT * 2))
    for t in range(frames):
        x, y = 160 - 3 * t, 120
        picture = np.roll(wall, (-y, -x), (0, 1))[:HEIGHT, :WIDTH].copy()
        order = np.argsort([-np.median(d[t][np.isfinite(d[t])]) for d in depths])
        for index in order:
            mask = np.isfinite(depths[index][t])
            picture[mask] = pictures[index][t][mask]
        cv2.imwrite(str(images / f"image_{t:05d}.jpg"), picture[..., ::-1])
    content = {
        "sequence": name,
        "betas": [one.betas for one in actors],
        "poses": [one.poses for one in actors],
        "trans": [one.trans for one in actors],
        "poses_60Hz": [one.poses.repeat(2, 0) for one in actors],
        "trans_60Hz": [one.trans.repeat(2, 0) for one in actors],
        "betas_clothed": [one.betas for one in actors],
        "v_template_clothed": [one.body.v_template for one in actors],
        "texture_maps": [np.zeros((4, 4, 3), np.uint8) for _ in actors],
        "img_frame_ids": np.arange(frames),
        "genders": [one.gender for one in actors],
        "poses2d": points,
        "jointPositions": joints,
        "cam_poses": views,
        "campose_valid": [np.ones(frames, np.int64) for _ in actors],
        "cam_intrinsics": K,
    }
    write_file(root, split, name, content)
    return content


def write_file(root: Path, split: str, name: str, content: dict) -> Path:
    """Write a sequence file as Python 2's numpy named its modules."""
    path = root / "sequenceFiles" / split / f"{name}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2).replace(b"numpy._core.", b"numpy.core."))
    return path


def detections(seen: np.ndarray) -> np.ndarray:
    """Return poses2d [N,3,18]: the projections of the evaluation joints, face unseen."""
    pixels = seen @ K.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    out = np.zeros((len(seen), 3, 18))
    for place, name in enumerate(OPENPOSE):
        if f"lsp_{name}" in EVAL_JOINTS:
            joint = 24 + EVAL_JOINTS.index(f"lsp_{name}")
            out[:, :2, place] = pixels[:, joint]
            out[:, 2, place] = 0.8
    return out


@lru_cache(maxsize=1)
def _renderer() -> Renderer:
    return Renderer(K.astype(np.float32), WIDTH, HEIGHT)
