"""Clips in other programs: our iterable, plain webdataset and Hugging Face's datasets."""

import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from trainer_fixtures import write_shards

from trainer.data import clips
from trainer.data.dataset import open_dataset
from trainer.data.loader import read_clips, wanted_arrays
from trainer.errors import BadInput

ROOT = Path(__file__).resolve().parents[3]
KEYS = sorted(f"{s:06d}_{c:04d}" for s in range(2) for c in range(3))


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "shards"
    return write_shards(folder, shards=2, clips=3, frames=6, size=32, rgb=True)


def test_a_pass_is_an_epoch_with_every_clip_once_in_another_order(toy):
    data = clips(toy)
    passes = [[clip["key"] for clip in data] for _ in range(4)]
    assert all(sorted(keys) == KEYS for keys in passes) and len(set(map(tuple, passes))) > 1
    again = clips(toy)
    assert [[clip["key"] for clip in again] for _ in range(4)] == passes
    data.epoch = 2
    assert [clip["key"] for clip in data] == passes[2]


def test_tensors_equal_what_the_trainer_reads(toy):
    wanted = wanted_arrays("flow") | {"rgb", "pose", "betas"}
    exact = {record.key: arrays for record, arrays in read_clips(open_dataset(toy), wanted)}
    for clip in clips(str(toy), arrays=sorted(wanted)):
        assert clip.keys() == wanted | {"key"}
        for name in wanted:
            assert isinstance(clip[name], torch.Tensor)
            assert np.array_equal(clip[name].numpy(), exact[clip["key"]][name])


def test_a_part_of_a_clip_is_drawn(toy):
    assert {clip["joints3d"].shape for clip in clips(toy, frames=4)} == {(4, 38, 3)}
    with pytest.raises(BadInput, match="6 frames, fewer than 9"):
        next(iter(clips(toy, frames=9, on_damage="stop")))


@pytest.mark.parametrize(("world", "workers"), [(1, 2), (3, 0), (2, 2)])
def test_ranks_and_workers_share_the_clips(toy, monkeypatch, world, workers):
    monkeypatch.setenv("WORLD_SIZE", str(world))
    seen = []
    for rank in range(world):
        monkeypatch.setenv("RANK", str(rank))
        loader = DataLoader(clips(toy, frames=4), batch_size=None, num_workers=workers)
        seen += [clip["key"] for clip in loader]
    assert sorted(seen) == KEYS


def test_damage_is_named_and_skipped_or_ends_the_pass(toy, tmp_path, capsys):
    folder = Path(shutil.copytree(toy, tmp_path / "x"))
    path = folder / "shard-000001.tar"
    path.write_bytes(path.read_bytes()[:2000])
    assert len(list(clips(folder))) == 3
    assert "skipped: " in capsys.readouterr().err
    with pytest.raises(BadInput, match=r"shard-000001\.tar"):
        list(clips(folder, on_damage="stop"))


def snippets() -> list[str]:
    """Return README's Python blocks."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


@pytest.mark.parametrize("package", ["trainer", "webdataset", "datasets"])
def test_readmes_snippets_read_the_shards(toy, monkeypatch, package):
    pytest.importorskip(package)
    line = {"trainer": "trainer.data import clips", "webdataset": "webdataset as wds"}
    (text,) = (t for t in snippets() if line.get(package, "from datasets import") in t)
    monkeypatch.chdir(toy.parent)
    names: dict = {}
    exec(text, names)  # `names` holds the loop's last record
    exact = {r.key: a["flow"] for r, a in read_clips(open_dataset(toy), wanted_arrays("flow"))}
    flow = np.asarray(names["flow"])
    assert flow.dtype == np.float16
    starts = itertools.product(exact.values(), range(3))
    assert any(np.array_equal(flow, full[s : s + len(flow)]) for full, s in starts)
