"""Training pairs: exact flow, drawn alike; training: learns, resumes, writes usable weights."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from datagen.bodies.library import build_person
from datagen.bodies.motion.sources import find_motions
from datagen.bodies.options import BodiesConfig
from datagen.common.errors import BadInput
from datagen.flow.flownets import FlowNetS
from datagen.flow.load import load_estimator
from datagen.flow.options import FlowConfig
from datagen.flow.pwc import PwcNet
from datagen.flow.train import main, train
from datagen.flow.training.dataset import Pairs, turn
from datagen.flow.training.layers import Layer, paint
from datagen.flow.training.loss import LEVEL_WEIGHTS, level_errors, weighted_sum
from datagen.flow.training.options import TrainFlowConfig
from datagen.flow.training.pairs import film, make_pair
from datagen.flow.training.people import PersonPairs, person_pair
from datagen.flow.training.textures import load_textures
from datagen.flow.training.trainer import FlowTrainer, rate, start_as_pyramid

SMALL = TrainFlowConfig(
    width=0.125, steps=4, batch_size=2, size=64, crop=48, checkpoint_every=2, repeats=2,
    people=0, device="cpu",
)  # fmt: skip


def unwarped_error(
    first: np.ndarray, second: np.ndarray, flow: np.ndarray, where: np.ndarray | slice = slice(None)
) -> float:
    """Return how much the first image differs from the second one fetched back along the flow."""
    y, x = np.indices(flow.shape[:2], np.float32)
    there = (np.stack((x, y), -1) + flow).astype(np.float32)
    back = cv2.remap(np.ascontiguousarray(second), there, None, cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REFLECT)  # fmt: skip
    return float(np.median(np.abs(back.astype(float) - first)[where]))


def test_flow_fetches_the_second_image_back_onto_the_first() -> None:
    textures = load_textures()
    moving = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        first, second, flow = make_pair(textures, 96, rng)
        assert first.dtype == second.dtype == np.uint8 and flow.shape == (96, 96, 2)
        along, against = (unwarped_error(first, second, sign * flow) for sign in (1, -1))
        assert along <= against
        moving += along < against
    assert moving >= 6


def test_the_front_layer_owns_the_flow() -> None:
    grey = np.full((8, 8, 3), 50, np.uint8)
    shift = np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1.0]])
    square = np.array([[10, 10], [20, 10], [20, 20], [10, 20]], float)
    layers = [Layer(grey, np.eye(3), np.eye(3)), Layer(grey + 150, np.eye(3), shift, square)]
    first, second, flow = paint(layers, 32)
    assert np.array_equal(flow[15, 15], (3, -2)) and not flow[5, 5].any()
    assert first[15, 11, 0] == 200 and second[15, 11, 0] == 50 and second[13, 22, 0] == 200


def test_pairs_are_functions_of_seed_and_index() -> None:
    one, other = Pairs(SMALL, "train", 2), Pairs(SMALL, "train", 2)
    other[5]
    assert all(torch.equal(a, b) for a, b in zip(one[3], other[3], strict=True))
    assert not torch.equal(one[3][0], one[4][0])


def test_training_pairs_are_cut_out_though_no_scene_is_met_twice() -> None:
    assert Pairs(SMALL, "train", repeats=1)[0][0].shape == (6, 48, 48)
    assert Pairs(SMALL, "val")[0][0].shape == (6, 64, 64)


def test_turning_keeps_the_flow_true() -> None:
    first, second, flow = make_pair(load_textures(), 64, np.random.default_rng(3))
    pair = np.concatenate((first, second), -1)
    error = unwarped_error(first, second, flow)
    for seed in range(8):
        moves = np.abs(flow).sum(-1) > 1
        turned, along, moved = turn(pair, flow, moves, np.random.default_rng(seed))
        assert np.array_equal(moved, np.abs(along).sum(-1) > 1)
        assert unwarped_error(turned[..., :3], turned[..., 3:], along) <= error + 1


def test_film_leaves_the_images_recognisable() -> None:
    image = make_pair(load_textures(), 64, np.random.default_rng(0))[0]
    for seed in range(5):
        one, two = film([image, image], np.random.default_rng(seed))
        assert one.shape == image.shape and one.dtype == np.uint8
        assert np.abs(one.astype(float) - two).mean() < 15


def test_a_persons_pair_moves_the_person_by_its_surface_flow() -> None:
    rgb = np.zeros((2, 60, 80, 3), np.uint8)
    mask = np.zeros((2, 60, 80), bool)
    flow = np.zeros((60, 80, 2), np.float32)
    rgb[0, 20:40, 30:40] = rgb[1, 20:40, 33:43] = 255
    mask[0, 20:40, 30:40] = mask[1, 20:40, 33:43] = True
    flow[20:40, 30:40] = (3, 0)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        first, second, found, person = person_pair(rgb, mask, flow, load_textures(), 96, rng)
        assert first.shape == second.shape == (96, 96, 3)
        assert person.any() and not person.all()
        spread = np.ptp(found[person], axis=0).max()
        assert spread < 0.02 * 96  # a rigid shift stays one, but for the crop that breathes


def test_loss_is_the_levels_weighted_endpoint_errors() -> None:
    pyramid = [torch.zeros(2, 2, n, n) for n in (16, 8, 4, 2, 1)]
    flow = torch.zeros(2, 2, 64, 64)
    flow[:, 0] = 20
    even = torch.ones(2, 64, 64)
    assert float(weighted_sum(level_errors(pyramid, flow, even))) == pytest.approx(
        20 * sum(LEVEL_WEIGHTS)
    )
    pyramid[0][:, 0] = 20
    errors = [float(error) for error in level_errors(pyramid, flow, even)]
    assert errors == pytest.approx([0, 20, 20, 20, 20])


def test_the_finest_level_is_compared_in_every_pixel_the_others_in_cells() -> None:
    flow = torch.zeros(1, 2, 64, 64)
    flow[:, 0, :, 2:] = 4  # an edge in the middle of a cell
    exact = [interpolate(flow, size=(n, n), mode="area") for n in (16, 8)]
    fine, coarse = (float(error) for error in level_errors(exact, flow, torch.ones(1, 64, 64)))
    enlarged = interpolate(exact[0], scale_factor=4, mode="bilinear")
    assert coarse == pytest.approx(0, abs=1e-6)
    assert fine == pytest.approx(float((enlarged - flow).abs().sum(1).mean())) and fine > 0


def test_the_persons_pixels_weigh_as_told() -> None:
    flow, weight = torch.zeros(1, 2, 32, 32), torch.ones(1, 32, 32)
    flow[:, 0, :16] = 3  # the person, half of the picture, moves by 3 px, the rest stands still
    weight[:, :16] = 5
    still = [torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 4, 4)]
    errors = [float(error) for error in level_errors(still, flow, weight)]
    assert errors == pytest.approx([3 * 5 / 6, 3 * 5 / 6])


def test_the_step_size_rises_holds_and_falls_where_it_is_asked_to() -> None:
    cfg = dataclasses.replace(SMALL, steps=1000, lr=1.0)
    assert [rate(step, cfg) for step in (0, 299, 749)] == pytest.approx([1 / 300, 1, 1])
    assert rate(875, cfg) == pytest.approx(0.5) and rate(999, cfg) == pytest.approx(1 / 250)
    held = dataclasses.replace(cfg, fall=0)
    assert rate(999, held) == 1
    assert rate(950, dataclasses.replace(cfg, fall=100)) == pytest.approx(0.5)
    # a training of unknown length, ended later, takes the same steps until its end begins
    ended = dataclasses.replace(cfg, steps=1200, fall=200)
    assert [rate(k, ended) for k in range(1000)] == [rate(k, held) for k in range(1000)]


def test_training_begins_with_the_coarsest_flow_enlarged() -> None:
    torch.manual_seed(0)
    network = FlowNetS(0.125)
    start_as_pyramid(network)
    with torch.no_grad():
        for level in (2, 3, 4, 5):
            getattr(network, f"predict_flow{level}").weight[:, :-2] = 0
        *_, finer, flow6 = network.pyramid(torch.randn(1, 6, 256, 256))
        wanted = interpolate(flow6, scale_factor=2, mode="bilinear")
    assert flow6.abs().max() > 0
    inner = (..., slice(1, -1), slice(1, -1))  # beyond the border lies zero, not the last cell
    assert torch.allclose(finer[inner], wanted[inner], atol=1e-6)


def test_splits_share_no_photo() -> None:
    parts = [load_textures(None, split) for split in ("train", "val", "test")]
    sums = [{int(photo.sum(dtype=np.int64)) for photo in part} for part in parts]
    assert sum(len(part) for part in parts) == len(load_textures())
    assert not (sums[0] & sums[1] | sums[0] & sums[2] | sums[1] & sums[2])


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> PersonPairs:
    path = tmp_path_factory.mktemp("people") / "run.h5"
    (source,) = (s for s in find_motions(None) if s.name == "run")
    build_person(source, BodiesConfig(motion_limit=1, max_clip_frames=50), 0, path)
    return PersonPairs([path])


def test_a_rendered_persons_flow_fetches_the_second_image_back(people: PersonPairs) -> None:
    textures, right, wrong = load_textures(), [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        rgb, mask, flow = people.draw(rng)
        assert rgb.shape[0] == mask.shape[0] == 2 and flow.shape[2] == 2
        first, second, found, person = person_pair(rgb, mask, flow, textures, 128, rng)
        right.append(unwarped_error(first, second, found, person))
        others = (-found, found[..., ::-1], found * (-1, 1), found * 0)
        wrong.append([unwarped_error(first, second, other, person) for other in others])
    # noise, and shades that change as the person turns, remain
    assert np.mean(right) < 0.5 * np.mean(wrong, 0).min()


@pytest.mark.parametrize(("network", "width"), [("flownets", 0.125), ("pwc", 0.25)])
def test_a_stopped_training_goes_on_as_if_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str, width: float
) -> None:
    monkeypatch.setattr("datagen.flow.train.VALIDATION_PAIRS", 4)
    small = dataclasses.replace(SMALL, network=network, width=width)  # type: ignore[arg-type]
    whole = dataclasses.replace(small, out=tmp_path / "whole")
    parts = dataclasses.replace(small, out=tmp_path / "parts")
    weights = train(whole)
    trainer = FlowTrainer(parts)
    trainer.cfg.out.mkdir()
    pairs = Pairs(parts, "train", 2)
    for step in range(2):
        batch = [pairs[2 * step + i] for i in range(2)]
        trainer.update(*(torch.stack(part) for part in zip(*batch, strict=True)))
    trainer.save(0.0)
    # as kill -9 leaves it: a line after the last checkpoint, and half of one
    (parts.out / "metrics.jsonl").write_text(
        '{"step": 1, "epe": 9, "shapes": 9}\n{"step": 3, "epe": 9, "shapes": 9}\n{"ste'
    )
    train(parts)
    lines = (parts.out / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 4]
    one, two = (torch.load(cfg.out / "last.pth", weights_only=True) for cfg in (whole, parts))
    for part in ("network", "average"):
        for key, value in one[part].items():
            assert torch.equal(value, two[part][key]), key
    lines = [json.loads(line) for line in (whole.out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert (whole.out / "curve.png").stat().st_size > 1000

    cfg = FlowConfig(flow=network, flow_weights=weights)  # type: ignore[arg-type]
    flow = load_estimator(cfg)(np.zeros((3, 64, 64, 3), np.uint8))
    assert flow.shape == (2, 2, 16, 16)
    with pytest.raises(BadInput, match=rf"--network {network} --width {width}"):
        train(dataclasses.replace(whole, width=0.5))


def test_training_begins_with_the_weights_that_are_given(tmp_path: Path) -> None:
    torch.manual_seed(1)
    known = PwcNet(0.25)
    torch.save({"state_dict": known.state_dict()}, tmp_path / "known.pth")
    cfg = dataclasses.replace(
        SMALL, network="pwc", width=0.25, first_weights=tmp_path / "known.pth"
    )
    for network in (FlowTrainer(cfg).network, FlowTrainer(cfg).average.module):
        for key, value in network.state_dict().items():
            assert torch.equal(value, known.state_dict()[key])
    with pytest.raises(BadInput, match=r"--network flownets --width 0\.125"):
        FlowTrainer(dataclasses.replace(cfg, network="flownets", width=0.125))


def test_losses_are_means_of_the_steps_since_the_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datagen.flow.train.VALIDATION_PAIRS", 2)
    monkeypatch.setattr(FlowTrainer, "update", _step_of_loss_1)
    cfg = dataclasses.replace(SMALL, out=tmp_path, steps=3)
    train(cfg)
    train(dataclasses.replace(cfg, steps=5))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(2, 1), (3, 1), (4, 1), (5, 1)]


def _step_of_loss_1(trainer: FlowTrainer, *_: torch.Tensor) -> tuple[float, float]:
    trainer.step += 1
    return 1.0, 1.0


@pytest.mark.slow
def test_a_narrow_network_learns_a_few_pairs_by_heart() -> None:
    trainer = FlowTrainer(dataclasses.replace(SMALL, lr=1e-3, steps=10_000, width=0.25))
    trainer.step = 500
    pairs = Pairs(SMALL, "train")
    batch = [torch.stack(part) for part in zip(*(pairs[i] for i in range(16)), strict=True)]
    errors = [trainer.update(*batch)[1] for _ in range(200)]
    assert np.mean(errors[-10:]) < 0.5 * np.mean(errors[:10])


def test_a_device_that_is_not_there_is_one_sentence(tmp_path: Path, capsys) -> None:
    assert main(["--out", str(tmp_path / "run"), "--device", "foo"]) == 2
    error = capsys.readouterr().err
    assert "--device foo" in error and error.count("\n") == 1


def test_no_textures_is_one_sentence(tmp_path: Path, capsys) -> None:
    with pytest.raises(BadInput, match="holds no readable"):
        load_textures(tmp_path)
    options = ["--out", str(tmp_path / "run"), "--textures", str(tmp_path), "--people", "0"]
    assert main([*options, "--width", "0.125", "--device", "cpu"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
