"""Full disks, read-only disks, and a folder that another process is writing."""

import contextlib
import errno
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from trainer_fixtures import write_shards

from trainer.common import cli
from trainer.common.files import write_atomic, write_json
from trainer.compare import CompareConfig, compare_runs
from trainer.errors import BadInput
from trainer.evaluate import evaluate
from trainer.evaluation.options import EvaluateConfig, PredictConfig
from trainer.export import ExportConfig, export
from trainer.fit import fit
from trainer.paper import study
from trainer.paper.options import TablesConfig
from trainer.predict import predict
from trainer.tables import make_tables
from trainer.training.options import FitConfig

pytestmark = pytest.mark.usefixtures("one_thread")


@contextlib.contextmanager
def limited_space(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("toy"), shards=1, clips=4, frames=40, size=32)


def options(toy: Path, out: Path) -> FitConfig:
    return FitConfig(
        shards=(str(toy),), out=out, device="cpu", steps=2, batch_size=2, inputs="keypoints",
        keypoints="coordinates", head="joints", lstm_width=8, precision="fp32", frames=6, ema=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory) -> Path:
    return fit(options(toy, tmp_path_factory.mktemp("run") / "x"))


@pytest.mark.parametrize("command", ["fit", "predict", "evaluate", "export"])
def test_a_full_disk_ends_in_one_sentence_without_partial_files(toy, trained, tmp_path, command):
    out = tmp_path / "out"
    network = trained / "last.pt"
    shown = dict(checkpoint=network, shards=str(toy), out=out, device="cpu")
    call = {
        "fit": lambda: fit(options(toy, out)),
        "predict": lambda: predict(PredictConfig(**shown)),
        "evaluate": lambda: evaluate(EvaluateConfig(**shown)),
        "export": lambda: export(ExportConfig(checkpoint=network, out=out)),
    }[command]
    with limited_space(8000), pytest.raises(BadInput, match=f"no space is left in {out}"):
        call()
    assert not [path for path in out.rglob("*") if "tmp" in path.name]
    if command == "fit":
        assert not (out / "last.pt").exists()
    else:
        call()  # with enough space, the same command succeeds


def test_tables_and_charts_on_a_full_disk_end_in_one_sentence(
    toy, trained, tmp_path, monkeypatch, capsys
):
    """capsys captures output in memory; pytest's own file would hit the size limit too."""
    out = tmp_path / "out"
    monkeypatch.setattr(study, "call", lambda *_: 1)
    given = dict(data=(f"full={toy}",), test=(f"held-out={toy}",), tables=(2,))
    calls = [
        lambda: make_tables(TablesConfig(out=out, **given)),
        lambda: compare_runs(CompareConfig(runs=(str(trained),), out=out)),
    ]
    for call in calls:
        with limited_space(100), pytest.raises(BadInput, match=f"no space is left in {out}"):
            call()
        assert not [path for path in out.rglob("*") if "tmp" in path.name]


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "no space"), (errno.EDQUOT, "no space"), (errno.EROFS, "cannot be written")],
)
def test_every_command_reports_disk_errors(monkeypatch, capsys, tmp_path, code, words):
    def fails(_: object) -> None:
        with contextlib.suppress(ValueError):
            raise ValueError("in between")
        raise OSError(code, "as the system words it")

    monkeypatch.setattr(sys, "argv", ["x", "--checkpoint", "a", "--out", "b"])
    with pytest.raises(SystemExit) as ended:
        cli.run(ExportConfig, fails, "")
    printed = capsys.readouterr().err
    assert ended.value.code == 2 and words in printed and printed.count("\n") == 1
    path = tmp_path / "file"
    write_json(path, 1)
    with pytest.raises(BadInput, match=words), write_atomic(path):
        raise OSError(code, "as the system words it")
    assert path.read_text() == "1\n" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(OSError, match="another fault"), write_atomic(path):
        raise OSError(errno.EIO, "another fault")


def test_two_runs_into_one_folder_are_refused(toy, tmp_path):
    """The other process has not written its first checkpoint."""
    out = tmp_path / "run"
    program = (
        "import sys; from pathlib import Path; "
        "from trainer.training.run_folder import RunWriter; "
        "writer = RunWriter(Path(sys.argv[1])); print('there', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, out],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert other.stdout is not None and other.stdout.readline() == "there\n"
    with pytest.raises(BadInput, match=r"another trainer\.fit is writing into"):
        fit(options(toy, out))
    assert [path.name for path in out.iterdir()] == [".lock"]
    other.communicate("")
    fit(options(toy, out))
    with pytest.raises(BadInput, match="holds a run already"):
        fit(options(toy, out))
