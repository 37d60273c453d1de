"""Small files that claim, or unpack to, far more than they mean: refused before memory is taken."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from motion_files import REST, bvh_text

from datagen.backgrounds.library import read_background
from datagen.bodies.motion.sources import find_motions, load_motion
from datagen.bodies.smpl.files import read_body_file
from datagen.bodies.storage import clip_lengths, read_person
from datagen.common import npz, pictures
from datagen.common.hdf5 import PACKED, read_array
from datagen.flow.checkpoint import read_checkpoint
from datagen.footage.keypoint_files import read_people
from datagen.footage.threedpw import read_sequence
from datagen.output import shard
from trainer.common.npz import read_npz
from trainer.data.npz import npz_arrays
from trainer.errors import BadInput as TrainerError
from trainer.model.body import read_body
from trainer.model.checkpoint import load_checkpoint

ZEROS = 150 << 20
"""Bytes that a bomb unpacks to, 0.7 MB as they lie in the file."""
MOST = 64 << 20
"""Bytes that a reader may take for a file of at most 1 MB."""


def bomb(path: Path, names: list[str], columns: int, *, filled: bool = True) -> Path:
    """An .npz whose arrays are zeros, packed, or claim 16 times as many."""
    rows = ZEROS // (8 * columns) * (1 if filled else 16)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (rows, columns)}
    )
    content = header.getvalue() + bytes(rows * columns * 8 if filled else 1000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in names:
            archive.writestr(f"{name}.npy", content)
    assert path.stat().st_size < 1 << 20
    return path


def claim(path: Path, shape: tuple[int, ...], descr: str = "<f8") -> Path:
    """An .npy that claims a shape and holds nothing."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": descr, "fortran_order": False, "shape": shape}
        )
    return path


def motions(path: Path) -> Any:
    return [load_motion(source, REST) for source in find_motions(path.parent)]


def amass(folder: Path) -> Path:
    return bomb(folder / "a_poses.npz", ["poses", "mocap_framerate"], 3, filled=False)


def bvh(folder: Path) -> Path:
    """A joint less channels each: a frame costs two bytes, and 100 joints in memory."""
    text = bvh_text(2).replace("CHANNELS 3 Zrotation Yrotation Xrotation", "CHANNELS 0")
    text = text.replace("CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation",
                        "CHANNELS 0")  # fmt: skip
    head, _ = text.split("MOTION")
    path = folder / "a.bvh"
    path.write_text(f"{head}MOTION\nFrames: {10**9}\nFrame Time: 0.01\n")
    return path


def bvh_of_many_joints(folder: Path) -> Path:
    spine = "".join(f"JOINT x{i} {{ OFFSET 0 1 0 CHANNELS 0 " for i in range(900)) + "}" * 900
    head = bvh_text(2).split("MOTION")[0].rstrip()[:-1] + spine + "}\nMOTION\n"
    channels = bvh_text(2).count("rotation") + 3
    rows = ("0 " * channels + "\n") * 20_000
    path = folder / "a.bvh"
    path.write_text(f"{head}Frames: 20000\nFrame Time: 0.01\n{rows}")
    return path


def keypoints(folder: Path) -> Path:
    return bomb(folder / "k.npz", ["keypoints"], 3, filled=False)


def keypoints_of_one_frame(folder: Path) -> Path:
    """A thousand people in one frame of a million: the array of all would have a billion points."""
    one = '{"image_id": 0, "keypoints": [' + ",".join(["1"] * 51) + "]}"
    last = one.replace('"image_id": 0', '"image_id": 100000')
    path = folder / "k.json"
    path.write_text("[" + ",".join([one] * 1500 + [last]) + "]")
    return path


def smpl(folder: Path) -> Path:
    return bomb(folder / "neutral.npz", ["v_template"], 3)


def reduced(folder: Path) -> Path:
    return bomb(folder / "body.npz", ["v_template"], 3)


def shared_lists(folder: Path) -> Path:
    """Equal objects are one in a pickle: 2 kB become 10^9 numbers."""
    inner = [np.zeros(1000)] * 1000
    path = folder / "x.pkl"
    path.write_bytes(pickle.dumps({"betas": [inner] * 1000}, 2))
    return path


def bytearray8(folder: Path) -> Path:
    path = folder / "x.pkl"
    path.write_bytes(
        b"\x80\x05}\x8c\x05betas\x96" + struct.pack("<Q", 3 << 30) + b"x" * 100 + b"s."
    )
    return path


def strides_0(folder: Path) -> Path:
    path = folder / "a.pth"
    torch.save({"state_dict": {"weight": torch.zeros(1).expand(1 << 31)}}, path)
    return path


def packed_weights(folder: Path) -> Path:
    plain, path = folder / "plain.pth", folder / "a.pth"
    torch.save({"weight": torch.zeros(1 << 20)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    plain.unlink()
    return path


def picture(folder: Path) -> Path:
    """A PNG whose header claims 3.6 thousand million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))  # fmt: skip

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path = folder / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )  # fmt: skip
    return path


def people(folder: Path) -> Path:
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["name"], file.attrs["size"] = "a", np.array([60_000, 60_000])
        group = file.create_group("clip_0000")
        for name in ("pose", "mask", "rgb", "offsets"):
            group.create_dataset(name, (1 << 31, 8), np.float32, chunks=(1 << 20, 8))
    return path


CASES: list[tuple[Callable[[Path], Path], Callable[[Path], Any]]] = [
    (amass, motions),
    (bvh, motions),
    (bvh_of_many_joints, motions),
    (keypoints, read_people),
    (keypoints_of_one_frame, read_people),
    (smpl, read_body_file),
    (reduced, read_body),
    (shared_lists, read_sequence),
    (bytearray8, read_sequence),
    (strides_0, read_checkpoint),
    (strides_0, load_checkpoint),
    (packed_weights, read_checkpoint),
    (packed_weights, load_checkpoint),
    (picture, pictures.read),
    (people, lambda path: read_person(path, 0, 0, 8)),
    (lambda folder: claim(folder / "a.npy", (1 << 40, 2)), npz.read_npy),
    (lambda folder: claim(folder / "a.npy", (-1, 2)), npz.read_npy),
    (lambda folder: claim(folder / "a.npy", (1 << 22,)), npz.read_npy),
    (lambda folder: claim(folder / "a.npy", (1,), "<U99999999"), npz.read_npy),
]


@pytest.mark.parametrize(("make", "read"), CASES)
def test_a_bomb_is_refused_in_a_sentence(
    make: Callable[[Path], Path], read: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, TrainerError)) as caught:  # BadInput is a ValueError
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A text is in memory as words; that is no more than some ten times the file.
    assert peak < MOST + 20 * path.stat().st_size * (path.suffix == ".bvh")
    assert len(str(caught.value)) < 1100


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.ones((3, 2), complex), "must be numbers"),
        (np.full((3, 2), "x"), "must be numbers"),
        (np.full((3, 2), None), "must be numbers"),
        (np.zeros((3, 2), "M8[s]"), "must be numbers"),
        (np.ones((3, 5)), "at most 10"),
    ],
)
def test_arrays_of_what_is_no_number_are_refused(
    array: np.ndarray, why: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=array)
    with pytest.raises(ValueError, match=why):
        npz.read_npy(tmp_path / "a.npy", 10)
    with npz.open_npz(tmp_path / "a.npz") as arrays, pytest.raises(ValueError, match=why):
        arrays.read("a", 10)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_numpy_reads_them(save: Callable[..., None], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "f8": rng.normal(size=(5, 3)), "f2": rng.normal(size=4).astype(np.float16),
        "order": np.asfortranarray(rng.normal(size=(5, 3))), "scalar": np.array(3, np.uint8),
        "empty": np.zeros((0, 3)), "big": np.arange(6, dtype=">i4").reshape(2, 3),
        "bool": np.array([True, False]),
    }  # fmt: skip
    save(tmp_path / "a.npz", **arrays)
    with npz.open_npz(tmp_path / "a.npz") as found:
        assert found.names == arrays.keys()
        for name, array in arrays.items():
            read = found.read(name)
            assert read.dtype == array.dtype
            np.testing.assert_array_equal(read, array)
        with pytest.raises(KeyError):
            found.read("none")


def test_a_flipped_byte_of_an_array_is_found(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.arange(1000.0))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[5000] ^= 1
    with npz.open_npz(bytes(data)) as arrays, pytest.raises(ValueError, match="CRC"):
        arrays.read("a")


def test_a_library_file_reads_no_other_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["pose"] = np.ones(3)
    (tmp_path / "raw").write_bytes(np.ones(3).tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("secret.h5", "pose")
        file.create_dataset("raw", (3,), float, external=[(str(tmp_path / "raw"), 0, 24)])
        layout = h5py.VirtualLayout((3,), float)
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "pose", (3,))
        file.create_virtual_dataset("virtual", layout)
    with h5py.File(tmp_path / "a.h5") as file:
        for name in file:
            assert np.array_equal(file[name][()], np.ones(3)), "HDF5 itself follows it"
            with pytest.raises(ValueError, match="another file"):
                read_array(file, name)


@pytest.mark.parametrize(("times", "stored"), [(1, PACKED + 1), (2, 100)])
def test_what_hdf5_would_unpack_without_end_is_not_read(
    times: int, stored: int, tmp_path: Path
) -> None:
    """HDF5 unpacks a chunk whole before it looks at the size: 1 MB to 1 GB, twice packed 1 kB."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((1000,))
    for _ in range(times):
        properties.set_deflate(1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        space, kind = h5py.h5s.create_simple((1000,)), h5py.h5t.NATIVE_UINT8
        dataset = h5py.h5d.create(file.id, b"pose", kind, space, properties)
        dataset.write_direct_chunk((0,), bytes(stored))
    with h5py.File(tmp_path / "a.h5") as file, pytest.raises(ValueError, match=r"(chunk|packed)"):
        read_array(file, "pose")


@pytest.mark.parametrize("options", [{"compression": "lzf"}, {"scaleoffset": 3}])
def test_other_filters_than_ours_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("pose", data=np.arange(1000), **options)
        file.create_dataset("claim", (1 << 25,), np.uint8)
        for name in ("pose", "claim"):
            with pytest.raises(ValueError, match=name):
                read_array(file, name)


def test_a_librarys_groups_lie_in_the_file_itself(tmp_path: Path) -> None:
    """Else a link to a pipe would be opened, and waited for without end."""
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["name"] = file.attrs["group"] = "a"
        file["clip_0000"] = file["window_000"] = h5py.ExternalLink("pipe", "/")
    for read in (clip_lengths, lambda path: read_person(path, 0, 0, 1),
                 lambda path: read_background(path, 0)):  # fmt: skip
        with pytest.raises(ValueError, match="a\\.h5"):
            read(tmp_path / "a.h5")


def test_two_arrays_of_a_name_are_refused(tmp_path: Path) -> None:
    """Readers would differ in which of them they take."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for value in (1.0, 2.0):
            array = io.BytesIO()
            np.save(array, np.full(3, value))
            archive.writestr("a.npy", array.getvalue())
    with pytest.raises(ValueError, match="two"), npz.open_npz(data.getvalue()):
        pass
    with pytest.raises(ValueError, match="two"):
        npz_arrays(data.getvalue(), frozenset({"a"}))
    with pytest.raises(ValueError, match="two"):
        read_npz(data.getvalue(), 1 << 20)


def test_two_members_of_a_name_are_refused() -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for content in (b"1", b"2"):
            info = tarfile.TarInfo("000000_0000.meta.json")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(ValueError, match=r"two meta\.json"):
        shard.split(data.getvalue())
