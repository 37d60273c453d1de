"""The paper's other rows: pictures with DANN, and the lifter, with their checkpoints."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from trainer_fixtures import write_shards

from trainer.common.device import Ranks
from trainer.data.dataset import open_dataset
from trainer.data.inputs import draw_inputs
from trainer.errors import BadInput
from trainer.evaluate import evaluate
from trainer.evaluation.options import EvaluateConfig, PredictConfig
from trainer.fit import fit
from trainer.model.body import read_body
from trainer.model.domain import Discriminator, adversary_strength, domain_loss, reverse_gradient
from trainer.model.lifter import BoundedLinear
from trainer.predict import predict
from trainer.training.factory import load_backbone, make_loaders, make_train_step, model_spec
from trainer.training.objective import Real
from trainer.training.options import FitConfig
from trainer.training.settings import choose


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    return write_shards(folder, shards=1, clips=6, frames=5, size=32, rgb=True)


def config(toy: Path, out: Path, **changes) -> FitConfig:
    options = dict(
        shards=toy, out=out, device="cpu", steps=3, batch_size=2, image_size=32, lstm_width=8,
        precision="fp32", backbone="small", threads=1,
    )  # fmt: skip
    return FitConfig(**{**options, **changes})


def first_line(folder: Path) -> dict:
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])


@pytest.mark.parametrize("inputs", ["rgb", "rgb+keypoints", "flow"])
def test_every_row_of_the_table_trains(toy, tmp_path, inputs):
    folder = fit(config(toy, tmp_path / "run", steps=1, inputs=inputs))
    assert np.isfinite(first_line(folder)["loss"])


def test_feedback_trains_resumes_and_is_evaluated(toy, tmp_path):
    options = {"inputs": "flow+keypoints", "feedback": True, "log_every": 1}
    folder = fit(config(toy, tmp_path / "run", **options))
    assert "regressor.error_layer.weight" in torch.load(folder / "last.pt")["weights"]
    fit(config(toy, folder, resume=folder / "last.pt", **options))  # already finished
    with pytest.raises(BadInput, match="--feedback"):
        fit(config(toy, folder, resume=folder / "last.pt", **{**options, "feedback": False}))
    results = evaluate(EvaluateConfig(checkpoint=folder / "last.pt", shards=toy, device="cpu"))
    assert np.isfinite(results["persons"]["pa_mpjpe"])
    for other in ({"inputs": "flow"}, {"model": "lifter", "inputs": "keypoints"}):
        with pytest.raises(BadInput, match="--feedback needs keypoints among the --inputs"):
            fit(config(toy, tmp_path / "no", feedback=True, **other))


def test_dann_trains_against_unlabelled_clips_and_resumes(toy, tmp_path):
    real = write_shards(tmp_path / "real", shards=1, clips=4, frames=5, size=32, rgb=True, seed=7)
    options = {"inputs": "rgb", "dann_shards": real, "save_every": 1, "log_every": 1}
    folder = fit(config(toy, tmp_path / "run", **options))
    assert 0.3 < first_line(folder)["domain"] < 1.5  # near ln 2 at the start
    moved = real.rename(tmp_path / "moved")
    fit(config(toy, folder, resume=folder / "last.pt", **{**options, "dann_shards": moved}))
    write_shards(real, shards=1, clips=3, frames=5, size=32, rgb=True, seed=8)
    with pytest.raises(BadInput, match="trained on other real shards"):
        fit(config(toy, folder, resume=folder / "last.pt", **options))
    small = write_shards(tmp_path / "small", shards=1, clips=4, frames=5, size=48, rgb=True)
    with pytest.raises(BadInput, match="differ in image size"):
        fit(config(toy, tmp_path / "run2", inputs="rgb", dann_shards=small))
    short = write_shards(tmp_path / "short", shards=1, clips=4, frames=3, size=32, rgb=True)
    with pytest.raises(BadInput, match="have 3 frames, fewer than the 5 of a training clip"):
        fit(config(toy, tmp_path / "run3", inputs="rgb", dann_shards=short))
    blind = write_shards(tmp_path / "blind", shards=1, clips=4, frames=5, size=32)
    with pytest.raises(BadInput, match="blind holds no pictures"):
        fit(config(toy, tmp_path / "run4", inputs="rgb", dann_shards=blind))


def test_the_domain_loss_is_weighted_by_frames_with_ground_truth(toy, tmp_path):
    cfg = config(toy, tmp_path / "run", inputs="rgb", dann_shards=toy)
    dataset, cpu = open_dataset(toy), torch.device("cpu")
    settings = choose(cfg, dataset, cpu)
    model = model_spec(cfg, settings, dataset)
    trainer = make_train_step(cfg, settings, model, dataset, read_body(dataset.body), cpu, Ranks())
    loader = make_loaders(cfg, settings, model, dataset, None, cpu, Ranks(), None)[0]
    trainer.wrapped.eval()
    domain = []
    for known in (5, 1, 0):
        batch = {name: value.clone() for name, value in next(iter(loader)).batch.items()}
        batch["valid"][:, known:] = 0
        seen = draw_inputs(batch, trainer.spec)
        losses, _ = trainer.wrapped(seen, batch, trainer.totals([batch]), Real(seen, 1.0))
        domain.append(float(losses["domain"].detach()))
    assert domain[0] == pytest.approx(np.log(2), abs=0.1)
    assert domain[1] == pytest.approx(np.log(2), abs=0.1)
    assert domain[2] == 0


def test_the_gradient_is_reversed():
    x = torch.ones(3, requires_grad=True)
    (reverse_gradient(x, 0.25) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert torch.allclose(x.grad, torch.tensor([-0.25, -0.5, -0.75]))
    assert adversary_strength(0) == 0 and adversary_strength(1) > 0.999
    features = torch.randn(6, 16)
    loss = domain_loss(Discriminator(16), features[:4], features[4:], 1.0)
    assert abs(float(loss.detach()) - np.log(2)) < 0.1


def test_the_lifter_trains_and_is_evaluated(toy, tmp_path):
    folder = fit(
        config(toy, tmp_path / "run", model="lifter", inputs="keypoints", steps=40, lr=3e-3)
    )
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    checkpoint = folder / "last.pt"
    results = evaluate(EvaluateConfig(checkpoint=checkpoint, shards=toy, device="cpu", pictures=1))
    assert results["persons"]["pa_mpjpe"] < 300
    with pytest.raises(BadInput, match="--mirror averages rotations"):
        evaluate(EvaluateConfig(checkpoint=checkpoint, shards=toy, device="cpu", mirror=True))
    predictions = tmp_path / "predictions"
    predict(PredictConfig(checkpoint=checkpoint, shards=toy, out=predictions, device="cpu"))
    with np.load(predictions / "000000_0000.npz") as clip:
        assert clip["joints"].shape == (5, 14, 3)
        assert "pose" not in clip and "poses" not in clip


def test_a_lifter_is_validated_on_fewer_joints(toy, tmp_path):
    held = write_shards(tmp_path / "held", shards=1, clips=2, frames=5, size=32)
    metadata = json.loads((held / "dataset.json").read_text())
    metadata["evaluation_joints"] = metadata["evaluation_joints"][:12]  # measured truth has no head
    (held / "dataset.json").write_text(json.dumps(metadata))
    options = {"model": "lifter", "inputs": "keypoints", "val_shards": (held,)}
    folder = fit(config(toy, tmp_path / "run", **options))
    results = evaluate(EvaluateConfig(checkpoint=folder / "last.pt", shards=held, device="cpu"))
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["val_pa_mpjpe"] == pytest.approx(results["frames"]["pa_mpjpe"], rel=1e-4)


def test_a_lifters_joints_are_matched_by_name(toy, tmp_path):
    folder = fit(config(toy, tmp_path / "run", model="lifter", inputs="keypoints"))
    held = write_shards(tmp_path / "held", shards=1, clips=2, frames=5, size=32)
    predictions = []
    for lost in (0, 1):
        metadata = json.loads((held / "dataset.json").read_text())
        metadata["evaluation_joints"] = metadata["evaluation_joints"][lost:]
        (held / "dataset.json").write_text(json.dumps(metadata))
        out = tmp_path / f"predictions{lost}"
        look = PredictConfig(checkpoint=folder / "last.pt", shards=held, out=out, device="cpu")
        predict(look)
        with np.load(out / "000000_0000.npz") as clip:
            predictions.append((clip["joints"], list(clip["names"])))
    (joints, names), (fewer, left) = predictions
    assert left == names[1:]
    assert np.array_equal(fewer, joints[:, 1:])


def test_the_lifters_weights_are_bounded():
    layer = BoundedLinear(8, 8)
    with torch.no_grad():
        layer.weight.mul_(100)
        layer.bias.zero_()
    x = torch.randn(5, 8)
    expected = x @ (layer.weight / layer.weight.norm()).T
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_imagenet_weights_load_by_torchvisions_parameter_names(toy, tmp_path):
    from trainer.model.resnet import ResNet

    theirs = ResNet("small", 3)
    weights = {**theirs.state_dict(), "fc.weight": torch.zeros(1000, 256)}
    torch.save(weights, tmp_path / "resnet.pth")
    fit(config(toy, tmp_path / "run", steps=1, inputs="rgb", weights=tmp_path / "resnet.pth"))
    for inputs, channels in (("rgb+keypoints", 16), ("flow", 3)):
        mine = ResNet("small", channels)
        fresh = mine.conv1.weight.detach().clone()
        load_backbone(mine, tmp_path / "resnet.pth", inputs)
        assert torch.equal(mine.layer1[0].conv1.weight, theirs.layer1[0].conv1.weight)
        colour = 3 if inputs.startswith("rgb") else 0
        assert torch.equal(mine.conv1.weight[:, :colour], theirs.conv1.weight[:, :colour])
        assert torch.equal(mine.conv1.weight[:, colour:], fresh[:, colour:])
    (tmp_path / "other.pth").write_bytes(b"no weights")
    with pytest.raises(BadInput, match=r"other\.pth is not .* pass torchvision's weights"):
        fit(config(toy, tmp_path / "other", weights=tmp_path / "other.pth"))
