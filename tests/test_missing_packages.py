"""With missing packages a command prints how to install them; a bug still has a traceback."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from datagen.common import cli as generator
from trainer.common import cli as trainer

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = [
    f"{package}.{name}"
    for package, names in {
        "datagen": "launch verify inspect ingest overlay doctor flow.train",
        "trainer": "fit evaluate predict tables",
    }.items()
    for name in names.split()
]


@pytest.mark.parametrize("command", [*COMMANDS, "datagen/launch.py"])
def test_a_command_names_the_environment(command):
    called = [command] if command.endswith(".py") else ["-m", command]
    # -S: without site-packages, like a system Python without installed packages.
    done = subprocess.run([sys.executable, "-S", *called], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "`make setup`" in done.stderr
    extra = "'.[datagen]'" if "datagen" in command else "."
    assert f"`pip install {extra}`" in done.stderr
    assert "source .venv/bin/activate" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("cli", [generator, trainer])
def test_an_import_error_of_a_bug_is_not_changed(cli):
    assert "torch" in cli.missing_package(ModuleNotFoundError("no", name="torch"))
    for error in (
        ModuleNotFoundError("no", name="datagen.nowhere"),
        ModuleNotFoundError("no", name="torch.nowhere"),
        ModuleNotFoundError("no", name="somebody_elses"),
        ImportError("cannot import name", name="torch"),
        KeyError("torch"),
    ):
        assert cli.missing_package(error) == ""


def test_a_bug_shows_its_traceback(tmp_path):
    package = tmp_path / "trainer"
    (package / "common").mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "common/__init__.py", "common/cli.py"):
        (package / name).write_text((ROOT / "trainer" / name).read_text())
    (package / "command.py").write_text("import trainer.nowhere\n")
    done = subprocess.run(
        [sys.executable, "-m", "trainer.command"], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "No module named 'trainer.nowhere'" in done.stderr


def test_a_program_that_imports_us_keeps_its_own_hook():
    code = "import sys, datagen, trainer; assert sys.excepthook is sys.__excepthook__"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    "line",
    [
        "datagen.launch --out oss://b/x",
        "datagen.launch --library oss://b/x",
        "datagen.verify oss://b/x",
        "datagen.inspect oss://b/x",
        "trainer.fit --shards oss://b/x",
        "trainer.evaluate --shards oss://b/x",
        "trainer.compare oss://b/x",
    ],
)
def test_a_urls_missing_package_is_named(line: str, monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ossfs", None)  # of Alibaba's store
    command, *words = line.split()
    monkeypatch.setattr("sys.argv", [command, *words])
    try:
        status = import_module(command).main()
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr().err
    assert status == 2
    assert printed.startswith("error: oss://b/x") and printed.count("\n") == 1
    assert (
        "cannot be opened: Install ossfs to access" in printed and "`pip install ossfs`" in printed
    )
