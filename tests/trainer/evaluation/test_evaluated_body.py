"""`trainer.evaluate --body` measures the body that `trainer.predict` writes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from posed_people import procrustes
from toy_motions import some_motions

from trainer.errors import BadInput
from trainer.evaluate import evaluate
from trainer.evaluation.options import EvaluateConfig, PredictConfig
from trainer.fit import fit
from trainer.predict import predict
from trainer.training.options import FitConfig

pytestmark = pytest.mark.usefixtures("one_thread")


def config(shards: Path, out: Path, **changes) -> FitConfig:
    options = dict(
        shards=shards, out=out, device="cpu", precision="fp32", clips="endless", head="joints",
        inputs="keypoints", keypoints="coordinates", frames=8, spacing=2, batch_size=2, steps=1,
        lstm_width=16,
    )  # fmt: skip
    return FitConfig(**{**options, **changes})


@pytest.mark.slow
def test_the_measured_body_is_the_predicted_one(tmp_path):
    shards = some_motions(tmp_path / "motions", takes=2, frames=40)
    checkpoint = fit(config(shards, tmp_path / "run")) / "last.pt"
    look = EvaluateConfig(
        checkpoint=checkpoint, shards=shards, device="cpu", pictures=0, out=tmp_path / "joints"
    )
    joints = evaluate(look)
    body = evaluate(replace(look, body=True, out=tmp_path / "body"))
    assert body["window"]["body"] and not joints["window"]["body"]
    assert body["every_frame"] != joints["every_frame"]
    predict(
        PredictConfig(checkpoint=checkpoint, shards=shards, device="cpu", out=tmp_path / "bodies")
    )
    measured = dict(np.load(tmp_path / "body" / "frames.npz"))  # read once
    for i, key in enumerate(measured["keys"]):
        written = np.load(tmp_path / "bodies" / f"{key}.npz")
        mine = measured["clip"] == i
        # Ground truth is stored in half precision: within 1 mm.
        error = procrustes(
            torch.from_numpy(written["joints"][measured["frame"][mine], 24:]),
            torch.from_numpy(measured["truth"][mine].astype(np.float32)),
        )
        assert np.abs(error - measured["error"][mine].mean(1)).max() < 1


def test_another_head_has_no_fitted_body(tmp_path):
    shards = some_motions(tmp_path / "motions", takes=1, frames=20)
    checkpoint = fit(config(shards, tmp_path / "run", head="smpl")) / "last.pt"
    look = EvaluateConfig(checkpoint=checkpoint, shards=shards, device="cpu", body=True)
    with pytest.raises(BadInput, match=r"--body is for the joint head; .* predicts a body itself"):
        evaluate(look)
