"""Damaged motion files cost themselves only: a usable Motion or BadInput, never anything else."""

import io
import json
import warnings

import numpy as np
import pytest
from motion_files import REST, bvh_text, deepmimic_frame

from datagen.bodies.motion.sources import find_motions, load_motion
from datagen.common.errors import BadInput

ASF = """:version 1.10
:units
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
BONES:hierarchy
  begin
    root lhipjoint rhipjoint lowerback
    lhipjoint lfemur
    lfemur ltibia
    ltibia lfoot
    rhipjoint rfemur
    rfemur rtibia
    rtibia rfoot
    lowerback upperback
    upperback thorax
    thorax lowerneck lclavicle rclavicle
    lowerneck head
    lclavicle lhumerus
    lhumerus lradius
    lradius lhand
    rclavicle rhumerus
    rhumerus rradius
    rradius rhand
  end
"""
BONES = {
    "lowerback": (0, 1, 0), "upperback": (0, 1, 0), "thorax": (0, 1, 0), "lowerneck": (0, 1, 0),
    "head": (0, 1, 0),
    **{
        f"{side}{bone}": (sign * x, y, z)
        for side, sign in (("l", 1), ("r", -1))
        for bone, (x, y, z) in {
            "hipjoint": (0.6, -0.8, 0), "femur": (0.34, -0.94, 0), "tibia": (0.34, -0.94, 0),
            "foot": (0, -0.2, 0.98), "clavicle": (0.9, 0.4, 0), "humerus": (1, 0, 0),
            "radius": (1, 0, 0), "hand": (1, 0, 0),
        }.items()
    },
}  # fmt: skip


def asf_text():
    blocks = [
        f"  begin\n     id {number}\n     name {name}\n     direction {x} {y} {z}\n"
        f"     length 3.5\n     axis 0 0 20 XYZ\n    dof rx ry rz\n  end\n"
        for number, (name, (x, y, z)) in enumerate(BONES.items(), start=1)
    ]
    return ASF.replace("BONES", "".join(blocks))


def amc_text(frames=9):
    rows = [":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(1, frames + 1):
        rows += [str(frame), "root 0 17 0 0 0 0"] + [f"{name} 5 0 {frame}" for name in BONES]
    return "\n".join(rows) + "\n"


def npz_bytes(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def originals():
    poses = np.random.default_rng(0).normal(0, 0.3, (9, 156))
    frames = [deepmimic_frame(_1=0.1 * k).tolist() for k in range(6)]
    return {
        "a.bvh": bvh_text(frames=4).encode(),
        "01.asf": asf_text().encode(),
        "01_01.amc": amc_text().encode(),
        "b.txt": json.dumps({"Loop": "wrap", "Frames": frames}).encode(),
        "c_poses.npz": npz_bytes(poses=poses, trans=poses[:, :3], mocap_framerate=120.0),
        "smpl_data.npz": npz_bytes(pose_01_01=poses[:, :72], trans_01_01=poses[:, :3]),
    }


EVIL = [b"nan", b"inf", b"-1", b"0", b"1e308", b"999999999999", b"}", b"{", b"[", b"null", b"\xff"]


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file once to four times."""
    for _ in range(rng.integers(1, 5)):
        if not data:
            break
        at = int(rng.integers(len(data)))
        to = min(len(data), at + int(rng.integers(1, 60)))
        kind = rng.integers(7)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data = data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :]
        elif kind == 2:
            data = data[:at] + data[to:]
        elif kind == 3:
            data = data[:at] + data[at:to] * 3 + data[to:]
        elif kind == 4:
            data = data[:at] + rng.bytes(int(rng.integers(1, 20))) + data[at:]
        else:  # replace a whole word
            words = data.split(b" ")
            words[int(rng.integers(len(words)))] = EVIL[int(rng.integers(len(EVIL)))]
            data = b" ".join(words)
    return data


def attack(folder, rounds, seed):
    """Return how many of the damaged files were refused."""
    rng = np.random.default_rng(seed)
    whole = originals()
    refused = 0
    for number in range(rounds):
        victim = list(whole)[number % len(whole)]
        needed = {victim, "01.asf", "01_01.amc"} if victim.startswith("01") else {victim}
        place = folder / f"{number}"
        place.mkdir()
        for name in needed:
            (place / name).write_bytes(whole[name])
        (place / victim).write_bytes(mutate(whole[victim], rng))
        try:
            for source in find_motions(place):
                motion = load_motion(source, REST)
                assert np.isfinite(motion.pose).all() and np.isfinite(motion.trans).all()
                assert motion.pose.shape == (len(motion.trans), 72) and len(motion.trans) >= 2
        except BadInput as refusal:
            refused += 1
            assert str(place) in str(refusal), "the refusal names the file"
    return refused


def test_the_undamaged_files_load(tmp_path):
    for name, data in originals().items():
        (tmp_path / name).write_bytes(data)
    sources = find_motions(tmp_path)
    assert len(sources) == 5
    for source in sources:
        load_motion(source, REST)


@pytest.mark.filterwarnings("error")
def test_120_damaged_files(tmp_path):
    assert attack(tmp_path, 120, seed=0) > 30


@pytest.mark.slow
def test_1000_damaged_files(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert attack(tmp_path, 1000, seed=1) > 300


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("nan.npz", npz_bytes(poses=np.full((4, 156), np.nan), trans=np.zeros((4, 3)),
                              mocap_framerate=30.0), "NaN"),
        ("joints.npz", npz_bytes(poses=np.zeros((4, 99)), trans=np.zeros((4, 3)),
                                 mocap_framerate=30.0), "shape"),
        ("short.npz", npz_bytes(poses=np.zeros((1, 156)), trans=np.zeros((1, 3)),
                                mocap_framerate=30.0), "2 frames"),
        ("rate.npz", npz_bytes(poses=np.zeros((4, 156)), trans=np.zeros((4, 3)),
                               mocap_framerate=0.0), "mocap_framerate"),
        ("object.npz", npz_bytes(poses=np.array([{}] * 4), trans=np.zeros((4, 3)),
                                 mocap_framerate=30.0), "numbers"),
        ("cut.npz", originals()["c_poses.npz"][:900], "npz"),
        ("cut.bvh", originals()["a.bvh"][:-200], "numbers"),
        ("one.bvh", bvh_text(frames=1).encode(), "at least 2"),
        ("dog.bvh", bvh_text().replace("LeftLeg", "LeftHock").encode(), "unknown skeleton"),
        ("nan.bvh", bvh_text().replace("90.000000", "nan").encode(), "NaN"),
        ("flat.bvh", bvh_text().replace("0 -40 0", "0 0 0").encode(), "limb"),
        ("alone_01.amc", amc_text().encode(), "alone.asf"),
        ("few.txt", b'{"Frames": [[0, 1], [0, 1]]}', "44"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    (source,) = find_motions(tmp_path)
    with pytest.raises(BadInput, match=reason) as refusal:
        load_motion(source, REST)
    assert name in str(refusal.value)
