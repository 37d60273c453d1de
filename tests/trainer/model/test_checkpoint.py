"""A checkpoint is data, and is written completely or not at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.analysis.runs import find_runs
from trainer.data.dataset import open_dataset
from trainer.errors import BadInput, near
from trainer.model.checkpoint import load_checkpoint, save_checkpoint

PARTS = {"model": {}, "body": {}, "weights": {}, "config": {}, "data": {}, "settings": {}}
"""Required keys of a checkpoint that these tests do not use."""


def test_a_checkpoint_is_data_and_never_partial(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {**PARTS, "step": 1, "weights": {"a": torch.ones(3)}})
    assert load_checkpoint(path)["step"] == 1
    (tmp_path / "code.pt").write_bytes(b"cposix\nsystem\n(S'echo bad'\ntR.")
    (tmp_path / "text.pt").write_text("a note\n")
    (tmp_path / "empty.pt").touch()
    (tmp_path / "folder.pt").mkdir()
    np.savez(tmp_path / "arrays.pt.npz", a=np.zeros(3))
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pt")
    torch.save({"a": torch.ones(3)}, tmp_path / "other.pt")
    others = [one for one in tmp_path.iterdir() if one != path]
    assert len(others) == 7
    for other in others:
        with pytest.raises(
            BadInput, match=r"is (not a checkpoint .*|a folder); pass a last\.pt"
        ) as error:
            load_checkpoint(other)
        assert "weights_only" not in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(BadInput, match="does not exist"):
        load_checkpoint(tmp_path / "none.pt")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BadInput, match="is not a checkpoint"):
        load_checkpoint(path)


def test_a_kill_during_a_checkpoint_leaves_a_loadable_one(tmp_path):
    program = f"""
import torch, sys
from pathlib import Path
from trainer.model.checkpoint import save_checkpoint
step = 0
while True:
    step += 1
    content = {{**{PARTS!r}, "step": step, "weights": {{"w": torch.ones(400_000)}}}}
    save_checkpoint(Path({str(tmp_path)!r}) / "last.pt", content)
    print(step, flush=True)
"""
    for delay in (0.0, 0.01):
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
        )
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.readline()
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert load_checkpoint(tmp_path / "last.pt")["step"] >= 2


def test_a_misspelt_path_gets_the_nearest_name(tmp_path, monkeypatch):
    """As in datagen: of a checkpoint, shards, a run."""
    (tmp_path / "best.pt").write_bytes(b"")
    with pytest.raises(BadInput, match=r"bst.pt does not exist \(do you mean .*/best.pt\?\); pass"):
        load_checkpoint(tmp_path / "bst.pt")
    shards = tmp_path / "demo" / "shards"
    shards.mkdir(parents=True)
    with pytest.raises(BadInput, match=r"demoo is not a folder \(do you mean .*/demo\?\)"):
        open_dataset(tmp_path / "demoo")
    (shards / "dataset.json").write_text("{}")
    with pytest.raises(BadInput, match=r"no dataset.json \(do you mean .*/demo/shards\?\)"):
        open_dataset(tmp_path / "demo")
    with pytest.raises(BadInput, match=r"holds no run .*\(do you mean .*/demo\?\)"):
        find_runs(str(tmp_path / "dem"))
    assert near(tmp_path / "demo") == near(tmp_path / "other" / "thing") == ""
