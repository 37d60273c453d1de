"""Prediction from Python: a real person from keypoints or pictures, and wrong inputs."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from datagen.common.frames import read_frames
from datagen.footage.embedded_clip import CLIP, CLIP_KEYPOINTS, clip_joints
from datagen.replay.prediction import read_motion
from trainer.errors import BadInput
from trainer.evaluation import predictor as module
from trainer.evaluation.metrics import pa_mpjpe
from trainer.evaluation.predictor import Predictor
from trainer.predict import load

SIZE = (540, 960)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load()


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """OpenPose's BODY_25B of the embedded person; its first 17 are COCO's."""
    with np.load(CLIP_KEYPOINTS) as file:
        return file["keypoints"][:, 0, :17]


def error(person) -> float:
    """Return the mean PA-MPJPE of a person's limbs against the recording's ground truth, mm."""
    limbs = torch.from_numpy(person.joints[:, 24:36].astype(np.float64))
    return float(pa_mpjpe(limbs, torch.from_numpy(clip_joints("trc"))).mean())


def test_keypoints_alone_give_the_measured_person(predictor, points, tmp_path):
    person = predictor.predict(keypoints=points, size=SIZE, fps=30)
    assert error(person) < 75  # mm; the best constant pose is at 96
    # In camera axes and true perspective, the joints lie on their keypoints.
    k = person.arrays["K"][0].astype(float)
    placed = person.joints[:, 24:36] + person.transl[:, None]
    pixels = placed @ k.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    seen = points[:, list(module.COCO17)]
    far = np.linalg.norm(pixels - seen[..., :2], axis=-1)[seen[..., 2] > 0.3]
    assert np.median(far) < 12  # pixels of 960
    assert repr(person).startswith("PosedPerson(50 frames; arrays ") and len(repr(person)) < 300
    person.save(tmp_path / "person.npz")
    motion = read_motion(tmp_path / "person.npz")
    assert motion.size == SIZE and motion.fps == 30 and len(motion) == 50
    np.testing.assert_allclose(motion.times, np.arange(50) / 30)


def test_the_keypoint_order_follows_from_their_number(predictor, points):
    limbs = points[:20, list(module.COCO17)]
    more = np.concatenate([limbs, np.full((20, 2, 3), 7.0)], 1)
    found = [
        predictor.predict(keypoints=given, size=SIZE).joints for given in (points[:20], limbs, more)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_missing_keypoints_do_not_matter(predictor, points):
    wild = points[:20].copy()
    wild[:, 9, 2] = 0.1  # a wrist with low confidence
    moved = wild.copy()
    moved[:, 9, :2] = np.nan
    found = [predictor.predict(keypoints=given, size=SIZE).joints for given in (wild, moved)]
    np.testing.assert_array_equal(found[0], found[1])


def test_frames_give_the_picture_size_for_keypoints(predictor, points):
    frames = np.zeros((5, SIZE[1], SIZE[0], 3), np.uint8)
    by_frames = predictor.predict(frames, points[:5]).joints
    np.testing.assert_array_equal(
        by_frames, predictor.predict(keypoints=points[:5], size=SIZE).joints
    )


def test_the_readmes_example_runs(tmp_path, monkeypatch, capsys):
    root = Path(__file__).parents[3]
    blocks = re.findall(r"^```python\n(.*?)^```", (root / "README.md").read_text(), re.M | re.S)
    (block,) = [block for block in blocks if "trainer.predict import load" in block]
    assert len(block.splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    exec(block.replace('"datagen/', f'"{root}/datagen/'), {})
    assert "(50, 38, 3) (50, 72)" in capsys.readouterr().out
    assert read_motion(tmp_path / "person.npz").size == SIZE


@pytest.mark.slow
def test_people_are_found_in_frames(predictor):
    """With the detector and the same command lines as for a video."""
    frames = np.stack(list(read_frames(CLIP, range(50))))
    person = predictor.predict(frames, fps=30)
    assert error(person) < 90


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "give frames"),
        ({"keypoints": np.zeros((4, 13, 3))}, "12, 14 or 17 points, got [4, 13, 3]"),
        ({"keypoints": np.zeros((4, 17, 3))}, "size=(width, height)"),
        ({"frames": np.zeros((4, 8, 8, 3))}, "must be uint8"),
        ({"frames": np.zeros((4, 8, 8, 3), np.uint8), "keypoints": np.zeros((3, 17, 3))},
         "4 frames but keypoints of 3 frames"),
        ({"keypoints": np.zeros((4, 17, 3)), "size": (9, 9), "fps": 0}, "fps must be positive"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_refused_in_one_sentence(predictor, given, words):
    with pytest.raises(BadInput) as error:
        predictor.predict(**given)
    assert words in str(error.value)


def test_without_the_generator_people_are_not_found(predictor, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install '\.\[datagen\]'"):
        predictor.predict(np.zeros((4, 64, 64, 3), np.uint8))


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        load(tmp_path / "last.pt")
