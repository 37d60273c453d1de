"""The SMPL body model: its arrays, and its forward pass on whole clips.

A Body is SMPL itself (from the user's files) or one of the open bodies shipped with the package
(CC0 MakeHuman people, see assets/build/bodies.py); no other module distinguishes them.

T frames, V vertices, F triangles, U texture points.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from datagen.bodies.smpl.files import find_body_files, read_body_file
from datagen.bodies.smpl.regressor import KINEMATIC, identity, kinematic_regressor, read_regressor
from datagen.common.files import whole
from datagen.common.record import SMPL_PARENTS

FRAMES_AT_ONCE = 25
"""Frames per call of smplx, which limits memory to about 30 MB for 13,500 vertices."""


@dataclass(frozen=True, eq=False)
class Body:
    """One gender's body in SMPL's layout; rest pose: T pose, y up, facing +z, metres."""

    gender: str
    faces: np.ndarray
    """int32 [F,3] vertex indices, counter-clockwise seen from outside."""
    uv: np.ndarray | None
    """float32 [U,2] texture points, v up; None if the file has none."""
    face_uv: np.ndarray | None
    """int32 [F,3] index of the texture point at each triangle corner."""
    weights: np.ndarray
    """float32 [V,24] skinning weights."""
    v_template: np.ndarray
    """float32 [V,3] mean shape."""
    shapedirs: np.ndarray
    """float32 [V,3,10] displacement per unit of beta."""
    posedirs: np.ndarray
    """float32 [V,3,207] displacement per element of (rotation - identity)."""
    joint_regressor: np.ndarray
    """float32 [24,V] kinematic joints from the rest surface."""
    eval_regressor: np.ndarray
    """float32 [14,V] evaluation joints from the posed surface."""
    regressor_name: str = "the body file's own"
    """Origin of the evaluation joints."""
    notes: tuple[str, ...] = ()
    """Notes for the user on this body, one sentence each."""

    @property
    def num_vertices(self) -> int:
        """V."""
        return len(self.v_template)

    def regressor(self) -> dict[str, str]:
        """Return the name and content hash of the evaluation joints' regressor."""
        return identity(self.regressor_name, self.eval_regressor)

    def rest_vertices(
        self, betas: Float[np.ndarray, " 10"] | None = None
    ) -> Float32[np.ndarray, "v 3"]:
        """Return the surface in the rest pose, float32 [V,3]; betas [10], default zero."""
        if betas is None:
            return self.v_template
        return self.v_template + self.shapedirs @ np.asarray(betas, np.float32)

    def rest_joints(
        self, betas: Float[np.ndarray, " 10"] | None = None
    ) -> Float32[np.ndarray, "24 3"]:
        """Return the 24 joints in the rest pose, float32 [24,3]; betas [10], default zero."""
        return self.joint_regressor @ self.rest_vertices(betas)

    def forward(
        self,
        pose: np.ndarray,
        betas: np.ndarray,
        trans: np.ndarray,
    ) -> tuple[Float32[np.ndarray, "t v 3"], Float32[np.ndarray, "t 38 3"]]:
        """Pose the body in every frame (smplx's forward pass).

        Args: pose [T,72] axis-angle (global orient first), betas [10] or [T,10], trans [T,3]
        metres. Returns vertices float32 [T,V,3] and joints float32 [T,38,3] in the order of
        `datagen.common.record`, in the frame defined by global orient and trans.
        """
        import torch

        pose, trans = np.asarray(pose, np.float32), np.asarray(trans, np.float32)
        frames = len(pose)
        betas = np.asarray(betas, np.float32)
        if (
            pose.shape != (frames, 72)
            or trans.shape != (frames, 3)
            or betas.shape not in ((10,), (frames, 10))
        ):
            raise ValueError(
                f"pose {pose.shape}, betas {betas.shape}, trans {trans.shape}: "
                "expected [T,72], [10] or [T,10], [T,3]"
            )
        vertices = np.empty((frames, self.num_vertices, 3), np.float32)
        joints = np.empty((frames, 38, 3), np.float32)
        touched = np.flatnonzero(self.eval_regressor.any(0))
        regressor = self.eval_regressor[:, touched]
        shapes = torch.from_numpy(betas.copy()).expand(frames, 10)
        for start in range(0, frames, FRAMES_AT_ONCE):
            part = slice(start, start + FRAMES_AT_ONCE)
            angles = torch.from_numpy(pose[part])
            with torch.inference_mode():
                posed = self._smplx(
                    betas=shapes[part],
                    global_orient=angles[:, :3],
                    body_pose=angles[:, 3:],
                    transl=torch.from_numpy(trans[part]),
                )
            vertices[part] = posed.vertices.numpy()
            joints[part, :24] = posed.joints[:, :24].numpy()
        joints[:, 24:] = np.einsum("kv,tvi->tki", regressor, vertices[:, touched])
        return vertices, joints

    def joints(
        self, pose: np.ndarray, betas: np.ndarray, trans: np.ndarray
    ) -> Float32[np.ndarray, "t 38 3"]:
        """Return only the joints from `forward`: a long motion's vertices would exceed memory."""
        betas = np.broadcast_to(betas, (len(pose), 10))
        out = np.empty((len(pose), 38, 3), np.float32)
        for start in range(0, len(pose), FRAMES_AT_ONCE):
            part = slice(start, start + FRAMES_AT_ONCE)
            out[part] = self.forward(pose[part], betas[part], trans[part])[1]
        return out

    def reduced(self) -> dict[str, np.ndarray]:
        """Return the model on the Vs vertices used by a regressor, which maps pose and betas to
        joints.

        Keys v_template [Vs,3], shapedirs [Vs,3,10], posedirs [Vs,3,207], weights [Vs,24],
        J_regressor [24,Vs], eval_regressor [14,Vs], parents [24] (root -1): the trainer's body.
        """
        touched = np.flatnonzero(self.joint_regressor.any(0) | self.eval_regressor.any(0))
        return {
            "v_template": self.v_template[touched],
            "shapedirs": self.shapedirs[touched],
            "posedirs": self.posedirs[touched],
            "weights": self.weights[touched],
            "J_regressor": self.joint_regressor[:, touched],
            "eval_regressor": self.eval_regressor[:, touched],
            "parents": np.array(SMPL_PARENTS, np.int32),
        }

    @cached_property
    def _smplx(self) -> Any:
        """smplx's SMPL module with these arrays."""
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a warning about 10 betas
            from smplx import SMPL
            from smplx.utils import Struct
            from smplx.vertex_ids import vertex_ids

            model = SMPL(
                model_path="",
                data_struct=Struct(
                    v_template=self.v_template,
                    shapedirs=self.shapedirs,
                    posedirs=self.posedirs,
                    weights=self.weights,
                    J_regressor=self.joint_regressor,
                    kintree_table=np.array([SMPL_PARENTS, range(24)]),
                    f=self.faces,
                ),
                # smplx appends 21 named vertices of SMPL's mesh, which another mesh may not have;
                # forward() drops them.
                vertex_ids=dict.fromkeys(vertex_ids["smplh"], 0),
                create_betas=False,
                create_global_orient=False,
                create_body_pose=False,
                create_transl=False,
                gender=self.gender,
            )
        return model.eval()


@lru_cache(maxsize=1)
def kept_bodies(body: Path | None, joint_regressor: Path | None) -> dict[str, Body]:
    """Return the bodies from `load_bodies`, read once per process."""
    return load_bodies(body, joint_regressor)


def load_bodies(body: Path | None = None, joint_regressor: Path | None = None) -> dict[str, Body]:
    """Load the body models by gender: the user's (a file or folder) or, by default, the open ones.

    joint_regressor: .npy for SMPL's vertices with H36M's 17 or cocoplus's 19 rows, which replaces
    the files' own `eval_regressor`; the open bodies keep theirs.

    Raises:
        BadInput: a file is missing, damaged, malicious, or not in SMPL's layout.
    """
    if body is None:
        with resources.as_file(resources.files("datagen") / "assets" / "bodies") as folder:
            return {
                gender: _load(gender, path, None)
                for gender, path in find_body_files(folder).items()
            }
    files = find_body_files(Path(body))
    return {gender: _load(gender, path, joint_regressor) for gender, path in files.items()}


def neutral_or_first(bodies: dict[str, Body]) -> Body:
    """Return the neutral body, or else the first one, for uses that need a single body."""
    return bodies.get("neutral") or next(iter(bodies.values()))


def write_reduced(path: Path, body: Body) -> None:
    """Write a data set's body.npz (`Body.reduced`) atomically."""
    with whole(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **body.reduced())  # pyright: ignore[reportArgumentType]


def _load(gender: str, path: Path, joint_regressor: Path | None) -> Body:
    arrays = read_body_file(path)
    notes = []
    regressor, name = arrays.get("eval_regressor"), "the body file's own"
    if joint_regressor is not None:
        regressor, name = read_regressor(joint_regressor, len(arrays["v_template"]))
    elif regressor is None:
        regressor = kinematic_regressor(
            arrays["J_regressor"], arrays["weights"], arrays["v_template"]
        )
        name = KINEMATIC
        notes.append(
            f"{path.name}: the 14 evaluation joints are {name}; --joint-regressor FILE.npy (H36M "
            "or cocoplus) gives those of the benchmarks, which differ by about 40 mm"
        )
    has_uv = "vt" in arrays and "ft" in arrays
    return Body(
        gender=gender,
        faces=arrays["f"],
        uv=arrays["vt"] if has_uv else None,
        face_uv=arrays["ft"] if has_uv else None,
        weights=arrays["weights"],
        v_template=arrays["v_template"],
        shapedirs=arrays["shapedirs"],
        posedirs=arrays["posedirs"],
        joint_regressor=arrays["J_regressor"],
        eval_regressor=regressor,
        regressor_name=name,
        notes=tuple(notes),
    )
