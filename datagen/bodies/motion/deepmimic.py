"""DeepMimic's motion text: JSON frames of 44 numbers for its humanoid with 13 joints.

A frame has dt, root position, root quaternion (w first), then quaternions of chest, neck, hips,
ankles and shoulders and angles of knees and elbows (Peng et al. 2018, data/motions). Axes are x
forward, y up, z right, in metres. A clip whose `Loop` is `wrap` is one cycle of a periodic motion
and is repeated to at least LOOPED_SECONDS.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from datagen.bodies.motion import quaternion as quat
from datagen.bodies.motion.take import Take
from datagen.common.errors import BadInput

COLUMNS = 44
LOOPED_SECONDS = 4.0  # least duration of a repeated cycle; 100 frames need 3.3 s

# name: (parent, offset from it in metres, SMPL joint, first column, columns)
_JOINTS = {
    "root": (None, (0.0, 0.0, 0.0), 0, 4, 4),
    "chest": ("root", (0.0, 0.236151, 0.0), 9, 8, 4),
    "neck": ("chest", (0.0, 0.223894, 0.0), 15, 12, 4),
    "right_hip": ("root", (0.0, 0.0, 0.084887), 2, 16, 4),
    "right_knee": ("right_hip", (0.0, -0.421546, 0.0), 5, 20, 1),
    "right_ankle": ("right_knee", (0.0, -0.40987, 0.0), 8, 21, 4),
    "right_shoulder": ("chest", (-0.02405, 0.24398, 0.18311), 17, 25, 4),
    "right_elbow": ("right_shoulder", (0.0, -0.274788, 0.0), 19, 29, 1),
    "right_wrist": ("right_elbow", (0.0, -0.258947, 0.0), 21, 0, 0),
    "left_hip": ("root", (0.0, 0.0, -0.084887), 1, 30, 4),
    "left_knee": ("left_hip", (0.0, -0.421546, 0.0), 4, 34, 1),
    "left_ankle": ("left_knee", (0.0, -0.40987, 0.0), 7, 35, 4),
    "left_shoulder": ("chest", (-0.02405, 0.24398, -0.18311), 16, 39, 4),
    "left_elbow": ("left_shoulder", (0.0, -0.274788, 0.0), 18, 43, 1),
    "left_wrist": ("left_elbow", (0.0, -0.258947, 0.0), 20, 0, 0),
}


def read_deepmimic(path: Path) -> Take:
    """Return the take of one file.

    Raises BadInput for anything but finite frames of 44 numbers.
    """
    frames, wraps = _parse(path)
    steps = frames[:-1, 0]
    if steps.min() < 1e-3 or steps.max() > 1:
        raise BadInput(
            f"{path}: frame durations must lie between 0.001 and 1 s; repair or remove it"
        )
    times = np.concatenate([[0.0], np.cumsum(steps)])
    if wraps:
        frames, times = _repeat(frames, times)
    return _take(frames, times)


def _parse(path: Path) -> tuple[np.ndarray, bool]:
    wanted = f'a DeepMimic motion is {{"Loop": ..., "Frames": [[{COLUMNS} numbers], ...]}}'
    try:
        data = json.loads(path.read_bytes())
        frames = np.array(data["Frames"], dtype=np.float64)
        wraps = data.get("Loop", "none") == "wrap"
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as why:
        raise BadInput(f"{path}: not readable as DeepMimic motion ({wanted}): {why}") from why
    if frames.ndim != 2 or frames.shape[1] != COLUMNS or len(frames) < 2:
        raise BadInput(f"{path}: has frames of shape {frames.shape}; {wanted}, at least 2 frames")
    if not np.isfinite(frames).all() or np.abs(frames).max() > 1e4:
        raise BadInput(f"{path}: has NaN, infinite or absurd numbers; export it again")
    for name, (_, _, _, column, width) in _JOINTS.items():
        if width == 4 and np.linalg.norm(frames[:, column : column + 4], axis=1).min() < 0.1:
            raise BadInput(f"{path}: {name} has a zero quaternion; export it again")
    return frames, wraps


def _repeat(frames: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Append cycles, each continuing with the position and heading at the end of the last one."""
    cycle = times[-1]
    rounds = int(np.ceil(LOOPED_SECONDS / cycle))
    if rounds > 1:
        frames = _close(frames, times / cycle)
    all_frames, all_times = [frames], [times]
    for _ in range(rounds - 1):
        last = all_frames[-1][-1]
        turn = _heading(last[4:8]) - _heading(frames[0, 4:8])
        spin = quat.about(1, turn)
        following = frames[1:].copy()
        step = quat.rotate(spin, following[:, 1:4] - frames[0, 1:4])
        following[:, [1, 3]] = last[[1, 3]] + step[:, [0, 2]]
        turned = quat.multiply(spin, _w_last(following[:, 4:8]))
        following[:, 4:8] = turned[:, [3, 0, 1, 2]]
        all_frames.append(following)
        all_times.append(times[1:] + all_times[-1][-1])
    return np.concatenate(all_frames), np.concatenate(all_times)


def _close(frames: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the cycle with its last third blended smoothly into its first pose."""
    frames = frames.copy()
    turn = _heading(frames[-1, 4:8]) - _heading(frames[0, 4:8])
    goal = frames[0].copy()
    goal[[1, 3]] = frames[-1, [1, 3]]
    goal[4:8] = quat.multiply(quat.about(1, turn), _w_last(frames[0, 4:8]))[[3, 0, 1, 2]]
    for _, _, _, column, width in _JOINTS.values():
        if width == 4:  # consistent signs of the quaternions
            part = slice(column, column + 4)
            frames[:, part] = quat.continuous(frames[:, part])
            goal[part] *= np.sign(goal[part] @ frames[-1, part]) or 1.0
    ramp = np.clip((share - 0.67) / 0.33, 0.0, 1.0)[:, None]
    frames[:, 1:] += ramp**2 * (3.0 - 2.0 * ramp) * (goal - frames[-1])[1:]
    return frames


def _heading(root: np.ndarray) -> float:
    """Return the angle about y by which the root quaternion (w first) rotates the forward axis."""
    forward = quat.rotate(quat.normalise(_w_last(root)), np.array([1.0, 0.0, 0.0]))
    return float(np.arctan2(-forward[2], forward[0]))


def _take(frames: np.ndarray, times: np.ndarray) -> Take:
    names = list(_JOINTS)
    count = len(frames)
    rest = np.zeros((len(names), 3))
    rotations = np.empty((count, len(names), 4))
    positions = np.empty((count, len(names), 3))
    for index, (parent, offset, _, column, width) in enumerate(_JOINTS.values()):
        if width == 4:
            local = quat.normalise(_w_last(frames[:, column : column + 4]))
        elif width == 1:
            local = quat.about(2, frames[:, column])
        else:
            local = np.broadcast_to(quat.IDENTITY, (count, 4))
        if parent is None:
            rotations[:, index], positions[:, index] = local, frames[:, 1:4]
            continue
        above = names.index(parent)
        rest[index] = rest[above] + offset
        rotations[:, index] = quat.multiply(rotations[:, above], local)
        bone = quat.rotate(rotations[:, above], np.array(offset))
        positions[:, index] = positions[:, above] + bone
    roles = {smpl: index for index, (_, _, smpl, _, _) in enumerate(_JOINTS.values())}
    return Take(rest=rest, rotations=rotations, positions=positions, times=times, roles=roles)


def _w_last(q: np.ndarray) -> np.ndarray:
    return q[..., [1, 2, 3, 0]]
