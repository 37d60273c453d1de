"""Files are complete or unchanged; truncated lines are left out."""

import json
import os

import pytest

from trainer.common.files import read_json_lines, write_atomic, write_json


def test_a_file_is_complete_or_unchanged(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"µ": 1})
    with pytest.raises(RuntimeError), write_atomic(path) as file:
        file.write(b"half of")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"µ": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_truncated_lines_are_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_json_lines(path) == []
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"step": 3}')
    assert read_json_lines(path) == [{"step": 1}, {"step": 2}]
    path.write_bytes(b'{"step": 1}\n{"st{"step": 2}\n7\n{"step": 3}\n')
    assert read_json_lines(path) == [{"step": 1}, {"step": 3}]


def test_two_writers_of_one_path_leave_each_other_alone(tmp_path):
    path = tmp_path / "last.pt"
    with write_atomic(path) as one:
        one.write(b"one")
        with write_atomic(path) as two:
            two.write(b"two")
        assert path.read_bytes() == b"two"
    assert path.read_bytes() == b"one" and list(tmp_path.iterdir()) == [path]


def test_the_next_write_removes_a_killed_writers_file(tmp_path):
    path, left = tmp_path / "last.pt", tmp_path / f".last.pt.{'0' * 24}.tmp"
    for name in (left, tmp_path / ".other.tmp"):
        name.write_bytes(b"half")
        os.utime(name, (0, 0))
    with write_atomic(path) as file:
        (living,) = tmp_path.glob(".last.pt.*.tmp")
        assert living != left
        os.utime(living, (0, 0))
        write_json(path, 1)
        file.write(b"all")
    assert path.read_bytes() == b"all"
    assert {name.name for name in tmp_path.iterdir()} == {"last.pt", ".other.tmp"}
