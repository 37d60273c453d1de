"""Statistics of a shard's content, stored in its manifest line.

Shares are means over clips. Coverage and people are counts, so the shards' lines can be added up.
"""

# T frames, J joints, h w cells of the flow

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from datagen.common import record
from datagen.common.record import BEHIND, CLEAR, OFF_FRAME, Line

if TYPE_CHECKING:
    from datagen.bodies.storage import Person
    from datagen.clips.compose import Clip


YAW_BINS = 8  # of 45°; the first is centred on facing the camera, the third on facing image right
FLEXION_BINS = 6  # of 30°, from straight to fully folded
FLEXION = {
    "elbow": (("shoulder", "elbow"), ("elbow", "wrist")),
    "knee": (("hip", "knee"), ("knee", "ankle")),
    "hip": (("neck", "pelvis"), ("hip", "knee")),
}
"""The two bones whose angle is the joint's flexion, each given as (start joint, end joint)."""

FOLLOWED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
"""Keypoints, left and right pooled, whose motion is compared with the flow at their position."""

_KEYPOINTS = [record.JOINTS.index(name) for name in record.KEYPOINTS]
_FLOAT16_CODES = 0x7C01  # bit patterns of non-negative float16 up to infinity, in numeric order


@dataclass
class Statistics:
    """Sums over the clips of a shard."""

    clips: int = 0
    sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    speeds: np.ndarray = field(default_factory=lambda: np.zeros(_FLOAT16_CODES, np.int64))
    """Count of each float16 flow magnitude, which gives exact quantiles in constant memory."""
    coverage: dict[str, np.ndarray] = field(default_factory=dict)
    followed: np.ndarray = field(default_factory=lambda: np.zeros((len(FOLLOWED), 2)))
    """Σ|flow - motion|² and Σ|motion|² for each kind of keypoint, px²."""
    people: Counter[str] = field(default_factory=Counter)

    def add(self, person: Person, clip: Clip, flow: np.ndarray) -> None:
        """Count one clip; `flow` [T,2,h,w] is the estimate before total occlusion zeroes it."""
        speed = np.hypot(*flow.astype(np.float32).swapaxes(0, 1))
        codes = speed.astype(np.float16).view(np.uint16).ravel()
        self.speeds += np.bincount(codes, minlength=_FLOAT16_CODES)
        seen = clip.visibility[:, _KEYPOINTS]
        steps = np.linalg.norm(np.diff(clip.offsets, axis=0), axis=1)
        shares = {
            "flow_mean": speed.mean(dtype=np.float64),
            "visible": (seen == CLEAR).mean(),
            "occluded": (seen == BEHIND).mean(),
            "off_frame": (seen == OFF_FRAME).mean(),
            "totally_occluded": clip.occluded.mean(),
            "camera_step": steps.mean(dtype=np.float64),
            "camera_drift": np.linalg.norm(clip.offsets[-1] - clip.offsets[0]),
        }
        for name, value in shares.items():
            self.sums[name] += float(value)
        for name, counts in coverage(clip.pose, clip.joints3d).items():
            self.coverage[name] = self.coverage.get(name, 0) + counts
        self.followed += _followed(clip, flow)
        self.people["gender " + str(person.meta["gender"])] += 1
        if "skin_tone" in (look := person.meta.get("look", {})):
            self.people[f"skin tone {look['skin_tone']}"] += 1
        self.clips += 1

    def line(self) -> Line:
        """Return the shard's statistics, ready for JSON.

        Flow is in crop pixels per frame. Camera step and drift (of the person, caused by the
        camera) are in frame pixels. visible, occluded and off_frame are shares of the keypoints,
        totally_occluded is a share of the frames. `followed` is the input of `shown_motion`.
        """
        means = {name: round(total / self.clips, 4) for name, total in self.sums.items()}
        flow = {"mean": means.pop("flow_mean")}
        flow |= {f"p{share}": _quantile(self.speeds, share / 100) for share in (50, 95)}
        return {
            "flow": flow,
            **means,
            "coverage": {name: counts.tolist() for name, counts in self.coverage.items()},
            "followed": {
                name: [round(value, 3) for value in sums]
                for name, sums in zip(FOLLOWED, self.followed.tolist(), strict=True)
            },
            "people": dict(sorted(self.people.items())),
        }


def total(lines: Iterable[Line]) -> Line:
    """Return the statistics of a data set from its shards' manifest lines; {} if it has no clips.

    Shares, the flow's mean and counts are exact; the flow's quantiles are means over shards.
    """
    lines = [line for line in lines if line["clips"]]
    if not lines:
        return {}
    weights = np.array([line["clips"] for line in lines])
    parts = [line["statistics"] for line in lines]

    def means(parts: list[Line]) -> Line:
        names = (name for name, value in parts[0].items() if isinstance(value, float))
        return {
            name: round(float(weights @ [part[name] for part in parts] / weights.sum()), 4)
            for name in names
        }

    return {
        "flow": means([part["flow"] for part in parts]),
        **means(parts),
        "coverage": counts([part["coverage"] for part in parts]),
        "followed": {
            name: np.sum([part["followed"][name] for part in parts], axis=0).tolist()
            for name in parts[0].get("followed", {})
            if all("followed" in part for part in parts)  # not in older data sets
        },
        "people": dict(sorted(sum((Counter(part["people"]) for part in parts), Counter()).items())),
    }


def counts(parts: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, list[int]]:
    """Return the sum of several shards' counts per bin."""
    return {name: np.sum([part[name] for part in parts], axis=0).tolist() for name in parts[0]}


def shown_motion(followed: Mapping[str, Sequence[float] | np.ndarray]) -> dict[str, float]:
    """Return the share of each kind of keypoint's motion that the flow explains, if any moves.

    1 - Σ|flow - motion|² / Σ|motion|², from the sums in a line's `followed`; below 0 if zero flow
    would be closer.
    """
    return {name: float(1 - error / motion) for name, (error, motion) in followed.items() if motion}


def _followed(clip: Clip, flow: np.ndarray) -> np.ndarray:
    """Return a clip's Σ|flow - motion|² and Σ|motion|² for each kind of keypoint [K,2], px².

    Sums over pairs of consecutive frames, neither totally occluded, of keypoints visible in both.
    Self-occluded keypoints are included, because they cannot be distinguished.
    """
    height, width = flow.shape[2:]
    side = clip.frames.shape[1]
    shown = clip.occluded == 0
    clear = (clip.visibility == CLEAR) & shown[:, None]
    sums = np.zeros((len(FOLLOWED), 2))
    for kind, name in enumerate(FOLLOWED):
        joints = [i for i in _KEYPOINTS if record.JOINTS[i].endswith(name)]
        place = clip.joints2d[:, joints, :2]
        frame, joint = np.nonzero(clear[:-1, joints] & clear[1:, joints])
        x, y = place[frame, joint].T
        column = np.clip((x + 0.5) * width / side, 0, width - 1).astype(int)
        row = np.clip((y + 0.5) * height / side, 0, height - 1).astype(int)
        motion = (place[frame + 1, joint] - place[frame, joint]).astype(np.float64)
        error = flow[frame, :, row, column].astype(np.float64) - motion
        sums[kind] = (error**2).sum(), (motion**2).sum()
    return sums


def coverage(
    pose: Float[np.ndarray, "t 72"], joints: Float[np.ndarray, "t j 3"]
) -> dict[str, np.ndarray]:
    """Return the number of frames in each bin of yaw and flexion (both sides of the body).

    Args:
        pose: [T,72] axis-angle; SMPL's body faces its own +z, the camera's +z points forward.
        joints: [T,J,3] metres, camera frame.
    """
    # Facing direction: the third column of the global orient's rotation matrix (Rodrigues).
    angle = np.linalg.norm(pose[:, :3], axis=1, keepdims=True)
    x, y, z = (pose[:, :3] / np.maximum(angle, 1e-9)).T
    sin, cos = np.sin(angle[:, 0]), np.cos(angle[:, 0])
    facing_x, facing_z = x * z * (1 - cos) + y * sin, cos + z * z * (1 - cos)
    yaw = np.degrees(np.arctan2(facing_x, -facing_z))
    width = 360 / YAW_BINS
    bins = np.floor((yaw + width / 2) / width).astype(int) % YAW_BINS
    counts = {"yaw": np.bincount(bins, minlength=YAW_BINS)}
    for name, bones in FLEXION.items():
        left, right = (
            _flexion_counts(*(_bone(joints, side, *bone) for bone in bones))
            for side in ("left", "right")
        )
        counts[name] = left + right
    return counts


def _bone(joints: np.ndarray, side: str, start: str, end: str) -> np.ndarray:
    ends = (name if name in record.JOINTS else f"{side}_{name}" for name in (start, end))
    a, b = (record.JOINTS.index(name) for name in ends)
    return joints[:, b] - joints[:, a]


def _flexion_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the number of angles between vectors a and b [T,3] in each bin."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cos = np.clip((a * b).sum(axis=1) / np.maximum(lengths, 1e-9), -1, 1)
    bins = np.degrees(np.arccos(cos)) // (180 / FLEXION_BINS)
    return np.bincount(np.minimum(bins, FLEXION_BINS - 1).astype(int), minlength=FLEXION_BINS)


def _quantile(counts: np.ndarray, share: float) -> float:
    """Return the float16 quantile at `share` of the counted values (nearest rank)."""
    rank = max(1, int(np.ceil(share * counts.sum())))
    code = int(np.searchsorted(np.cumsum(counts), rank))
    return round(float(np.array(code, np.uint16).view(np.float16)), 4)
