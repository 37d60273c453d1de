"""The errors of single clips and frames add up to those of the whole evaluation."""

import json

import numpy as np
import pytest
import torch
from trainer_fixtures import write_shards

from trainer.data.dataset import open_dataset
from trainer.data.records import Record
from trainer.evaluate import evaluate, person_of
from trainer.evaluation.frame_errors import FrameErrors, shown_by
from trainer.evaluation.metrics import hips_of
from trainer.evaluation.options import EvaluateConfig
from trainer.evaluation.truth import Comparison
from trainer.evaluation.windows import PredictedClip
from trainer.fit import fit
from trainer.training.options import FitConfig


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("details")
    toy = write_shards(root / "toy", shards=2, clips=3, frames=6, size=32)
    options = {"inputs": "keypoints", "backbone": "small", "lstm_width": 16, "image_size": 32}
    run = fit(
        FitConfig(shards=toy, out=root / "run", device="cpu", steps=1, batch_size=2, **options)
    )
    results = evaluate(EvaluateConfig(checkpoint=run / "last.pt", shards=toy, device="cpu"))
    torch.set_num_threads(before)
    (evaluation,) = (run / "evaluation").iterdir()
    lines = [json.loads(line) for line in (evaluation / "clips.jsonl").read_text().splitlines()]
    with np.load(evaluation / "frames.npz") as frames:
        return results, lines, dict(frames)


def test_frames_add_up_to_the_evaluation(measured):
    results, lines, frames = measured
    assert frames["error"].shape == (6 * 6, 14) and frames["names"].shape == (14,)
    assert frames["keys"].tolist() == [line["key"] for line in lines]
    counted = frames["counted"]
    mean = frames["error"][counted].mean()
    assert mean == pytest.approx(results["frames"]["pa_mpjpe"], rel=1e-5)
    assert frames["mpjpe"][counted].mean() == pytest.approx(results["frames"]["mpjpe"], rel=1e-5)
    for person, row in results["per_person"].items():
        own = [line["person"] == person for line in lines]
        keep = counted & np.array(own)[frames["clip"]]
        assert frames["error"][keep].mean() == pytest.approx(row["pa_mpjpe"], rel=1e-5)


def test_clips_are_the_means_of_their_frames(measured):
    _, lines, frames = measured
    for index, line in enumerate(lines):
        own = (frames["clip"] == index) & frames["counted"]
        assert line["frames"] == own.sum()
        assert line["pa_mpjpe"] == pytest.approx(frames["error"][own].mean(), abs=1e-3)
        hidden = frames["visibility"][frames["clip"] == index] != 2
        assert line["hidden"] == pytest.approx(hidden.mean(), abs=1e-4)
        assert 0 < line["speed"] < 10


def test_speed_is_of_known_frames_at_the_clips_own_rate(tmp_path):
    dataset = open_dataset(write_shards(tmp_path, shards=1, clips=1, frames=5, size=32))
    hips = hips_of(dataset.evaluation_names)
    truth = torch.randn(14, 3).repeat(5, 1, 1)
    moving = [k for k in range(14) if k not in hips]
    truth[:, moving, 0] += 0.1 * torch.arange(5)[:, None]
    truth[3:] = 0  # unknown
    record = Record(None, "000000_0000")  # type: ignore[arg-type]
    record.members["meta.json"] = b'{"fps": 10}'
    arrays = {
        "occluded": np.zeros(5), "valid": np.array([1, 1, 1, 0, 0]),
        "visibility": np.array([[2] * 38] * 3 + [[0] * 38] * 2),
    }  # fmt: skip
    details = FrameErrors(dataset)
    known = torch.tensor([True] * 3 + [False] * 2)
    compared = Comparison(truth + 0.01, truth, known, known)
    details.add(PredictedClip(record, arrays), "toy", compared)
    (line,) = details.lines
    assert line["speed"] == pytest.approx(0.1 * 10 * 12 / 14, rel=1e-3) and line["hidden"] == 0


def test_predicted_joints_are_aligned_to_the_true_ones(measured):
    _, _, frames = measured
    gap = frames["predicted"].astype(float) - frames["truth"].astype(float)
    assert np.abs(1000 * np.linalg.norm(gap, axis=-1) - frames["error"]).max() < 3  # float16
    assert np.abs(gap.mean(axis=1)).max() < 2e-3  # a similarity brings the centres together
    hips = [frames["names"].tolist().index(f"lsp_{side}_hip") for side in ("right", "left")]
    assert np.abs(frames["truth"][:, hips].astype(float).mean(axis=1)).max() < 1e-3


def test_a_clips_content_is_read_from_meta_json():
    def metadata(text: bytes) -> dict:
        record = Record(None, "000000_0000")  # type: ignore[arg-type]
        record.members["meta.json"] = text
        return shown_by(record)

    people = {"motion": "walk", "gender": "female", "look": {"skin_tone": 4}}
    meta = json.dumps({"person": "walk", "background": "street", "people": people}).encode()
    assert metadata(meta) == {
        "motion": "walk",
        "gender": "female",
        "skin_tone": 4,
        "scene": "street",
    }
    record = Record(None, "000000_0000")  # type: ignore[arg-type]
    for name, who in (("walk", None), ("walk_mirrored", "07")):
        meta_json = {"person": name, "people": {"subject": who}}
        record.members["meta.json"] = json.dumps(meta_json).encode()
        assert person_of(record) == (who or name)
    assert metadata(b'{"person": "toy0"}') == metadata(b"[]") == metadata(b"not json") == {}
