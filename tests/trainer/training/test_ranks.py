"""Several ranks: the gradient of the joint batch, and no waiting with uneven shards."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trainer_fixtures import write_shards

ROOT = Path(__file__).parents[3]

GRADIENTS = """
import gc, sys
from pathlib import Path
import torch
import torch.distributed as dist
torch.set_num_threads(1)
from trainer.training.factory import make_loaders, make_train_step, model_spec
from trainer.training.options import FitConfig
from trainer.data.inputs import draw_inputs
from trainer.common.device import Ranks, start_ranks
from trainer.training.settings import choose
from trainer.model.body import read_body
from trainer.data.dataset import open_dataset

cfg = FitConfig(shards=Path(sys.argv[1]), device="cpu", steps=1, batch_size=2, image_size=32,
                lstm_width=8, precision="fp32", backbone="small", workers=0, shuffle=1)
ranks = start_ranks("cpu")
cpu = torch.device("cpu")
data = open_dataset(cfg.shards[0])
settings = choose(cfg, data, cpu)
model = model_spec(cfg, settings, data)
trainer = make_train_step(cfg, settings, model, data, read_body(data.body), cpu, ranks)

def gradients(trainer, batch):
    totals = trainer.totals([batch])
    trainer.wrapped.eval()  # no dropout, and norms that do not depend on who computes them
    losses, _ = trainer.wrapped(draw_inputs(batch, trainer.spec), batch, totals, None)
    losses["loss"].backward()
    return torch.cat([p.grad.flatten() for p in trainer.objective.parameters()])

batch = next(iter(make_loaders(cfg, settings, model, data, None, cpu, ranks, None)[0])).batch
batch["visibility"][0, :, 24 + ranks.rank :] = 0  # ranks count different numbers of joints
batch["valid"][1, : 1 + ranks.rank] = 0
together = gradients(trainer, batch)
both = [None] * ranks.world
dist.all_gather_object(both, batch)
alone = make_train_step(cfg, settings, model, data, read_body(data.body), cpu, Ranks())
joined = {name: torch.cat([b[name] for b in both]) for name in batch}
expected = gradients(alone, joined)
error = float((together - expected).abs().max() / expected.abs().max())
assert error < 1e-5, error
assert torch.stack([b["joints3d"][0, 0, 0, 0] for b in both]).unique().numel() == ranks.world
print("equal", flush=True)
del trainer, alone
gc.collect()
dist.destroy_process_group()
"""

FIT = """
import runpy, sys
from pathlib import Path
sys.argv = ["trainer.fit", *sys.argv[1:]]
runpy.run_module("trainer.fit", run_name="__main__")
names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
assert names and not any("gloo" in name for name in names), names
"""


def start(command: list[str], port: int, world: int = 2) -> list[subprocess.Popen[str]]:
    """Start a command as gloo ranks."""
    children = []
    for rank in range(world):
        environment = dict(
            os.environ, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world),
            MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), OMP_NUM_THREADS="1",
        )  # fmt: skip
        children.append(
            subprocess.Popen(
                command, cwd=ROOT, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
    return children


def launch(command: list[str], port: int) -> list[str]:
    """Run a command as gloo ranks and return their outputs; fail if one fails or hangs."""
    children = start(command, port)
    try:
        outputs = [child.communicate(timeout=180)[0] for child in children]
    finally:
        for child in children:
            child.kill()
    for child, output in zip(children, outputs, strict=True):
        assert child.returncode == 0, output
    return outputs


def options(toy: Path, out: Path, steps: int) -> list[str]:
    """Return trainer.fit's options for a network as small as it gets."""
    return [
        "--shards", str(toy), "--out", str(out), "--device", "cpu", "--steps", str(steps),
        "--batch-size", "2", "--image-size", "32", "--backbone", "small", "--lstm-width", "8",
        "--precision", "fp32", "--workers", "0", "--inputs", "keypoints",
    ]  # fmt: skip


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are named by Linux only")
@pytest.mark.parametrize("head", ["smpl", "joints"])  # all of their weights get gradients
def test_no_gloo_thread_outlives_the_process_group(tmp_path, head):
    toy = write_shards(tmp_path / "toy", shards=2, clips=2, frames=4, size=32)
    command = [sys.executable, "-c", FIT, *options(toy, tmp_path / "run", steps=2)]
    launch([*command, "--head", head], free_port())


def test_two_ranks_give_the_gradient_of_the_joined_batch(tmp_path):
    toy = write_shards(tmp_path / "toy", shards=2, clips=3, frames=4, size=32)
    outputs = launch([sys.executable, "-c", GRADIENTS, str(toy)], free_port())
    assert all("equal" in output for output in outputs)


def test_no_rank_waits_with_uneven_shards(tmp_path):
    toy = write_shards(tmp_path / "toy", shards=3, clips=4, frames=4, size=32, short=3)
    out = tmp_path / "run"
    command = [
        sys.executable, "-m", "trainer.fit", *options(toy, out, steps=9),
        "--val-shards", str(toy), "--val-clips", "2", "--save-every", "4",
    ]  # fmt: skip
    launch(command, free_port())
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 10))
    assert lines[-1]["val_pa_mpjpe"] > 0
    launch([*command, "--resume", str(out / "last.pt")], free_port())


@pytest.mark.slow
def test_after_control_c_one_rank_names_the_command_and_none_prints_a_traceback(tmp_path):
    toy = write_shards(tmp_path / "toy", shards=2, clips=2, frames=4, size=32)
    out = tmp_path / "run"
    command = [
        sys.executable, "-m", "trainer.fit", *options(toy, out, steps=100_000), "--save-every", "2",
    ]  # fmt: skip
    ranks = start(command, free_port())
    try:
        while not (out / "last.pt").exists():
            assert all(rank.poll() is None for rank in ranks)
            time.sleep(0.1)
        for rank in ranks:
            rank.send_signal(signal.SIGINT)
        first, second = (rank.communicate(timeout=180)[0] for rank in ranks)
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [130, 130]
    assert f"--resume {out / 'last.pt'}`" in first
    assert "Traceback" not in first + second and "stopped" not in second
