"""Batches of endless clips: arrays are consistent and depend only on the batch number."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_motions import some_motions, toy_motion, write_motions
from trainer_fixtures import npz, toy_body, write_shards

from trainer.data.dataset import open_dataset
from trainer.data.endless.clips import FOCAL, EndlessClips, RecordLayout, seeded
from trainer.data.endless.loader import EndlessLoader
from trainer.data.endless.options import VALIDATION, EndlessConfig
from trainer.data.endless.source import (
    FIXED_FRAMES,
    endless_clips,
    fixed_clips,
    read_take,
    read_takes,
    usable_takes,
)
from trainer.data.inputs import InputSpec, keypoint_rays
from trainer.data.records import Damaged, read_shard
from trainer.errors import BadInput
from trainer.model.body import BodyJoints


def spec_of(dataset) -> InputSpec:
    return InputSpec(
        inputs="keypoints", image_size=dataset.image_size, stored_size=dataset.image_size,
        flow_stride=0, keypoints=dataset.keypoints, mirror=dataset.mirror, names=dataset.joints,
        coordinates=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory):
    return open_dataset(some_motions(tmp_path_factory.mktemp("motions"), frames=70))


def drawn(dataset, config: EndlessConfig | None = None, n: int = 24) -> dict[str, torch.Tensor]:
    clips = endless_clips(dataset, config or EndlessConfig(), frames=8, spacing=2)
    return clips.draw(n, seeded(1, 2, 3))


def test_crop_and_camera_map_keypoints_to_the_joints_rays(dataset):
    batch = drawn(dataset)
    truth = batch["joints3d"][:, :, list(dataset.keypoints)].double()
    seen = torch.zeros_like(batch["occluded"])
    rays = keypoint_rays(
        {**batch, "joints2d": batch["target2d"], "occluded": seen}, spec_of(dataset)
    )
    assert torch.allclose(rays[..., :2].double(), truth[..., :2] / truth[..., 2:], atol=2e-6)
    assert (rays[..., 2] == 1).all() and (truth[..., 2] > 0).all()


def test_a_batch_has_the_arrays_of_records(dataset):
    batch = drawn(dataset)
    evaluation, keypoints = list(dataset.evaluation_joints), list(dataset.keypoints)
    others = [i for i in range(len(dataset.joints)) if i not in evaluation]
    for name in ("joints3d", "joints2d", "target2d", "visibility"):
        assert not batch[name][:, :, others].any()
    assert (batch["target2d"][:, :, evaluation, 2] == 1).all() and (batch["valid"] == 1).all()
    missing = batch["joints2d"][:, :, keypoints, 2] == 0
    assert torch.equal(batch["occluded"].bool(), missing.all(-1))
    assert missing.any() and batch["occluded"].any() and not batch["occluded"].all()
    errors = (batch["joints2d"] - batch["target2d"])[:, :, keypoints, :2].norm(dim=-1)
    assert 0 < errors.mean() < 0.05 * 150
    assert all(value.isfinite().all() for value in batch.values() if value.is_floating_point())
    rotations = batch["rotations"]
    identity = torch.eye(3).expand_as(rotations)
    assert torch.allclose(rotations @ rotations.mT, identity, atol=1e-5)
    assert (torch.linalg.det(rotations) > 0.99).all()


def test_crops_follow_the_person_with_one_scale_per_clip(dataset):
    batch = drawn(dataset)
    evaluation = list(dataset.evaluation_joints)
    places = batch["target2d"][:, :, evaluation, :2]
    low, high = places.amin(2), places.amax(2)
    middle = (dataset.image_size - 1) / 2
    assert torch.allclose((low + high) / 2, torch.tensor(middle), atol=1e-3)
    diagonal = np.median((high - low).norm(dim=-1).numpy(), 1, overwrite_input=False)
    assert np.allclose(diagonal, 150, rtol=0.1)
    crop = batch["crop"]
    assert torch.equal(crop[..., 0, 0], crop[..., 1, 1]) and not crop[..., 0, 1].any()
    assert torch.equal(crop[..., 0, 0], crop[:, :1, 0, 0].expand(-1, 8))
    assert torch.equal(batch["camera"][0], torch.diag(torch.tensor([FOCAL, FOCAL, 1.0])))


def test_smaller_crops_show_the_same_people(tmp_path: Path, dataset):
    takes = [toy_motion(np.random.default_rng([0, i]), 70) for i in range(3)]
    small = open_dataset(write_motions(tmp_path, list(takes), size=112, diagonal=100))
    one, two = drawn(dataset), drawn(small)
    assert torch.equal(one["joints3d"], two["joints3d"])
    rays = [keypoint_rays(b, spec_of(d)) for b, d in ((one, dataset), (two, small))]
    assert torch.allclose(rays[0], rays[1], atol=1e-5)
    scale = two["crop"][..., 0, 0] / one["crop"][..., 0, 0]
    assert torch.allclose(scale, torch.tensor(100 * 112 / 224 / 150))


def test_rotations_are_those_of_the_joints(dataset):
    """The trainer's exact body, posed by a clip's rotations, has the clip's joints."""
    plain = EndlessConfig(betas=0, bones=0, mirror=False)
    one = replace(dataset, bodies=dataset.bodies[:1])
    body = toy_body(np.random.default_rng(0))
    body["posedirs"] *= 0
    truth = BodyJoints(body)
    batch = drawn(one, plain)
    rotations = batch["rotations"].flatten(0, 1)
    joints = truth(rotations, torch.zeros(len(rotations), 10))[:, 24:]
    mine = batch["joints3d"].flatten(0, 1)[:, list(dataset.evaluation_joints)]
    difference = (joints - joints.mean(1, keepdim=True)) - (mine - mine.mean(1, keepdim=True))
    assert difference.abs().max() < 1e-3


def test_gravity_is_down_for_people_who_stand(dataset):
    """Toy people walk upright, so gravity points from head to pelvis."""
    upright = EndlessConfig(tilt=0, turn=0, upper=0, limbs=0, flex=0)
    batch = drawn(dataset, upright, 40)
    names = [dataset.joints[i] for i in dataset.evaluation_joints]
    joints = batch["joints3d"][:, :, list(dataset.evaluation_joints)]
    hips = [names.index("lsp_left_hip"), names.index("lsp_right_hip")]
    fall = joints[:, :, hips].mean(2) - joints[:, :, names.index("lsp_neck")]
    fall = fall / fall.norm(dim=-1, keepdim=True)
    assert ((fall * batch["gravity"][:, None]).sum(-1) > 0.97).all()
    assert torch.allclose(batch["gravity"].norm(dim=1), torch.ones(40))


def test_a_mirrored_clip_is_the_mirror_image_of_the_same_clip(dataset):
    """Half of the clips are mirrored, joints and rotations alike; the others are unchanged."""
    quiet = EndlessConfig(
        noise=0, bias=0, drift=0, drop=0, gap=0, outlier=0, occluder=0, blackout=0
    )
    mixed, plain = drawn(dataset, quiet, 40), drawn(dataset, replace(quiet, mirror=False), 40)
    order = list(dataset.mirror)
    image = plain["joints3d"][:, :, order] * torch.tensor([-1.0, 1, 1])
    same = (mixed["joints3d"] - plain["joints3d"]).abs().amax((1, 2, 3)) < 1e-5
    turned = (mixed["joints3d"] - image).abs().amax((1, 2, 3)) < 1e-5
    assert torch.equal(same, ~turned) and 8 < int(same.sum()) < 32
    one, two = mixed["target2d"][turned], plain["target2d"][turned][:, :, order]
    evaluation = list(dataset.evaluation_joints)
    across = dataset.image_size - 1 - two[:, :, evaluation, 0]
    assert torch.allclose(one[:, :, evaluation, 0], across, atol=1e-3)
    flip = torch.tensor([-1.0, 1, 1])
    root = plain["rotations"][turned][:, :, 0] * flip[:, None] * flip
    assert torch.allclose(mixed["rotations"][turned][:, :, 0], root, atol=1e-6)
    assert torch.allclose(mixed["gravity"][turned], plain["gravity"][turned] * flip)
    assert torch.allclose(mixed["gravity"][~turned], plain["gravity"][~turned])


def test_a_batch_depends_only_on_its_keys(dataset):
    clips = endless_clips(dataset, EndlessConfig(), frames=8, spacing=2)
    first = clips.draw(5, seeded(1, 2, 3))
    torch.manual_seed(99)
    torch.rand(17)
    again = endless_clips(dataset, EndlessConfig(), frames=8, spacing=2).draw(5, seeded(1, 2, 3))
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = clips.draw(5, seeded(1, 2, 4))
    assert not torch.equal(first["joints3d"], other["joints3d"])
    assert seeded(1, 2).initial_seed() != seeded(2, 1).initial_seed()


def taken(clips: EndlessClips, count: int, **options) -> list[dict[str, torch.Tensor]]:
    loader = EndlessLoader(clips, batch_size=4, seed=7, **options)
    return [item.batch for item in islice(loader, count)]


def equal(a: list[dict[str, torch.Tensor]], b: list[dict[str, torch.Tensor]]) -> bool:
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(torch.equal(x[name], y[name]) for name in x)
        for x, y in zip(a, b, strict=True)
    )


def test_batches_do_not_depend_on_the_number_of_threads(dataset):
    clips = endless_clips(dataset, EndlessConfig(), frames=8, spacing=2)
    plain = taken(clips, 11)
    assert equal(plain, taken(clips, 11, workers=1))
    assert equal(plain, taken(clips, 11, workers=3))
    assert not equal(plain, taken(clips, 11, rank=1))
    assert not torch.equal(plain[0]["joints3d"], plain[1]["joints3d"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_resumes_exactly_where_it_stopped(dataset, workers: int):
    clips = endless_clips(dataset, EndlessConfig(), frames=8, spacing=2)
    whole = taken(clips, 7)
    loader = EndlessLoader(clips, batch_size=4, seed=7, workers=workers)
    first = [item.batch for item in islice(loader, 3)]
    position = loader.position()
    assert position == {"batches": 3}
    rest = taken(clips, 4, position=position, workers=2 - workers)
    assert equal(whole, first + rest)


def test_epochs_count_the_motions_frames(dataset):
    clips = endless_clips(dataset, EndlessConfig(), frames=8, spacing=2)
    loader = EndlessLoader(clips, batch_size=28, seed=0)
    seen = [item.epoch for item in islice(loader, 6)]
    moments = 3 * (70 - 14)
    assert seen[-1] == pytest.approx(6 * 28 / moments)


def test_fixed_clips_are_the_same_at_each_call(dataset):
    first, again = (list(fixed_clips(dataset, count=9)) for _ in range(2))
    assert len(first) == 9
    for (record, arrays), (same, others) in zip(first, again, strict=True):
        assert record.key == same.key and arrays.keys() == others.keys()
        assert all(np.array_equal(arrays[name], others[name]) for name in arrays)
        assert len(arrays["joints3d"]) == FIXED_FRAMES == len(arrays["source"])
        assert record.members["meta.json"].startswith(b'{"person"')
    keys = [record.key for record, _ in first]
    assert len(set(keys)) == 9
    assert keys[:4] == [f"000000_{i}" for i in ("0000_000", "0001_000", "0002_000", "0000_001")]
    batches = [arrays["joints3d"] for _, arrays in first]
    assert not np.array_equal(batches[0], batches[1])


def test_fixed_clips_do_not_depend_on_the_other_takes(tmp_path: Path, dataset):
    """Each take's clips are seeded by its number, so a longer data set keeps its first clips."""
    takes = [toy_motion(np.random.default_rng([0, i]), 70) for i in range(6)]
    more = open_dataset(write_motions(tmp_path, list(takes)))
    few, many = list(fixed_clips(dataset, count=3)), list(fixed_clips(more, count=6))
    for (_, arrays), (_, others) in zip(few, many[:3], strict=True):
        assert np.array_equal(arrays["joints3d"], others["joints3d"])


def test_fixed_clips_have_ordinary_cameras(dataset):
    clips = [arrays for _, arrays in fixed_clips(dataset, VALIDATION, count=60)]
    depth = [arrays["joints3d"][:, list(dataset.evaluation_joints), 2].mean() for arrays in clips]
    assert min(depth) >= 2.5 and max(depth) <= 6
    assert not any(arrays["occluded"].all() for arrays in clips)


def motion(**changes) -> dict[str, np.ndarray]:
    return {**toy_motion(np.random.default_rng(0), 40), **changes}


def without(name: str) -> dict[str, np.ndarray]:
    labels = motion()
    del labels[name]
    return labels


NAN = motion()["pose"].copy()
NAN[3, 4] = np.nan
FAR = motion()["trans"].copy()
FAR[0, 0] = np.inf
DAMAGED = {
    "not numbers": motion(pose=NAN),
    "infinite": motion(trans=FAR),
    "gravity that is NaN": motion(gravity=np.full(3, np.nan, np.float32)),
    "no gravity at all": motion(gravity=np.zeros(3, np.float32)),
    "gravity of four": motion(gravity=np.ones(4, np.float32)),
    "gravity of each frame": motion(gravity=np.ones((40, 3), np.float32)),
    "too few places": motion(trans=motion()["trans"][:39]),
    "SMPL-H": motion(pose=np.zeros((40, 156), np.float32)),
    "joints apart": motion(pose=np.zeros((40, 24, 3), np.float32)),
    "one frame's": motion(pose=np.zeros(72, np.float32)),
    "a single number": motion(pose=np.float32(1)),
    "no frames": motion(pose=np.zeros((0, 72), np.float32), trans=np.zeros((0, 3), np.float32)),
    "words": motion(trans=np.full((40, 3), "1")),
    "betas of another body": motion(betas=np.zeros(16, np.float32)),
    "complex": motion(pose=np.zeros((40, 72), np.complex64)),
    "no pose": without("pose"),
    "no places": without("trans"),
    "nothing": b"",
    "noise": bytes(range(256)) * 9,
    "pickled": npz(motion(pose=np.array([{"a": 1}], object))),
    "cut off": npz(motion())[:3000],
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_take_that_is_no_motion_is_damaged(tmp_path: Path, kind: str):
    folder = write_motions(tmp_path, [motion(), DAMAGED[kind], without("gravity")])
    dataset = open_dataset(folder)
    records = list(read_shard(dataset.shards[0]))
    with pytest.raises(Damaged, match=r"shard-000000\.tar: clip 000000_0001 "):
        read_take(records[1])
    kinds = [type(item).__name__ for item in read_takes(dataset)]
    assert kinds == ["MotionLabels", "Damaged", "MotionLabels"]
    items = list(fixed_clips(dataset, count=4))
    assert sum(isinstance(item, Damaged) for item in items) == 1 and len(items) == 5
    assert len(usable_takes(dataset, "skip")) == 2
    with pytest.raises(BadInput, match=r"000000_0001 .* make that shard again"):
        usable_takes(dataset, "stop")


def test_a_motions_arrays_may_have_any_float_type(tmp_path: Path):
    plain = motion()
    other = {name: value.astype(np.float64) for name, value in plain.items()}
    del other["betas"]
    folder = write_motions(tmp_path, [plain, other])
    takes = usable_takes(open_dataset(folder), "stop")
    assert np.allclose(takes[0].labels["pose"], takes[1].labels["pose"])


def test_shards_with_pictures_can_be_used_as_motions(tmp_path: Path):
    dataset = open_dataset(write_shards(tmp_path, frames=20))
    assert not dataset.labels_only and dataset.bodies == (dataset.body,)
    batch = endless_clips(dataset, EndlessConfig(), frames=8, spacing=2).draw(6, seeded(0))
    assert batch["joints3d"].isfinite().all()


def test_keypoints_other_than_the_detectors_are_refused(dataset):
    order = (*dataset.keypoints[6:], *dataset.keypoints[:6])
    with pytest.raises(BadInput, match="other keypoints than endless clips have"):
        RecordLayout.of(replace(dataset, keypoints=order))
    with pytest.raises(BadInput, match="lower --frames or --spacing"):
        endless_clips(dataset, EndlessConfig(), frames=36, spacing=2)
