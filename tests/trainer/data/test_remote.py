"""Shards at URLs: every form of --shards, unreliable servers, the cache, wrong arguments."""

import hashlib
import itertools
import json
import os
import shutil
import threading
from pathlib import Path

import fsspec
import numpy as np
import pytest
from faulty_server import FAULTS, serving
from trainer_fixtures import write_shards

import trainer.data.stream
from trainer.data import transfer
from trainer.data.cache import ShardCache, size_in_bytes
from trainer.data.dataset import DataSet, open_dataset, open_datasets
from trainer.data.loader import Loader, read_clips, wanted_arrays
from trainer.data.places import Url, select
from trainer.data.records import Damaged
from trainer.data.store import Store
from trainer.data.stream import Stream
from trainer.errors import BadInput

ARRAYS = wanted_arrays("flow+keypoints")
CLIPS = 15


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_shards(
        tmp_path_factory.mktemp("toy") / "shards", shards=3, clips=5, frames=6, size=32
    )


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "shards"
    return write_shards(folder, shards=10, clips=2, frames=8, size=32, seed=1)


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(transfer, "PAUSE", 0.001)


@pytest.fixture
def memory(toy):
    files = fsspec.filesystem("memory")
    for path in toy.iterdir():
        files.pipe(f"/bucket/{path.name}", path.read_bytes())
    yield "memory://bucket"
    files.rm("/bucket", recursive=True)


def stream(dataset: DataSet, **changes) -> Stream:
    options = dict(dataset=dataset, arrays=ARRAYS, frames=6, spacing=1, batch_size=2, seed=0,
                   shuffle=4, on_damage="stop")  # fmt: skip
    return Stream(**{**options, **changes})


def drawn(dataset: DataSet, batches: int = 16, *, workers: int = 0) -> list[tuple]:
    loader = iter(Loader(stream(dataset), workers=workers))
    made = [(d.keys, d.batch["flow"].numpy()) for d in itertools.islice(loader, batches)]
    loader.close()
    return made


def same(found: list[tuple], expected: list[tuple]) -> bool:
    return all(
        keys == wanted and np.array_equal(flow, exact)
        for (keys, flow), (wanted, exact) in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize(
    "form",
    [
        "{folder}", "{folder}/", "file://{folder}", "{folder}/shard-{{000000..000002}}.tar",
        "{http}", "{http}/shard-{{000000..000002}}.tar", "{http}?signed=yes",
        "{memory}", "{memory}/shard-{{000000..000002}}.tar",
        "pipe:cat {folder}/shard-{{000000..000002}}.tar",
    ],
)  # fmt: skip
def test_every_form_gives_the_same_batches(toy, memory, form):
    expected = drawn(open_dataset(toy))
    with serving(toy) as (http, _):
        text = form.format(folder=toy, http=http, memory=memory)
        dataset = open_dataset(text)
        assert dataset.identity() == open_dataset(toy).identity()
        assert dataset.body.read_bytes() == (toy / "body.npz").read_bytes()
        assert same(drawn(dataset), expected)
        assert same(drawn(dataset, workers=2), drawn(open_dataset(toy), workers=2))


@pytest.mark.parametrize("form", ["{folder}", "{http}", "{memory}", "pipe:cat {folder}"])
def test_a_single_tar_is_a_data_set(toy, memory, form):
    with serving(toy) as (http, _):
        text = form.format(folder=toy, http=http, memory=memory) + "/shard-000001.tar"
        dataset = open_dataset(text)
        keys = [record.key for record, _ in read_clips(dataset, ARRAYS)]
        assert keys == [f"000001_{clip:04d}" for clip in range(5)]


@pytest.mark.parametrize("name", ["body.npz; touch let-in", "body.npz\ntouch let-in", "a b", ""])
@pytest.mark.parametrize("field", ["body", "bodies"])
def test_a_data_set_names_no_command(toy, tmp_path, monkeypatch, field, name):
    """What it names is fetched by the same command as its shards."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(toy, tmp_path / "shards")
    path = tmp_path / "shards" / "dataset.json"
    content = json.loads(path.read_text())
    content.pop("check", None)
    content[field] = name if field == "body" else [name]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(content | {"check": digest[:16]}))
    with pytest.raises(BadInput, match="is not a file beside it"):
        open_dataset(f"pipe:cat {tmp_path}/shards/shard-000000.tar")
    assert not (tmp_path / "let-in").exists()


@pytest.mark.parametrize("kind", FAULTS[1:])
def test_an_unreliable_server_gives_the_same_batches(toy, kind):
    expected = drawn(open_dataset(toy))
    with serving(toy, kind) as (http, faults):
        assert same(drawn(open_dataset(http)), expected)
        assert faults.requests > 10
        if kind == "truncate":
            assert any(text and not text.startswith("bytes=0-") for text in faults.headers)


def test_a_broken_download_is_resumed_where_it_broke(toy):
    """The tar is downloaded completely although every third response is truncated."""
    data = (toy / "shard-000000.tar").read_bytes()
    for kind in ("drop", "truncate", "no ranges"):
        with serving(toy, kind) as (http, faults):
            faults.requests = 2  # the next one fails
            got = b"".join(map(bytes, transfer.stream(Url(f"{http}/shard-000000.tar"))))
        assert got == data and faults.requests == 4, kind


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_continues_with_the_next_clip(toy, workers):
    straight = drawn(open_dataset(toy), 14, workers=workers)
    with serving(toy, "drop") as (http, _):
        for taken in (3, 8):
            loader = Loader(stream(open_dataset(http)), workers=workers)
            before = [d.keys for d in itertools.islice(iter(loader), taken)]
            position = json.loads(json.dumps(loader.position()))
            again = Loader(stream(open_dataset(http)), workers=workers, position=position)
            after = [d.keys for d in itertools.islice(iter(again), 14 - taken)]
            assert before + after == [keys for keys, _ in straight]


def test_ranks_share_the_clips_of_a_url_and_read_none_twice(toy):
    with serving(toy) as (http, _):
        for world in (1, 2, 4):
            seen = []
            for rank in range(world):
                loader = Loader(stream(open_dataset(http), batch_size=1), rank=rank, world=world)
                for delivered in itertools.islice(iter(loader), 30):
                    if delivered.epoch < 1:
                        seen += delivered.keys
            assert sorted(seen) == sorted(f"{s:06d}_{c:04d}" for s in range(3) for c in range(5))


def test_an_unreachable_server_ends_the_run_in_one_sentence(toy, monkeypatch):
    monkeypatch.setattr(transfer, "TRIES", 3)
    with serving(toy) as (http, faults):
        dataset = open_dataset(http)
        loader = iter(Loader(stream(dataset, on_damage="skip"), workers=1))
        next(loader)
        faults.refused = 500
        with pytest.raises(
            BadInput, match=r"shard-.*cannot be read \(HTTP Error 500.*run the same"
        ):
            list(itertools.islice(loader, 100))
        loader.close()
    with pytest.raises(BadInput, match=r"cannot be read \(Connection refused\)"):
        open_dataset(http)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, "may not be read .*check the credentials"),
        (403, "may not be read .*check the credentials"),
        (404, r"has no dataset\.json; point --shards at"),
        (416, "cannot be read"),
        (500, "cannot be read .*run the same command again"),
    ],
)
def test_server_refusals_give_one_sentence(toy, code, words):
    with serving(toy) as (http, faults):
        faults.refused = code
        with pytest.raises(BadInput, match=words) as raised:
            open_dataset(http)
        assert "\n" not in str(raised.value)
        tries = 1 if code < 500 and code != 404 else faults.requests
        assert faults.requests == tries


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{folder}/nowhere", "is not a folder; point --shards at"),
        ("{folder}/shard-{{000000..000003}}.tar", r"shard-000003\.tar .*does not exist"),
        ("{folder}/shard-000000.tar::2", r"weight behind :: must lie in \(0, 1\]"),
        ("{folder}::0", r"weight behind :: must lie in \(0, 1\]"),
        ("{folder}::0.5", "a weight mixes training sets"),
        ("{folder}/shard-{{000000..", "no brace pattern"),
        ("{folder}/{{shards,val}}/shard-{{0..1}}.tar", "shards of 2 folders"),
        ("http://no-such-host.invalid/shards", "cannot be read"),
        ("nonsense://x/y", "nonsense://x/y.* cannot be opened"),
        ("memory://no-such-bucket", r"has no dataset\.json"),
        ("pipe:false /shard-000000.tar", "cannot be read"),
    ],
)
def test_wrong_shards_arguments_give_one_sentence(toy, text, words):
    with pytest.raises(BadInput, match=words) as raised:
        open_dataset(text.format(folder=toy))
    assert "\n" not in str(raised.value)


def test_an_incomplete_data_set_is_named_at_a_url_too(toy, memory):
    fsspec.filesystem("memory").rm("/bucket/shard-000001.tar")
    with pytest.raises(BadInput, match="holds 2 of the 3 shards"):
        open_dataset(memory)
    with serving(toy.parent) as (http, _), pytest.raises(BadInput, match=r"has no dataset\.json"):
        open_dataset(http)


def test_a_shard_that_is_missing_on_the_server_is_damage(toy, tmp_path):
    folder = Path(shutil.copytree(toy, tmp_path / "x"))
    (folder / "shard-000001.tar").unlink()
    with serving(folder) as (http, _):
        dataset = open_dataset(http)
        items = list(read_clips(dataset, ARRAYS))
    damaged = [item for item in items if isinstance(item, Damaged)]
    assert len(items) == 11 and "shard-000001.tar cannot be read" in str(damaged[0])


def test_an_unreadable_folder_gives_one_sentence(toy, tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(BadInput, match=r"dataset\.json .*cannot be read \(Permission denied\)"):
        open_dataset(toy)


class TestCache:
    def test_shards_are_fetched_once_and_then_read_without_the_server(self, toy, tmp_path):
        expected = drawn(open_dataset(toy), 30)
        with serving(toy) as (http, faults):
            store = Store(ShardCache(tmp_path / "cache", 1 << 30))
            dataset = open_dataset(http, store=store)
            assert same(drawn(dataset, 30), expected)  # four epochs
            fetched = faults.requests
            assert fetched <= 6  # dataset.json, croissant.json, body.npz and three shards
            faults.refused = 500
            assert same(drawn(dataset, 30), expected)
        names = [path.name for path in (tmp_path / "cache").iterdir()]
        assert len(names) == 3 and all(name.endswith(".tar") for name in names)

    def test_it_stays_within_its_size_and_removes_the_oldest(self, toy, tmp_path):
        size = (toy / "shard-000000.tar").stat().st_size
        cache = ShardCache(tmp_path / "cache", 2 * size + 100)
        with serving(toy) as (http, _):
            paths = []
            for number in range(3):
                url = Url(f"{http}/shard-{number:06d}.tar")
                file = Store(cache).open(url, "x")
                file.read(1 << 30, 1)  # to its end
                file.close()
                paths.append(cache.path(url, "x"))
                os.utime(paths[-1], (number, number))
        assert [path.exists() for path in paths] == [False, True, True]
        assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= cache.limit

    def test_a_shard_larger_than_the_cache_is_read_and_not_kept(self, toy, tmp_path):
        with serving(toy) as (http, _):
            dataset = open_dataset(http, store=Store(ShardCache(tmp_path / "cache", 1000)))
            assert same(drawn(dataset), drawn(open_dataset(toy)))
        assert not list((tmp_path / "cache").iterdir())

    def test_ranks_may_fetch_the_same_shard_at_once(self, toy, tmp_path):
        with serving(toy, "slow") as (http, _):
            found: list[list] = []

            def read() -> None:
                store = Store(ShardCache(tmp_path / "cache", 1 << 30))
                found.append(
                    [r.key for r, _ in read_clips(open_dataset(http, store=store), ARRAYS)]
                )

            threads = [threading.Thread(target=read) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(found) == 4 and all(keys == found[0] for keys in found)
        assert len(list((tmp_path / "cache").iterdir())) == 3

    def test_a_damaged_copy_is_named_and_downloaded_again(self, toy, tmp_path):
        cache = ShardCache(tmp_path / "cache", 1 << 30)
        with serving(toy) as (http, _):
            dataset = open_dataset(http, store=Store(cache))
            list(read_clips(dataset, ARRAYS))
            kept = cache.path(dataset.shards[1].place, dataset.fingerprint)
            kept.write_bytes(kept.read_bytes()[:2000])
            items = list(read_clips(dataset, ARRAYS))
            assert any(isinstance(item, Damaged) for item in items)
            assert not any(isinstance(item, Damaged) for item in read_clips(dataset, ARRAYS))

    def test_leftovers_are_removed_and_downloads_in_progress_are_kept(self, tmp_path):
        old, new = tmp_path / ".a.1.part", tmp_path / ".b.2.part"
        old.touch()
        new.touch()
        os.utime(old, (0, 0))
        ShardCache(tmp_path, 1)
        assert not old.exists() and new.exists()

    @pytest.mark.parametrize(
        ("text", "size"),
        [("200GB", 200 * 10**9), ("1.5 tb", 15 * 10**11), ("70", 70), ("2K", 2000)],
    )
    def test_sizes(self, text, size):
        assert size_in_bytes(text) == size

    @pytest.mark.parametrize("text", ["", "much", "-3GB", "0", "3PB"])
    def test_invalid_sizes(self, text):
        with pytest.raises(ValueError, match="no size"):
            size_in_bytes(text)


class TestMixtures:
    def test_two_sets_together_give_every_clip_once_per_epoch(self, toy, other):
        dataset = open_datasets([toy, other])
        assert dataset.clips == 35 and dataset.clip_length == 6
        loader = iter(Loader(stream(dataset, batch_size=1)))
        keys = sorted(d.keys[0] for d in itertools.islice(loader, 35))
        of_toy = [f"{s:06d}_{c:04d}" for s in range(3) for c in range(5)]
        assert keys == sorted(of_toy + [f"{s:06d}_{c:04d}" for s in range(10) for c in range(2)])

    @pytest.mark.parametrize("consumers", [1, 3])
    def test_a_weight_is_the_share_that_an_epoch_reads(self, toy, other, consumers):
        dataset = open_datasets([toy, f"{other}::0.3"])
        assert dataset.clips == 21
        counts = np.zeros((20, 13), int)
        for epoch, consumer in itertools.product(range(20), range(consumers)):
            chosen = trainer.data.stream.shards_of(dataset, 7, epoch)
            for shard, part in trainer.data.stream.deal(chosen, consumers, consumer, 7, epoch):
                counts[epoch, shard] += part == 0
        assert (counts[:, :3] == 1).all()  # all of the first in every epoch
        assert (counts[:, 3:].sum(1) == 3).all() and counts.max() == 1
        assert (counts[:10, 3:].sum(0) == 3).all()  # in ten epochs all equally often

    def test_a_resumed_mixture_continues_with_the_next_clip(self, toy, other):
        options = stream(open_datasets([toy, f"{other}::0.3"]))
        straight = [d.keys for d in itertools.islice(iter(Loader(options)), 30)]
        loader = Loader(options)
        list(itertools.islice(iter(loader), 17))
        again = Loader(options, position=loader.position())
        assert [d.keys for d in itertools.islice(iter(again), 13)] == straight[17:]

    def test_sets_that_cannot_be_mixed_are_refused(self, toy, tmp_path):
        large = write_shards(tmp_path / "large", shards=1, clips=1, frames=4, size=64)
        with pytest.raises(BadInput, match="its image_size is 64, not 32"):
            open_datasets([toy, large])
        with pytest.raises(BadInput, match="is given twice"):
            open_datasets([toy, toy])
        with pytest.raises(BadInput, match="less than one shard per epoch"):
            open_datasets([f"{large}::0.3"])

    def test_a_mixture_is_another_data_set(self, toy, other):
        sets = [[toy], [toy, other], [toy, f"{other}::0.3"], [f"{toy}::0.5"], [other, toy]]
        known = [json.dumps(open_datasets(texts).identity()) for texts in sets]
        assert len(set(known)) == len(sets)


def test_patterns_name_their_shards():
    chosen = select("s3://bucket/x/shard-{000000..000002}.tar::0.25")
    assert [str(shard) for shard in chosen.shards] == [
        f"s3://bucket/x/shard-{number:06d}.tar" for number in range(3)
    ]
    assert str(chosen.folder) == "s3://bucket/x" and chosen.weight == 0.25
    signed = select("https://host/x/shard-000001.tar?key=1")
    assert str(signed.described) == "https://host/x/dataset.json?key=1"
    assert signed.shards[0].name == "shard-000001.tar"
    assert str(select("https://[::1]:80/x").folder) == "https://[::1]:80/x"
