"""The pictures of predicted skeletons: where the predicted joints are drawn in the crop."""

from unittest.mock import Mock

import numpy as np
import torch

from trainer.analysis.skeletons import _reprojected
from trainer.data.dataset import DataSet
from trainer.data.records import Record
from trainer.evaluation.windows import PredictedClip

LENGTH, SIZE = 8, 128


def filmed(camera: bool = True, missing: int = 0) -> tuple[PredictedClip, DataSet, np.ndarray]:
    """Return a clip whose joints are predicted exactly but for their place, and their pixels."""
    rng = np.random.default_rng(3)
    true = np.repeat(rng.normal((0.3, -0.2, 5.0), 0.4, (1, 14, 3)), LENGTH, 0)
    k = np.array([[600.0, 0, 160], [0, 600, 120], [0, 0, 1]])
    crop = np.repeat(np.array([[[0.8, 0, -90.0], [0, 0.8, -20]]]), LENGTH, 0)
    seen = true @ k.T
    pixels = np.einsum("tij,tnj->tni", crop[:, :, :2], seen[..., :2] / seen[..., 2:])
    pixels += crop[:, None, :, 2]
    shown = {"joints2d": np.concatenate([pixels, np.ones((LENGTH, 14, 1))], 2)}
    shown["joints2d"][:, :missing] = 0
    shown |= {"crop": crop, "camera": k} if camera else {}
    joints = torch.from_numpy(true - true[:, :1])
    clip = PredictedClip(
        Mock(spec=Record, members={"meta.json": b"{}"}), shown, {"joints": joints}, shown=shown
    )
    data = Mock(spec=DataSet, keypoints=tuple(range(12)), image_size=SIZE, fps=30.0)
    return clip, data, pixels


def test_the_joint_heads_joints_are_drawn_on_the_person() -> None:
    """Only the true joints were drawn: this head predicts no camera, so it has no 2D joints."""
    for missing in (0, 3):
        clip, data, pixels = filmed(missing=missing)
        drawn = _reprojected(clip, data, 5, list(range(14)))
        np.testing.assert_allclose(drawn, pixels[5], atol=1)


def test_a_predicted_camera_is_used() -> None:
    clip, data, pixels = filmed()
    clip.prediction["joints2d"] = torch.from_numpy((2 * pixels + 1) / SIZE - 1) + 0.5
    drawn = _reprojected(clip, data, 2, list(range(14)))
    np.testing.assert_allclose(drawn, pixels[2] + SIZE / 4, atol=1e-6)


def test_without_a_camera_nothing_is_drawn() -> None:
    clip, data, _ = filmed(camera=False)
    assert _reprojected(clip, data, 2, list(range(14))) is None
