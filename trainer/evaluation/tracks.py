"""Predictions of clips as motions: join the pieces of a track and add world coordinates.

Letters: L frames, J joints, S side of the crop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from trainer import geometry
from trainer.data.dataset import DataSet
from trainer.data.records import META
from trainer.evaluation.fitting import fitted
from trainer.evaluation.placement import steady
from trainer.evaluation.windows import PredictedClip, intrinsics
from trainer.model.body import BodyJoints

R_WORLD_CAMERA = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""AMASS's world has z up: x right, y away from a level camera."""

Arrays = dict[str, np.ndarray]


@dataclass
class OpenTrack:
    """The pieces of one track that have been read so far."""

    meta: dict[str, Any]
    parts: list[Arrays] = field(default_factory=list)
    length: int = 0


def tracks(
    clips: Iterable[PredictedClip], dataset: DataSet, body: BodyJoints
) -> Iterator[tuple[str, Arrays]]:
    """Yield (name, arrays as trainer.predict describes them) of each clip or whole track.

    A body is fitted to a joint head's joints, with one shape for the whole track.

    A record of footage says in its meta.json which of its frames are its own (`keep`) and how many
    its track has, and is joined with its neighbours. Tracks with missing pieces (a damaged shard)
    come last, with the frames that exist.
    """
    open_tracks: dict[str, OpenTrack] = {}
    used: set[str] = set()

    def close(track: OpenTrack, name: str) -> tuple[str, Arrays]:
        name = re.sub(r"[^\w.-]", "_", name)
        if name in used:  # two tracks of one name: the record distinguishes them
            name = f"{name}-{track.parts[0]['record'][0]}"
        used.add(name)
        joined = {
            key: np.concatenate([part[key] for part in track.parts]) for key in track.parts[0]
        }
        if "sigma" in joined:
            joined = with_body(joined, track.meta, dataset, body)
        return name, {**joined, **whole(joined, track.meta, dataset)}

    for clip in clips:
        meta = json.loads(clip.record.members.get(META, b"{}"))
        length = len(clip.arrays["occluded"])
        first, last = meta.get("keep", (0, length))
        piece = {name: value[first:last] for name, value in frames_of(clip, dataset, meta).items()}
        if "keep" not in meta:
            yield close(OpenTrack(meta, [piece]), clip.record.key)
            continue
        name = str(meta.get("track", meta.get("person", clip.record.key)))
        track = open_tracks.setdefault(name, OpenTrack(meta))
        track.parts.append(piece)
        track.length += last - first
        if track.length >= meta.get("track_frames", 0):
            yield close(open_tracks.pop(name), name)
    for name, track in open_tracks.items():
        yield close(track, name)


def frames_of(clip: PredictedClip, dataset: DataSet, meta: dict[str, Any]) -> Arrays:
    """Return a clip's arrays of each frame [L, ...]."""
    predicted, arrays = clip.prediction, clip.arrays
    length = len(arrays["occluded"])
    rate = float(meta.get("source_fps") or meta.get("fps", dataset.fps))
    out = {
        "joints": predicted["joints"].numpy(),
        "crop": arrays["crop"],
        "source": arrays["source"],
        "time": arrays["time"] if "time" in arrays else arrays["source"] / rate,
        "keypoints": arrays["joints2d"][:, list(dataset.keypoints)],
        "occluded": arrays["occluded"],
        "record": np.full(length, clip.record.key),
        "place": np.arange(length, dtype=np.int32),
        "K": np.broadcast_to(arrays["camera"], (length, 3, 3)),
    }
    if "sigma" in predicted:
        out["sigma"] = predicted["sigma"].numpy()
        out["rotations"] = predicted["rotations"].numpy()
        out["gravity"] = predicted["gravity"].numpy()
    elif "rotations" in predicted:
        pose = geometry.axis_angle_from_matrix(predicted["rotations"])
        out["pose"] = pose.flatten(1).numpy()
        out["joints2d"] = ((predicted["joints2d"] + 1) * dataset.image_size - 1).numpy() / 2
        out["shapes"] = predicted["betas"].numpy()
        out["camera"] = predicted["camera"].numpy()
    return out


def with_body(frames: Arrays, meta: dict[str, Any], dataset: DataSet, body: BodyJoints) -> Arrays:
    """Return a track's arrays, with those of the body fitted to its joints."""
    size = np.array(meta.get("size", (0, 0)), np.int32)
    k = intrinsics(frames["K"][0], size)
    fps = float(meta.get("fps", dataset.fps))
    found = fitted(body, frames, k, dataset.image_size, fps)
    kept = {name: value for name, value in frames.items() if name != "rotations"}
    gravity = frames["gravity"].mean(0)
    gravity = gravity / max(np.linalg.norm(gravity), 1e-6)
    return {**kept, "predicted": frames["joints"], "gravity": gravity, **found}


def whole(frames: Arrays, meta: dict[str, Any], dataset: DataSet) -> Arrays:
    """Return a track's arrays, with AMASS's arrays and the picture's size added."""
    size = np.array(meta.get("size", (0, 0)), np.int32)
    out = {
        "image_size": np.array(dataset.image_size),
        "size": size,
        "content": np.array(str(meta.get("content", ""))),
        "mocap_framerate": np.array(float(meta.get("fps", dataset.fps))),
        "names": np.array(dataset.joints if "pose" in frames else dataset.evaluation_names),
    }
    if "pose" not in frames:
        return out
    pelvis = frames["joints"][:, 0].astype(np.float64)
    trans = frames.get("trans")
    if trans is None:
        trans = translation(
            frames["camera"], frames["crop"], intrinsics(frames["K"][0], size), dataset.image_size
        )
        seen = torch.from_numpy(~frames["occluded"].astype(bool))
        fps = float(out["mocap_framerate"])
        trans = steady(torch.from_numpy(trans), seen, fps=fps).numpy()
    world = world_of(frames["gravity"]) if "gravity" in frames else R_WORLD_CAMERA
    poses, trans = into_world(frames["pose"], pelvis, trans, world)
    # The rest pelvis is linear in the shape, so the mean of the frames' is that of the mean shape.
    trans -= pelvis.mean(0)
    return {
        **out,
        "poses": np.concatenate([poses[:, :66], np.zeros((len(poses), 90))], 1).astype(np.float32),
        "trans": trans.astype(np.float32),
        "betas": frames["shapes"].mean(0),
        "gender": np.array("neutral"),
    }


def translation(
    camera: Float[np.ndarray, "l 3"],
    crop: Float[np.ndarray, "l 2 3"],
    k: Float[np.ndarray, "3 3"],
    size: int,
) -> Float[np.ndarray, "l 3"]:
    """Return SMPL's translation [L,3], metres, camera axes, that reprojects the body into the crop.

    The weak-perspective scale, in source pixels per metre, gives the depth at the focal length of
    k.

    Args:
        camera: s, tx, ty [L,3] in crop units.
        crop: [L,2,3] source pixels → crop pixels, a scale and a translation.
        k: K [3,3] of the source.
        size: S.
    """
    scale, shift = crop[:, [0, 1], [0, 1]].astype(np.float64), crop[:, :, 2]
    metre = size / 2 * camera[:, :1].astype(np.float64) / scale
    origin = ((size * (camera[:, :1] * camera[:, 1:] + 1) - 1) / 2 - shift) / scale
    focal, centre = k[[0, 1], [0, 1]], k[:2, 2]
    depth = (focal / metre).mean(1, keepdims=True)
    return np.concatenate([(origin - centre) * depth / focal, depth], 1)


def world_of(gravity: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """Return the rotation [3,3], camera → AMASS's world, in which gravity [3] points down (−z).

    The camera's x axis stays as level as possible; y is the viewing direction along the ground.
    """
    up = -gravity.astype(np.float64)
    right = np.array([1.0, 0.0, 0.0])
    right -= (right @ up) * up
    if np.linalg.norm(right) < 1e-3:  # a camera on its side
        return R_WORLD_CAMERA
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(up, right), up])


def into_world(
    pose: Float[np.ndarray, "l 72"],
    pelvis: Float[np.ndarray, "l 3"],
    trans: Float[np.ndarray, "l 3"],
    world: Float[np.ndarray, "3 3"] = R_WORLD_CAMERA,
) -> tuple[Float[np.ndarray, "l 72"], Float[np.ndarray, "l 3"]]:
    """Return pose [L,72] and pelvis position [L,3] in AMASS's world from those in camera axes.

    SMPL rotates a body about its rest pelvis [L,3], so that point, not trans [L,3], is rotated.
    """
    root = geometry.matrix_from_axis_angle(torch.from_numpy(pose[:, :3]).double())
    turned = geometry.axis_angle_from_matrix(torch.from_numpy(world) @ root)
    return np.concatenate([turned.numpy(), pose[:, 3:]], 1), (pelvis + trans) @ world.T
