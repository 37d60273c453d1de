"""The animated mesh, skinned by the file's own numbers, is the body."""

import json
import struct

import numpy as np
from predictions import maps_of, prediction, saved
from scipy.spatial.transform import Rotation

from datagen.replay import gltf, world


def gltf_parts(data: bytes) -> tuple[dict, list[np.ndarray]]:
    """Return the JSON of a .glb and the arrays of its accessors."""
    magic, version, length, size, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON")
    metadata = json.loads(data[20 : 20 + size])
    binary = data[28 + size :]
    arrays = []
    for accessor in metadata["accessors"]:
        view = metadata["bufferViews"][accessor["bufferView"]]
        dtype = {5126: "<f4", 5123: "<u2", 5121: "u1", 5125: "<u4"}[accessor["componentType"]]
        wide = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor["type"]]
        count = accessor["count"] * wide
        arrays.append(np.frombuffer(binary, dtype, count, view["byteOffset"]).reshape(-1, wide))
    return metadata, arrays


def skinned(metadata: dict, arrays: list[np.ndarray], frame: int, sets: int) -> np.ndarray:
    """Return the vertices [V,3] that a glTF viewer of some sets of weights shows in a frame."""
    local = [np.eye(4) for _ in metadata["nodes"]]
    for node, matrix in zip(metadata["nodes"], local, strict=True):
        matrix[:3, 3] = node.get("translation", [0, 0, 0])
    animation = metadata["animations"][0]
    for channel in animation["channels"]:
        values = arrays[animation["samplers"][channel["sampler"]]["output"]][frame]
        matrix = local[channel["target"]["node"]]
        if channel["target"]["path"] == "rotation":
            matrix[:3, :3] = Rotation.from_quat(values).as_matrix()
        else:
            matrix[:3, 3] = values
    world: dict[int, np.ndarray] = {}

    def walk(node: int, above: np.ndarray) -> None:
        world[node] = above @ local[node]
        for child in metadata["nodes"][node].get("children", []):
            walk(child, world[node])

    for root in metadata["scenes"][0]["nodes"]:
        walk(root, np.eye(4))
    skin = metadata["skins"][0]
    unbind = arrays[skin["inverseBindMatrices"]].reshape(-1, 4, 4).transpose(0, 2, 1)
    bones = np.stack([world[j] @ m for j, m in zip(skin["joints"], unbind, strict=True)])
    names = metadata["meshes"][0]["primitives"][0]["attributes"]
    joints = np.concatenate([arrays[names[f"JOINTS_{i}"]] for i in range(sets)], 1)
    weights = np.concatenate([arrays[names[f"WEIGHTS_{i}"]] for i in range(sets)], 1)
    weights = weights / weights.sum(1, keepdims=True)  # as three.js does
    rest = arrays[names["POSITION"]]
    matrices = np.einsum("vk,vkij->vij", weights, bones[joints])
    return np.einsum("vij,vj->vi", matrices, np.c_[rest, np.ones(len(rest))])[:, :3]


def test_the_mesh_moves_as_the_body_does(body):
    rng = np.random.default_rng(5)
    pose, betas = rng.normal(0, 0.5, (4, 72)), rng.normal(0, 1, 10)
    trans = rng.normal(0, 1, (4, 3))
    at = np.array([0, 0.04, 0.08, 0.2])
    metadata, arrays = gltf_parts(gltf.animated(body, pose, betas, trans, at))
    expected, _ = body.forward(pose, betas, trans)
    few = []
    for frame in range(4):
        np.testing.assert_allclose(skinned(metadata, arrays, frame, 2), expected[frame], atol=1e-4)
        few.append(np.linalg.norm(skinned(metadata, arrays, frame, 1) - expected[frame], axis=1))
    assert np.mean(few) < 1e-3 and np.max(few) < 0.03  # metres, for viewers of four weights
    primitive = metadata["meshes"][0]["primitives"][0]
    assert np.array_equal(arrays[primitive["indices"]].reshape(-1, 3), body.faces)
    times = arrays[metadata["animations"][0]["samplers"][0]["input"]].ravel()
    np.testing.assert_allclose(times, at)


def test_a_predicted_mesh_stands_upright_on_the_ground(body, tmp_path):
    upright = np.zeros((3, 72))
    upright[:, 0] = np.pi  # a camera's y points down
    made = prediction(upright, np.zeros((3, 10)), np.tile([0.9, 0, 0], (3, 1)), maps_of(
        np.ones(3), np.zeros((3, 2))
    ))  # fmt: skip
    # y down to z up, as trainer.predict turns it
    made["poses"][:, :3] = Rotation.from_euler("x", 90, degrees=True).as_rotvec()
    motion = world.of_prediction(saved(tmp_path / "x.npz", made), body)
    metadata, arrays = gltf_parts(gltf.of_motion(body, motion))
    shown = skinned(metadata, arrays, 0, 2)
    assert abs(shown[:, 1].min()) < 1e-4 and 1.4 < shown[:, 1].max() < 2
    assert np.abs(shown[:, [0, 2]].mean(0)).max() < 0.2
