"""The reader: complete epochs, splits, exact resuming, damage, and decoding only what is needed."""

import io
import itertools
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trainer_fixtures import network, write_shards

import trainer.data.loader
import trainer.data.records
import trainer.data.stream
from datagen.output import shard as writer
from trainer.data.dataset import open_dataset
from trainer.data.loader import Loader, batches, read_clips, wanted_arrays
from trainer.data.records import Damaged
from trainer.data.stream import Stream
from trainer.errors import BadInput


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_shards(
        tmp_path_factory.mktemp("toy"), shards=3, clips=5, frames=6, size=32, short=2, rgb=True
    )


def stream(folder: Path, **changes) -> Stream:
    options = dict(
        dataset=open_dataset(folder),
        arrays=wanted_arrays("flow+keypoints"),
        frames=6,
        spacing=1,
        batch_size=1,
        seed=0,
        shuffle=4,
        on_damage="skip",
    )
    return Stream(**{**options, **changes})


def keys(stream: Stream, consumer: int, consumers: int, count: int) -> list[tuple[int, str]]:
    made = batches(stream, consumer, consumers, 0)
    return [(int(b.epoch), b.keys[0]) for b in itertools.islice(made, count)]


@pytest.mark.parametrize("consumers", [1, 2, 3, 4, 7])
def test_every_clip_comes_once_per_epoch(toy, consumers):
    everything = {f"{s:06d}_{i:04d}" for s in range(3) for i in range(5 if s < 2 else 3)}
    for epoch in range(2):
        seen = []
        for consumer in range(consumers):
            seen += [k for e, k in keys(stream(toy), consumer, consumers, 40) if e == epoch]
        assert sorted(seen) == sorted(everything)


def test_the_order_depends_on_epoch_and_seed(toy):
    order = keys(stream(toy), 0, 1, 26)
    first, second = [k for e, k in order if e == 0], [k for e, k in order if e == 1]
    assert first != second
    assert order == keys(stream(toy), 0, 1, 26)
    assert order != keys(stream(toy, seed=1), 0, 1, 26)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loader_continues_with_the_next_clip(toy, workers):
    options = stream(toy, batch_size=2)
    straight = [d.keys for d in itertools.islice(iter(Loader(options, workers=workers)), 14)]
    for taken in (5, 8):
        loader = Loader(options, workers=workers)
        before = [d.keys for d in itertools.islice(iter(loader), taken)]
        position = json.loads(json.dumps(loader.position()))
        again = Loader(options, workers=workers, position=position)
        after = [d.keys for d in itertools.islice(iter(again), 14 - taken)]
        assert before + after == straight
    if workers:
        with pytest.raises(BadInput, match="2 loader threads"):
            Loader(options, workers=3, position=position)


@pytest.mark.parametrize("taken", [2, 6, 9])
def test_a_clip_without_a_member_does_not_shift_the_position(toy, tmp_path, taken):
    folder = copy(toy, tmp_path / "data")
    path = folder / "shard-000001.tar"
    with tarfile.open(path) as tar:
        members = [(info, tar.extractfile(info).read()) for info in tar]
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for info, data in members:
            if info.name != "000001_0002.flow.npy":
                tar.addfile(info, io.BytesIO(data))
    options = stream(folder)
    straight = [d.keys[0] for d in itertools.islice(iter(Loader(options)), 24)]
    everything = {f"{s:06d}_{i:04d}" for s in range(3) for i in range(5 if s < 2 else 3)}
    assert set(straight[:12]) == set(straight[12:]) == everything - {"000001_0002"}
    loader = Loader(options)
    list(itertools.islice(iter(loader), taken))
    again = Loader(options, position=loader.position())
    assert [d.keys[0] for d in itertools.islice(iter(again), 24 - taken)] == straight[taken:]


def test_a_random_part_of_a_longer_clip_is_taken(toy):
    whole = {r.key: a for r, a in read_clips(open_dataset(toy), wanted_arrays("flow"))}
    starts = set()
    for batch in itertools.islice(iter(Loader(stream(toy, frames=4))), 30):
        joints = batch.batch["joints3d"][0].numpy()
        assert joints.shape[0] == 4
        source = whole[batch.keys[0]]["joints3d"]
        found = [s for s in range(3) if np.array_equal(source[s : s + 4], joints)]
        assert found
        starts.add(found[0])
    assert starts == {0, 1, 2}


def test_pictures_are_decoded_only_when_asked_for(toy, monkeypatch):
    monkeypatch.setattr(
        trainer.data.records, "_strip", lambda *_: pytest.fail("a JPEG was decoded")
    )
    delivered = next(iter(Loader(stream(toy))))
    assert set(delivered.batch) == {
        "flow", "joints2d", "joints3d", "visibility", "occluded", "valid",
    }  # fmt: skip
    delivered = next(iter(Loader(stream(toy, arrays=wanted_arrays("keypoints")))))
    assert "flow" not in delivered.batch


def test_pictures_are_upright_rgb(toy):
    batch = next(iter(Loader(stream(toy, arrays=wanted_arrays("rgb"))))).batch
    assert batch["rgb"].shape == (1, 6, 3, 32, 32)
    found = 0
    for t in range(6):
        for joint, red in ((20, True), (21, False)):  # the wrists are drawn red and blue
            x, y, seen = batch["joints2d"][0, t, joint].round().int().tolist()
            if seen:
                pixel = batch["rgb"][0, t, :, y, x].int()
                found += int((pixel[0] > pixel[2]) == red)
    assert found >= 10


def copy(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


@pytest.mark.parametrize("damage", ["cut", "cut at a member", "flipped", "not a tar", "gone"])
def test_a_damaged_shard_is_named_and_skipped_or_fatal(toy, tmp_path, capsys, damage):
    folder = copy(toy, tmp_path / "data")
    path = folder / "shard-000001.tar"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[: len(data) * 2 // 3])
    elif damage == "cut at a member":
        path.write_bytes(data[: data.rindex(b"000001_0004.flow.npy")])
    elif damage == "flipped":
        at = data.index(b"000001_0002.labels.npz") + 700
        data[at : at + 4000] = bytes(255 - b for b in data[at : at + 4000])
        path.write_bytes(data)
    elif damage == "not a tar":
        path.write_bytes(b"<html>404</html>" * 100)
    options = stream(folder)
    if damage == "gone":
        path.unlink()
    seen = {d.keys[0] for d in itertools.islice(iter(Loader(options)), 30)}
    assert {f"000000_{i:04d}" for i in range(5)} <= seen
    metadata = capsys.readouterr().err
    assert metadata.count("skipped: ") == 1 and "shard-000001.tar" in metadata
    with pytest.raises(BadInput, match=r"shard-000001\.tar.*make that shard again"):
        strict = replace(options, on_damage="stop")
        list(itertools.islice(iter(Loader(strict)), 30))
    assert any(isinstance(item, Damaged) for item in read_clips(options.dataset, options.arrays))


def test_a_folder_with_only_damaged_shards_ends_in_one_sentence(toy, tmp_path, capsys):
    folder = copy(toy, tmp_path / "data")
    for path in folder.glob("*.tar"):
        path.write_bytes(b"")
    with pytest.raises(BadInput, match="no clip could be read"):
        next(iter(Loader(stream(folder))))


def test_readable_but_unusable_clips_end_in_one_sentence(toy):
    data = iter(Loader(replace(stream(toy), frames=99)))
    with pytest.raises(BadInput, match=r"could be used in 20 epochs.* frames, fewer than 99"):
        next(data)


@pytest.mark.parametrize("consumers", [4, 8])
def test_more_consumers_than_clips_work(tmp_path, monkeypatch, consumers):
    few = stream(write_shards(tmp_path / "few", shards=1, clips=2, frames=6, size=32))
    for consumer in range(consumers):  # their part of the shard is empty in most epochs
        assert len(keys(few, consumer, consumers, 100)) == 100

    def choosy(stream: Stream, record, epoch: int):
        if record.key == "000000_0001":
            raise Damaged(record.key)
        return whole(stream, record, epoch)

    whole = trainer.data.loader.sample
    monkeypatch.setattr(trainer.data.loader, "sample", choosy)
    for consumer in range(consumers):
        assert {key for _, key in keys(few, consumer, consumers, 30)} == {"000000_0000"}


def test_bad_folders_are_refused_in_one_sentence(toy, tmp_path):
    with pytest.raises(BadInput, match=r"is not a folder; point --shards at"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"has no dataset\.json"):
        open_dataset(tmp_path)
    metadata = json.loads((toy / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**metadata, "version": 9}))
    with pytest.raises(BadInput, match=r"version 9; this trainer reads version 1"):
        open_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps(metadata))
    with pytest.raises(BadInput, match=r"holds no shard-\*\.tar"):
        open_dataset(tmp_path)
    (tmp_path / "shard-000000.tar").touch()
    found = (
        r"holds 1 of the 3 shards in its dataset\.json; .*`python -m datagen\.verify .* --repair`"
    )
    with pytest.raises(BadInput, match=found):
        open_dataset(tmp_path)
    for number in (1, 2):
        (tmp_path / f"shard-{number:06d}.tar").touch()
    (tmp_path / "dataset.json").write_text(json.dumps({**metadata, "rgb": False}))
    with pytest.raises(BadInput, match="holds no pictures"):
        open_dataset(tmp_path).input_spec(network(inputs="rgb"))


@pytest.mark.parametrize("taken", [3, 7, 11])
def test_a_run_resumes_exactly_over_clips_that_differ_from_their_checksum(toy, tmp_path, taken):
    folder = copy(toy, tmp_path / "data")
    path = folder / "shard-000000.tar"
    writer.write(path, [{"__key__": k, **m} for k, m in writer.read(path).items()])
    data = bytearray(path.read_bytes())
    for key in ("000000_0001", "000000_0003"):
        data[data.index(f"{key}.flow.npy".encode()) + 900] ^= 1
    path.write_bytes(data)
    options = stream(folder)
    straight = [d.keys[0] for d in itertools.islice(iter(Loader(options)), 22)]
    everything = {f"{s:06d}_{i:04d}" for s in range(3) for i in range(5 if s < 2 else 3)}
    assert set(straight[:11]) == everything - {"000000_0001", "000000_0003"}
    loader = Loader(options)
    list(itertools.islice(iter(loader), taken))
    again = Loader(options, position=loader.position())
    assert [d.keys[0] for d in itertools.islice(iter(again), 22 - taken)] == straight[taken:]


def test_a_resumed_run_reads_from_its_epoch_on_also_with_former_positions(toy, monkeypatch):
    options = stream(toy)
    straight = [d.keys[0] for d in itertools.islice(iter(Loader(options)), 60)]
    loader = Loader(options)
    list(itertools.islice(iter(loader), 32))  # 13 clips per epoch: ends in the third
    position = loader.position()
    assert position == {"batches": 32, "drawn": [6], "epochs": [2]}
    opened = []
    read = trainer.data.stream.read_shard
    monkeypatch.setattr(
        trainer.data.stream, "read_shard", lambda s, *more: opened.append(s) or read(s, *more)
    )
    again = Loader(options, position=position)
    assert [d.keys[0] for d in itertools.islice(iter(again), 28)] == straight[32:]
    assert len(opened) <= 3 * 3 + 1  # the shards of the rest of three epochs
    former = Loader(options, position={"batches": 32, "drawn": [32]})
    assert [d.keys[0] for d in itertools.islice(iter(former), 20)] == straight[32:52]
    assert former.position() == {"batches": 52, "drawn": [13], "epochs": [3]}


@pytest.mark.parametrize(("shards", "clips"), [("{000000..000001}", 4), ("000002", 2)])
def test_only_the_clips_of_the_named_shards_count(shards, clips, tmp_path):
    folder = write_shards(tmp_path / "toy", shards=3, clips=2, frames=3, size=32)
    assert open_dataset(f"{folder}/shard-{shards}.tar").clips == clips
    assert open_dataset(folder).clips == 6
