"""The package has two programs; the trainer needs only the base dependencies."""

import os
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from trainer_fixtures import write_shards  # pyright: ignore[reportMissingImports]

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("program", ["datagen", "trainer"])
def test_a_program_lists_its_commands(program):
    done = subprocess.run(
        [sys.executable, "-m", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    listed = import_module(f"{program}.__main__").COMMANDS
    files = {path.stem for path in (ROOT / program).glob("*.py")}
    assert {name for name in listed if "." not in name} <= files
    for name in listed:
        assert f"python -m {program}.{name} " in done.stdout


def test_every_entry_point_is_a_command():
    for script, target in PROJECT["scripts"].items():
        module, name = target.split(":")
        assert script == f"motion-hmr-{name}" and name in import_module(module).COMMANDS
        assert callable(getattr(import_module(module), name))


@pytest.mark.slow
def test_a_wheel_trains_with_the_base_dependencies(tmp_path):
    """Needs a package index that has the dependencies, as configured in pip."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("datagen", "trainer"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def call(*command: object, status: int = 0) -> str:
        words = list(map(str, command))
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == status, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    call(sys.executable, "-m", "venv", "empty")
    scripts = tmp_path / "empty/bin"
    call(scripts / "pip", "wheel", "-q", "--no-deps", "-w", "wheels", source)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    call(scripts / "pip", "install", "-q", wheel)
    installed = call(scripts / "pip", "list", "--format", "freeze").lower()
    assert "torch==" in installed and "opencv" not in installed and "ray==" not in installed
    assert "--shards" in call(scripts / "python", "-m", "trainer.fit", "--help")
    toy = write_shards(tmp_path / "toy", shards=2, clips=3, frames=6, size=32)
    options = "--steps 3 --device cpu --batch-size 2 --backbone small --lstm-width 16 --threads 1"
    call(scripts / "motion-hmr-fit", "--shards", toy, "--out", "run", *options.split())
    assert (tmp_path / "run/last.pt").exists() and (tmp_path / "run/loss.png").exists()
    refused = call(scripts / "motion-hmr-verify", "--help", status=2)
    assert refused.startswith("error: ") and "Traceback" not in refused
