"""Files are whole or as they were; lines cut short are left out."""

import json

import pytest

from trainer.common.files import read_json_lines, write_atomic, write_json


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"µ": 1})
    with pytest.raises(RuntimeError), write_atomic(path) as file:
        file.write(b"half of")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"µ": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_torn_lines_are_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_json_lines(path) == []
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"step": 3}')
    assert read_json_lines(path) == [{"step": 1}, {"step": 2}]
    path.write_bytes(b'{"step": 1}\n{"st{"step": 2}\n7\n{"step": 3}\n')
    assert read_json_lines(path) == [{"step": 1}, {"step": 3}]
