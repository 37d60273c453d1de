"""Hostile clips affect only themselves and cost no memory, time or traceback."""

import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trainer_fixtures import npy, npz, write_shards

from datagen.output import shard as writer
from trainer.data.dataset import open_dataset
from trainer.data.loader import read_clips, wanted_arrays
from trainer.data.records import Damaged, checksum, finite
from trainer.errors import BadInput

ARRAYS = wanted_arrays("flow+keypoints") | {"rgb"}
VICTIM = "000000_0001"
CASES = Path(os.environ.get("MOTION_HMR_SHARED_DATA", "../shared/data")).parent / "cases"


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_shards(
        tmp_path_factory.mktemp("toy"), shards=1, clips=3, frames=4, size=32, rgb=True
    )


def read(toy: Path, to: Path, change, *, checked: bool = True) -> list:
    """Return the items read from a copy of the data set with a changed second clip."""
    folder = Path(shutil.copytree(toy, to))
    path = folder / "shard-000000.tar"
    records = []
    for key, members in writer.read(path).items():
        if key == VICTIM:
            change(members)
        records.append({"__key__": key, **members})
    if checked:  # with a valid checksum, as if written so
        writer.write(path, records)
    else:
        with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
            for record in records:
                for name in sorted(record.keys() - {"__key__"}):
                    info = tarfile.TarInfo(f"{record['__key__']}.{name}")
                    info.size = len(record[name])
                    tar.addfile(info, io.BytesIO(record[name]))
    return list(read_clips(open_dataset(folder), ARRAYS))


def labels(members: dict) -> dict[str, np.ndarray]:
    return dict(np.load(io.BytesIO(members["labels.npz"])))


def relabelled(**changes):
    def change(members: dict) -> None:
        arrays = labels(members)
        for name, value in changes.items():
            arrays[name] = value(arrays[name].copy())
        members["labels.npz"] = npz(arrays)

    return change


def first_is(number):
    def change(array: np.ndarray) -> np.ndarray:
        array.flat[array.size // 2] = number
        return array

    return change


def header(text: str) -> bytes:
    """Return an .npy file with a header of any text."""
    body = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


def set_flow(data):
    return lambda members: members.update({"flow.npy": data})


def zipped(edit):
    """Change the bytes of a compressed labels.npz."""

    def change(members: dict) -> None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **labels(members))
        members["labels.npz"] = bytes(edit(bytearray(buffer.getvalue())))

    return change


def directory(data: bytearray, at: int, value: bytes) -> bytearray:
    """Overwrite a field of every entry of a zip's directory."""
    place = data.find(b"PK\x01\x02")
    while place >= 0:
        data[place + at : place + at + len(value)] = value
        place = data.find(b"PK\x01\x02", place + 4)
    return data


def bomb(members: dict) -> None:
    """Replace one array by 4 GB of zeros, deflated to 4 MB."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    block, size = bytes(1 << 20), 1 << 32
    head = header("{'descr': '|u1', 'fortran_order': False, 'shape': (4294967168,)}")
    packed = squeezed.compress(head + block[len(head) :])
    packed += b"".join(squeezed.compress(block) for _ in range(size // len(block) - 1))
    packed += squeezed.flush()
    claimed = (size - 1).to_bytes(4, "little")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, value in labels(members).items():
            archive.writestr(f"{name}.npy", packed if name == "joints2d" else npy(value))
    data = bytearray(buffer.getvalue())
    place = data.find(b"PK\x01\x02")
    while place >= 0:
        if data[place + 46 :].startswith(b"joints2d"):
            data[place + 10 : place + 12] = b"\x08\0"
            data[place + 24 : place + 28] = claimed
        place = data.find(b"PK\x01\x02", place + 4)
    members["labels.npz"] = bytes(data)


def picture_bomb(members: dict) -> None:
    buffer = io.BytesIO()
    Image.new("L", (20_000, 20_000)).save(buffer, "JPEG", quality=1)
    members["rgb.jpg"] = buffer.getvalue()


def other_format(members: dict) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(members["rgb.jpg"])).save(buffer, "PNG")
    members["rgb.jpg"] = buffer.getvalue()


CHANGES = {
    "NaN in flow": lambda m: set_flow(npy(first_is(np.nan)(np.load(io.BytesIO(m["flow.npy"])))))(m),
    "infinite flow": lambda m: set_flow(npy(first_is(-np.inf)(np.load(io.BytesIO(m["flow.npy"])))))(
        m
    ),
    "NaN in joints3d": relabelled(joints3d=first_is(np.nan)),
    "infinite joints2d": relabelled(joints2d=first_is(np.inf)),
    "complex": relabelled(joints2d=lambda a: a.astype(complex)),
    "text": relabelled(joints3d=lambda a: a.astype(str)),
    "other byte order": relabelled(joints3d=lambda a: a.astype(">f4")),
    "a joint too few": relabelled(joints3d=lambda a: a[:, 1:]),
    "a frame too few": relabelled(joints3d=lambda a: a[1:]),
    "no frames": relabelled(occluded=lambda a: a[:0]),
    "a single number": relabelled(occluded=lambda a: a[0]),
    "flow of another size": set_flow(npy(np.zeros((4, 2, 9, 9), np.float16))),
    "a header with a bracket": set_flow(header("{'descr': '<f2', 'shape': ((4,2")),
    "a header that is code": set_flow(header("__import__('os').abort()")),
    "negative shape": set_flow(
        header("{'descr': '<f2', 'fortran_order': False, 'shape': (-1, 2, 8, 8)}") + bytes(1024)
    ),
    "objects": set_flow(header("{'descr': '|O', 'fortran_order': False, 'shape': (4, 2, 8, 8)}")),
    "deflate of garbage": zipped(lambda d: d[:60] + b"\xff" * 40 + d[100:]),
    "encrypted": zipped(lambda d: directory(d, 8, b"\x01\x00")),
    "unknown method": zipped(lambda d: directory(d, 10, b"\x63\x00")),
    "too much claimed": zipped(lambda d: directory(d, 24, b"\xf0\xff\xff\xff")),
    "no directory": lambda m: m.update({"labels.npz": b"PK" * 100}),
    "a zip bomb": bomb,
    "a picture bomb": picture_bomb,
    "half a picture": lambda m: m.update({"rgb.jpg": m["rgb.jpg"][: len(m["rgb.jpg"]) // 2]}),
    "another format": other_format,
    "no picture": lambda m: m.update({"rgb.jpg": b""}),
}


BOMBS = ("a zip bomb", "a picture bomb")


@pytest.mark.parametrize(
    ("case", "checked"),
    [(case, True) for case in CHANGES] + [(case, False) for case in CHANGES if case not in BOMBS],
)
def test_a_bad_clip_affects_only_itself_and_takes_little_memory(toy, tmp_path, case, checked):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    items = read(toy, tmp_path / "x", CHANGES[case], checked=checked)
    bad = [str(item) for item in items if isinstance(item, Damaged)]
    good = [item[0].key for item in items if not isinstance(item, Damaged)]
    assert good == ["000000_0000", "000000_0002"] and len(bad) == 1
    assert VICTIM in bad[0] and "\n" not in bad[0]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 500_000  # kB


def test_a_flipped_bit_anywhere_in_a_clip_is_found(toy, tmp_path):
    """Flip one bit in each member of the second clip, except in the padding between members."""
    folder = Path(shutil.copytree(toy, tmp_path / "x"))
    path = folder / "shard-000000.tar"
    writer.write(path, [{"__key__": k, **m} for k, m in writer.read(path).items()])
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        members = [info for info in tar if info.name.startswith(VICTIM)]
    rng = np.random.default_rng(0)
    for info in members * 5:
        data = bytearray(whole)
        data[info.offset_data + int(rng.integers(info.size))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        items = list(read_clips(open_dataset(folder), ARRAYS, frozenset({"meta.json"})))
        bad = [str(item) for item in items if isinstance(item, Damaged)]
        assert len(items) == 3 and len(bad) == 1, info.name
        assert f"clip {VICTIM}: {info.name.partition('.')[2]} differs from its checksum" in bad[0]


def test_the_checksum_is_xxh3():
    # XXH3's own test vector: 64 bits of nothing, seed 0 (github.com/Cyan4973/xxHash).
    assert checksum(b"") == "xxh3:2d06800538d394c2" == writer.checksum(b"")
    assert checksum(b"abc") == writer.checksum(b"abc")


def test_finite_equals_numpy_for_all_float16_and_extreme_values():
    for bits in range(1 << 16):
        value = np.array([0, bits, 1], np.uint16).view(np.float16)
        assert finite(value) == np.isfinite(value).all()
    for kind in (np.float32, np.float64):
        for number in (0, -0.0, 1, np.inf, -np.inf, np.nan, -np.nan, np.finfo(kind).max,
                       np.finfo(kind).min, np.finfo(kind).tiny):  # fmt: skip
            value = np.array([[1, number], [-1, 0]], kind)
            assert finite(value) == np.isfinite(value).all()
    assert finite(np.zeros((0, 3), np.float32)) and not finite(np.full((2, 3), np.nan).T)


@pytest.mark.parametrize("size", [b"-0000001000\0", b"-1", b"+0000000010\0", b"1_0\0", b"\0"])
def test_an_invalid_size_ends_the_shard(toy, tmp_path, size):
    folder = Path(shutil.copytree(toy, tmp_path / "x"))
    path = folder / "shard-000000.tar"
    data = bytearray(path.read_bytes())
    data[124:136] = size.ljust(12, b"\0")
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    path.write_bytes(data)
    (item,) = read_clips(open_dataset(folder), ARRAYS)
    assert isinstance(item, Damaged) and "is not a tar at byte 0" in str(item)


def test_a_member_that_claims_gigabytes_takes_no_memory(toy, tmp_path):
    folder = Path(shutil.copytree(toy, tmp_path / "x"))
    path = folder / "shard-000000.tar"
    info = tarfile.TarInfo("000000_0000.labels.npz")
    info.size = 8 << 30
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(3000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    items = list(read_clips(open_dataset(folder), ARRAYS))
    assert items and all(isinstance(item, Damaged) for item in items)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize(
    "case", ["deflate_garbage", "encrypted", "header_paren", "negative_size", "unknown_method"]
)
def test_shards_that_once_hung_or_crashed_the_reader(case, tmp_path):
    folder = CASES / "reliability" / "bombs" / f"tar_{case}"
    if not folder.is_dir():
        pytest.skip("no shared cases")
    names = str(folder / "shard-000000.tar")
    program = (
        "import sys; from trainer.data.dataset import open_dataset; "
        "from trainer.data.loader import read_clips, wanted_arrays; "
        "items = list(read_clips(open_dataset(sys.argv[1]), wanted_arrays('flow+keypoints'))); "
        "print(*[item for item in items if isinstance(item, Exception)], sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, names], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "shard-000000.tar" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"joints": 3}, {"joints": None}, {"keypoints": [99]}, {"keypoints": ["a"]}, {"mirror": [0]},
        {"clip_length": 0}, {"clip_length": "31"}, {"image_size": -1}, {"clips": None},
        {"fps": "fast"}, {"fps": 0}, {"flow": 3}, {"flow": {"stride": "x"}}, {"body": "../b.npz"},
        {"body": 3}, {"bodies": "body.npz"}, {"config": 3}, {"config": {"record": "x"}},
        {"shards": "many"}, {"version": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_dataset_json_gives_one_sentence(toy, tmp_path, change):
    folder = Path(shutil.copytree(toy, tmp_path / "x"))
    content = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**content, **change}))
    try:
        open_dataset(folder)
    except BadInput as error:
        assert "\n" not in str(error)
    else:
        assert change in ({"config": 3},)  # not used by the reader
