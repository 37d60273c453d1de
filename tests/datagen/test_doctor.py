"""doctor: each missing part is one line that names its repair."""

import builtins
from pathlib import Path
from types import SimpleNamespace

import pytest

from datagen import doctor as room
from datagen.common.errors import BadInput, BadMachine
from datagen.doctor import main as doctor


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    out = capsys.readouterr().out.splitlines()
    return {line[5:16].strip(): line for line in out[:-1]} | {"": out[-1]}


def test_this_machine_is_ready(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert doctor(["--out", str(tmp_path / "a" / "shards")]) == 0
    found = lines(capsys)
    assert set(found) == {"OpenGL", "body model", "video", "Ray", "GPU", "memory", "disk", ""}
    assert all(line.startswith("ok") for name, line in found.items() if name)
    assert found[""] == "This machine is ready." and str(tmp_path) in found["disk"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes seconds and is not the matter."""
    monkeypatch.setattr(room, "_opengl", lambda cfg: "")
    monkeypatch.setattr(room, "_body", lambda cfg: "")


@pytest.mark.parametrize(
    ("module", "check", "fix"),
    [
        ("cv2", "video", "pip install -c constraints.txt opencv-python-headless"),
        ("av", "video", "pip install -c constraints.txt av"),
        ("ray", "Ray", "pip install -c constraints.txt 'ray[default]'"),
    ],
)
def test_a_missing_package_is_named_with_its_command(
    quick, module: str, check: str, fix: str, monkeypatch, capsys
) -> None:
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert doctor([]) == 1
    found = lines(capsys)
    assert found[check].startswith("BAD") and found[check].endswith(fix)
    assert found[""].startswith("1 problem to fix")


def test_a_body_that_is_not_there_is_named(capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(room, "_opengl", lambda cfg: "")
    assert doctor(["--body", str(tmp_path / "none.npz")]) == 1
    assert "none.npz" in lines(capsys)["body model"]
    assert doctor(["--joint-regressor", "rows.npy"]) == 1
    assert "give --body with it" in lines(capsys)["body model"]


@pytest.mark.parametrize(
    ("listed", "cuda", "words"),
    [
        ("GPU 0: NVIDIA H100", None, "has no CUDA.*then make -B setup"),
        ("GPU 0: NVIDIA H100", "13.0", "driver is too old"),
        (None, None, "nvidia-smi fails: NVML: no driver"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_bad(listed, cuda, words: str, monkeypatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(room.shutil, "which", lambda name: name)
    answer = SimpleNamespace(returncode=int(listed is None), stdout=listed or "", stderr="")
    answer.stderr = "" if listed else "NVML: no driver\n"
    monkeypatch.setattr(room.subprocess, "run", lambda *args, **kwargs: answer)
    with pytest.raises(BadMachine, match=words):
        room._gpu(room.DoctorConfig())


def test_little_memory_means_fewer_workers(monkeypatch) -> None:
    monkeypatch.setattr(room.os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(room, "_memory_left", lambda: 5e9)
    assert "--workers 3" in room._memory(room.DoctorConfig())
    monkeypatch.setattr(room, "_memory_left", lambda: 64e9)
    assert "--workers" not in room._memory(room.DoctorConfig())
    monkeypatch.setattr(room, "_memory_left", lambda: 1e9)
    with pytest.raises(BadMachine, match="close programs"):
        room._memory(room.DoctorConfig())


def test_a_containers_page_cache_counts_as_left(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("8000\n")
    (tmp_path / "memory.current").write_text("5000\n")
    assert room.group_left(tmp_path) == 3000
    (tmp_path / "memory.stat").write_text("anon 1000\nfile 4000\ninactive_file 3500\n")
    assert room.group_left(tmp_path) == 6500
    (tmp_path / "memory.max").write_text("max\n")
    with pytest.raises(ValueError, match="max"):
        room.group_left(tmp_path)


def test_a_full_disk_is_bad(quick, monkeypatch, capsys) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=5e8))
    assert doctor([]) == 1
    disk = lines(capsys)["disk"]
    assert "0.5 GB free" in disk and "choose another --out" in disk


def test_a_dashboards_address_is_no_ray_to_join(monkeypatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    with pytest.raises(BadInput, match="RAY_ADDRESS http://head:8265 is a dashboard's address"):
        room._ray(room.DoctorConfig())
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert room._ray(room.DoctorConfig()).endswith("joins head:6379")
