"""A moving body as binary glTF 2.0: one skinned mesh, 24 joints, one rotation per joint and frame.

glTF cannot express SMPL's pose-dependent corrections (posedirs; the embedded bodies have none) or a
shape that changes over time (the mean shape is used). Weights come in sets of four joints, the
largest first. A viewer that reads only the first set, such as three.js, shows SMPL's own bodies
exactly; the embedded ones, with up to seven joints per vertex, are off by millimetres.

L frames, V vertices.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from datagen.bodies.smpl.mesh import Mesh
from datagen.bodies.smpl.model import Body
from datagen.common.record import SMPL_JOINTS, SMPL_PARENTS
from datagen.replay.mesh_painter import COLOUR
from datagen.replay.world import WorldMotion, continuous

FLOAT, USHORT, UBYTE, UINT = 5126, 5123, 5121, 5125
ARRAY, ELEMENTS = 34962, 34963
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
TYPES = {np.dtype("<f4"): FLOAT, np.dtype("<u2"): USHORT, np.dtype("u1"): UBYTE,
         np.dtype("<u4"): UINT}  # fmt: skip


def of_motion(body: Body, motion: WorldMotion) -> bytes:
    """Return a motion as a .glb, in a world with y up."""
    turned = motion.y_up(body)
    return animated(body, turned.pose, turned.betas, turned.trans, turned.times)


def animated(
    body: Body, pose: np.ndarray, betas: np.ndarray, trans: np.ndarray, times: np.ndarray
) -> bytes:
    """Return a .glb of a body in motion.

    Args: pose [L,72] axis-angle, betas [10], trans [L,3] metres, as for SMPL's forward pass, in a
    world with y up; times [L] of the frames, seconds.
    """
    file = _File()
    rest = body.rest_joints(betas).astype(np.float64)
    bones = range(len(SMPL_JOINTS))
    nodes: list[dict[str, Any]] = []
    for bone in bones:
        parent = SMPL_PARENTS[bone]
        offset = rest[bone] - (rest[parent] if parent >= 0 else 0)
        children = [child for child in bones if SMPL_PARENTS[child] == bone]
        node = {"name": SMPL_JOINTS[bone], "translation": offset.tolist(), "children": children}
        nodes.append({key: value for key, value in node.items() if value != []})
    nodes.append({"name": "body", "mesh": 0, "skin": 0})

    unbind = np.tile(np.eye(4), (len(rest), 1, 1))
    unbind[:, :3, 3] = -rest
    skin = {
        "joints": list(bones),
        "skeleton": 0,
        "inverseBindMatrices": file.add(unbind.transpose(0, 2, 1).reshape(-1, 16)),  # column-major
    }
    return file.finish(
        scene=0,
        scenes=[{"nodes": [0, len(nodes) - 1]}],
        nodes=nodes,
        skins=[skin],
        meshes=[{"primitives": [_surface(file, body, betas)]}],
        materials=[
            {
                "name": "skin",
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*(COLOUR**2.2).tolist(), 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.7,
                },
            }
        ],
        animations=[_animation(file, pose, rest[0] + trans, times)],
    )


def _surface(file: _File, body: Body, betas: np.ndarray) -> dict[str, Any]:
    """Return the mesh primitive of the rest surface with its skinning."""
    vertices = body.rest_vertices(betas)
    attributes = {
        "POSITION": file.add(vertices, ARRAY, bounds=True),
        "NORMAL": file.add(Mesh(body.faces, len(vertices)).normals(vertices), ARRAY),
    }
    most = int((body.weights > 0).sum(1).max())
    order = np.argsort(-body.weights, axis=1, kind="stable")[:, : -(-most // 4) * 4]
    weights = np.take_along_axis(body.weights.astype(np.float64), order, 1)
    weights /= weights.sum(1, keepdims=True)
    order[weights == 0] = 0  # as the standard requires for joints without weight
    for number in range(order.shape[1] // 4):
        part = slice(4 * number, 4 * number + 4)
        attributes[f"JOINTS_{number}"] = file.add(order[:, part].astype("u1"), ARRAY)
        attributes[f"WEIGHTS_{number}"] = file.add(weights[:, part], ARRAY)
    kind = "<u2" if len(vertices) < 65535 else "<u4"
    faces = file.add(body.faces.reshape(-1, 1).astype(kind), ELEMENTS)
    return {"attributes": attributes, "indices": faces, "material": 0}


def _animation(file: _File, pose: np.ndarray, pelvis: np.ndarray, at: np.ndarray) -> dict[str, Any]:
    """Return the animation: every joint's rotation, and the pelvis's path [L,3]."""
    length = len(pose)
    times = file.add(np.asarray(at)[:, None], bounds=True)
    turns = Rotation.from_rotvec(pose.reshape(-1, 3)).as_quat().reshape(length, -1, 4)
    turns = continuous(turns)  # viewers interpolate
    tracks = [("translation", 0, pelvis)]
    tracks += [("rotation", bone, turns[:, bone]) for bone in range(turns.shape[1])]
    return {
        "name": "motion",
        "samplers": [
            {"input": times, "output": file.add(values), "interpolation": "LINEAR"}
            for _, _, values in tracks
        ],
        "channels": [
            {"sampler": number, "target": {"node": node, "path": path}}
            for number, (path, node, _) in enumerate(tracks)
        ],
    }


class _File:
    """The binary part of a .glb and its accessors."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, array: np.ndarray, target: int | None = None, *, bounds: bool = False) -> int:
        """Append an array [N, components], floats in single precision; return its accessor."""
        if array.dtype.kind == "f":
            array = array.astype("<f4")
        array = np.ascontiguousarray(array)
        view: dict[str, Any] = {
            "buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes
        }  # fmt: skip
        if target is not None:
            view["target"] = target
        accessor: dict[str, Any] = {
            "bufferView": len(self.views),
            "componentType": TYPES[array.dtype],
            "count": len(array),
            "type": KINDS[array.shape[1]],
        }
        if bounds:
            accessor |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        self.data += array.tobytes()
        self.data += bytes(-len(self.data) % 4)
        self.views.append(view)
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def finish(self, **parts: Any) -> bytes:
        """Return the complete .glb."""
        content = {
            "asset": {"version": "2.0", "generator": "motion-hmr"},
            **parts,
            "buffers": [{"byteLength": len(self.data)}],
            "bufferViews": self.views,
            "accessors": self.accessors,
        }
        text = json.dumps(content, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self.data), b"BIN\0") + bytes(self.data)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
