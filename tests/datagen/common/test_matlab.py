"""MATLAB files: what scipy writes and reads, and what neither should be ended by."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from datagen.common.matlab import read_matlab

ARRAYS = {
    "pose": np.random.default_rng(0).normal(size=(72, 5)),
    "joints2D": np.random.default_rng(1).normal(size=(2, 24, 5)).astype(np.float32),
    "segm_1": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "gender": np.array([[1]], np.int8),
    "long": np.array([[2**40, -1]], np.int64),
    "a" * 20: np.array([[1.5]]),
}


@pytest.mark.parametrize("packed", [False, True])
def test_what_scipy_writes_is_read_as_scipy_reads_it(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    others = {"text": "hello", "cells": np.array(["x", 1], object), "wave": np.array([[1 + 2j]])}
    scipy.io.savemat(path, {**others, **ARRAYS}, do_compression=packed)
    found = read_matlab(path, [*ARRAYS, *others, "absent"])
    wanted = scipy.io.loadmat(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in found.items():
        assert array.dtype == wanted[name].dtype
        np.testing.assert_array_equal(array, wanted[name])


def test_damage_is_a_value_error_and_no_crash(tmp_path: Path) -> None:
    """One byte after the other; what is still read has the sizes that it had."""
    path, rng = tmp_path / "a.mat", np.random.default_rng(0)
    for packed in (False, True):
        scipy.io.savemat(path, ARRAYS, do_compression=packed)
        whole = bytearray(path.read_bytes())
        refused = 0
        for at in rng.integers(128, len(whole), 400):
            data = whole.copy()
            data[at] ^= 1 << rng.integers(8)
            path.write_bytes(data)
            try:
                read_matlab(path, ARRAYS)
            except ValueError:
                refused += 1
        assert refused > (20 if not packed else 300)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"pose": np.zeros((1, 1 << 25))}, do_compression=True)
    with pytest.raises(ValueError, match="larger"):
        read_matlab(path, ["pose"])
    scipy.io.savemat(path, {"pose": np.zeros((1, 3))})
    data = path.read_bytes()
    path.write_bytes(
        data.replace(
            b"\5\0\0\0\x08\0\0\0\1\0\0\0\3\0\0\0", b"\5\0\0\0\x08\0\0\0\1\0\0\0\xff\xff\xff\x7f"
        )
    )
    with pytest.raises(ValueError, match="pose claims"):
        read_matlab(path, ["pose"])
    path.write_bytes(data[:130])
    assert read_matlab(path, ["pose"]) == {}
    path.write_bytes(b"MATLAB 7.3 MAT-file")
    with pytest.raises(ValueError, match="version 5"):
        read_matlab(path, ["pose"])
