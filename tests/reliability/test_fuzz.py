"""The fuzzer and the loop of kills, a little of them; as scripts they run for as long as asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
QUICK = (
    "amass surreal_npz bvh amc deepmimic body_npz body_pkl regressor uv_map pictures "
    "surreal_labels keypoints trc threedpw flow_weights reduced_body predictions"
).split()
"""Readers whose files are made in no time."""


def figures(script: str, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(HERE / script), *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_mutated_files_are_refused_or_read_as_something_that_can_be() -> None:
    found = figures("fuzz.py", "--count", "170", "--readers", *QUICK)
    assert found["readers"] == len(QUICK)
    assert found["files"] == found["read"] + found["refused"] >= 160
    assert found["read"] >= 10, "whole files are refused"
    assert found["refused"] >= 50


@pytest.mark.slow
def test_mutated_files_of_all_readers(tmp_path: Path) -> None:
    found = figures("fuzz.py", "--count", "3000", "--seed", "1", "--keep", str(tmp_path))
    assert found["readers"] == 30
    assert found["peak_mb"] < 2048


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "count"), [("serial", 20), ("processes", 10), ("ray", 4)])
def test_kills_leave_nothing_wrong_stuck_stale_or_left_over(mode: str, count: int) -> None:
    found = figures("kills.py", "--mode", mode, "--count", str(count))
    assert found["kills"] == count
    assert found["finished"] >= 1
