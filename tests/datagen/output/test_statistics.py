"""A shard's statistics against their plain definitions, and the sum of shards against the whole."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from datagen.common import record
from datagen.output.statistics import FLEXION_BINS, FOLLOWED, YAW_BINS, Statistics, total

T = 6


def a_clip(rng: np.random.Generator, *, pose=None, joints=None) -> SimpleNamespace:
    return SimpleNamespace(
        visibility=rng.integers(0, 3, (T, 38)).astype(np.uint8),
        occluded=(rng.random(T) < 0.5).astype(np.uint8),
        offsets=np.cumsum(rng.normal(size=(T, 2)), axis=0).astype(np.float32),
        pose=rng.normal(size=(T, 72)).astype(np.float32) if pose is None else pose,
        joints3d=rng.normal(size=(T, 38, 3)).astype(np.float32) if joints is None else joints,
        joints2d=rng.uniform(-5, 69, size=(T, 38, 3)).astype(np.float32),
        frames=np.zeros((T + 1, 64, 64, 3), np.uint8),
    )


def a_flow(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(scale=3, size=(T, 2, 5, 7)).astype(np.float16)


def a_person(gender: str = "male", tone: int | None = 3) -> SimpleNamespace:
    return SimpleNamespace(
        meta={"gender": gender, "look": {} if tone is None else {"skin_tone": tone}}
    )


def test_shares_and_flow_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    statistics, speeds, clips = Statistics(), [], []
    for _ in range(3):
        clip, flow = a_clip(rng), a_flow(rng)
        statistics.add(a_person(), clip, flow)
        speeds.append(np.linalg.norm(flow.astype(float), axis=1))
        clips.append(clip)
    line = json.loads(json.dumps(statistics.line()))
    speed = np.stack(speeds)
    assert line["flow"]["mean"] == pytest.approx(speed.mean(), abs=1e-4)
    for share in (50, 95):  # to a float16's precision
        expected = np.quantile(speed, share / 100, method="inverted_cdf")
        assert line["flow"][f"p{share}"] == pytest.approx(expected, rel=1e-3)
    limbs = [record.JOINTS.index(name) for name in record.KEYPOINTS]
    seen = np.stack([clip.visibility[:, limbs] for clip in clips])
    for code, name in enumerate(("off_frame", "occluded", "visible")):
        assert line[name] == pytest.approx((seen == code).mean(), abs=1e-4)
    hidden = np.mean([clip.occluded for clip in clips])
    assert line["totally_occluded"] == pytest.approx(hidden, abs=1e-4)
    steps = [np.linalg.norm(np.diff(clip.offsets, axis=0), axis=1) for clip in clips]
    assert line["camera_step"] == pytest.approx(np.mean(steps), abs=1e-4)
    assert line["people"] == {"gender male": 3, "skin tone 3": 3}


@pytest.mark.parametrize(("degrees", "expected"), [(0, 0), (90, 2), (180, 4), (-90, 6), (50, 1)])
def test_yaw_counts_from_facing_the_camera_to_the_pictures_right(degrees, expected) -> None:
    # An upright SMPL body before the camera (y down, z away), turned about the vertical.
    upright = Rotation.from_euler("x", 180, degrees=True)
    turned = Rotation.from_euler("y", -degrees, degrees=True) * upright
    facing = turned.apply([0, 0, 1])
    wanted = [np.sin(np.radians(degrees)), 0, -np.cos(np.radians(degrees))]
    np.testing.assert_allclose(facing, wanted, atol=1e-12)
    pose = np.zeros((T, 72), np.float32)
    pose[:, :3] = turned.as_rotvec()
    rng = np.random.default_rng(0)
    statistics = Statistics()
    statistics.add(a_person(), a_clip(rng, pose=pose), a_flow(rng))
    counts = statistics.line()["coverage"]["yaw"]
    assert len(counts) == YAW_BINS and counts[expected] == T == sum(counts)


@pytest.mark.parametrize("degrees", [5, 45, 95, 170])
def test_flexion_counts_both_sides(degrees: int) -> None:
    bend = np.radians(degrees)
    joints = np.zeros((T, 38, 3), np.float32)
    for side in ("left", "right"):
        shoulder, elbow, wrist = (
            record.JOINTS.index(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist")
        )
        joints[:, shoulder] = 0, 0, 0
        joints[:, elbow] = 0.3, 0, 0
        joints[:, wrist] = joints[:, elbow] + [0.25 * np.cos(bend), 0.25 * np.sin(bend), 0]
    rng = np.random.default_rng(0)
    statistics = Statistics()
    statistics.add(a_person(), a_clip(rng, joints=joints), a_flow(rng))
    counts = statistics.line()["coverage"]["elbow"]
    assert len(counts) == FLEXION_BINS and counts[degrees // 30] == 2 * T == sum(counts)


def test_flow_is_compared_with_the_motion_of_keypoints_that_are_clear_there() -> None:
    """In the left half a scene moves by one path, in the right by another; ankles are right."""
    rng = np.random.default_rng(3)
    paths = rng.integers(-2, 3, (2, T, 2))
    clip = a_clip(rng)
    clip.visibility[:] = 2
    clip.occluded[:] = 0
    ankles = [i for i, name in enumerate(record.JOINTS) if name.endswith("ankle")]
    side = np.zeros(38, int)
    side[ankles] = 1
    start = np.where(side[:, None], [48, 32], [16, 32])
    moved = np.cumsum(paths, axis=1) - paths  # [2,T,2], zero at first
    clip.joints2d[..., :2] = start + moved[side].swapaxes(0, 1)
    flow = np.zeros((T, 2, 16, 16), np.float16)
    flow[..., :8], flow[..., 8:] = paths[0][:, :, None, None], paths[1][:, :, None, None]

    def shares(flow: np.ndarray) -> dict[str, float]:
        statistics = Statistics()
        statistics.add(a_person(), clip, flow)
        sums = statistics.line()["followed"]
        return {name: 1 - error / motion for name, (error, motion) in sums.items()}

    assert shares(flow) == dict.fromkeys(FOLLOWED, 1.0)
    assert shares(flow * 0) == dict.fromkeys(FOLLOWED, 0.0)
    assert shares(np.roll(flow, 1, axis=0))["hip"] < 0.5  # a frame late
    assert shares(flow[:, ::-1])["hip"] < 0.5  # x for y
    assert shares(flow[..., ::-1])["ankle"] < 0.5  # in a mirror
    flow[2] = 9  # the flow from frame 2, in which nobody is to be seen
    assert shares(flow)["ankle"] < 0.5
    clip.occluded[2] = 1
    assert shares(flow) == dict.fromkeys(FOLLOWED, 1.0)


def test_lines_of_shards_add_up_to_the_data_set() -> None:
    rng = np.random.default_rng(1)
    whole, lines = Statistics(), []
    for clips in (1, 3):
        part = Statistics()
        for index in range(clips):
            args = (
                a_person("female" if index else "male", index or None),
                a_clip(rng),
                a_flow(rng),
            )
            part.add(*args)
            whole.add(*args)
        lines.append({"clips": clips, "statistics": json.loads(json.dumps(part.line()))})
    found, expected = total(lines), whole.line()
    assert found["people"] == expected["people"]
    assert found["coverage"] == expected["coverage"]
    for name in FOLLOWED:
        np.testing.assert_allclose(found["followed"][name], expected["followed"][name], atol=2e-3)
    for name in ("visible", "occluded", "totally_occluded", "camera_step"):
        assert found[name] == pytest.approx(expected[name], abs=2e-4)
    assert found["flow"]["mean"] == pytest.approx(expected["flow"]["mean"], abs=2e-4)
    assert total([]) == {}
