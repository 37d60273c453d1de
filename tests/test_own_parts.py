"""CONTRIBUTING.md's code blocks run as printed: estimator, body, scenes, keypoints, table."""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from footage_world import filmed, records, walk
from trainer_fixtures import write_shards

from datagen import ingest
from datagen.common.errors import BadInput
from datagen.common.record import EVAL_JOINTS, JOINTS, KEYPOINTS
from datagen.flow.load import load_estimator
from datagen.flow.options import FlowConfig
from datagen.footage.layouts import find_layout
from trainer import geometry
from trainer.data.dataset import open_dataset
from trainer.errors import BadInput as TrainerBadInput
from trainer.model.body import BodyJoints, read_body
from trainer.paper.options import TablesConfig
from trainer.tables import make_tables, wanted_tables

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = (
    "-m datagen.launch --num-shards 1 --clips-per-shard 2 --clip-length 6 --image-size 64 "
    "--motion-limit 2 --stride 100 --windows-per-video 1 --workers 1 --out data/shards "
    "--flow my_flow:farneback --scenes my_scenes:slides --body my_body.npz"
).split()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the blocks copied into files."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    blocks = re.findall(r"^```python\n(# (\w+\.py)\n.*?)^```", text, re.M | re.S)
    assert len(blocks) == 5
    for code, name in blocks:
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def python(*words: str) -> str:
    """Run Python as with the project installed; return its output."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *words], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("backend", ["processes", pytest.param("ray", marks=pytest.mark.slow)])
def test_own_flow_scenes_and_body_make_a_data_set(own: Path, backend: str) -> None:
    python("my_body.py")
    printed = python(*LAUNCH, "--backend", backend)
    assert "(my_scenes:slides)" in printed and "flow    my_flow:farneback" in printed
    dataset = open_dataset(own / "data/shards")
    assert (dataset.flow_name, dataset.flow_stride) == ("my_flow:farneback", 4)
    known = json.loads((dataset.folder / "dataset.json").read_text())["config"]
    assert known["backgrounds"]["scenes"] == "my_scenes:slides" and "embedded scenes" not in known
    (manifest,) = (own / "data").rglob("backgrounds.jsonl")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert lines and {line["name"] for line in lines} <= {f"slide-{n}" for n in range(4)}
    # One pixel a frame, six frames to the window's end: the picture slides to the left.
    assert all(w["drift"] == pytest.approx(6, abs=0.2) for line in lines for w in line["windows"])
    body = read_body(dataset.body)
    assert len(body["v_template"]) == 24 * 8
    labels, frames = first_record(dataset.folder)
    assert labels["joints2d"][..., 2].any(1).sum() >= 4
    rotations = geometry.matrix_from_axis_angle(
        torch.from_numpy(labels["pose"].astype(np.float32).reshape(-1, 24, 3))
    )
    betas = torch.from_numpy(labels["betas"].astype(np.float32)).expand(len(rotations), -1)
    joints = BodyJoints(body)(rotations, betas).numpy()[:, :24] + labels["trans"][:, None]
    np.testing.assert_allclose(joints, labels["joints3d"][:, :24], atol=2e-3)
    other = load_estimator(FlowConfig(flow="dis"))(frames)
    apart = np.linalg.norm(other.astype(float) - labels["flow"][: len(other)], axis=1)
    assert np.median(apart) < 0.5  # JPEG pictures, and two different estimators


def first_record(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the arrays of a data set's first record and its frames [T,S,S,3]."""
    with tarfile.open(folder / "shard-000000.tar") as tar:
        members = {
            member.name.partition(".")[2]: tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar.getmembers()
            if member.name.startswith("000000_0000.")
        }
    arrays: dict[str, np.ndarray] = {}
    for name, content in members.items():
        if name.endswith(".npz") or name == "npz":
            arrays.update(np.load(io.BytesIO(content)))
        elif name.endswith(".npy"):
            arrays[name.removesuffix(".npy")] = np.load(io.BytesIO(content))
    (jpeg,) = (content for name, content in members.items() if name.endswith("jpg"))
    strip = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    return arrays, np.ascontiguousarray(strip).reshape(-1, strip.shape[1], strip.shape[1], 3)


def test_wrong_flow_is_refused(own: Path) -> None:
    (own / "bad_flow.py").write_text(
        "import numpy as np\n"
        "class Flow:\n"
        "    stride = 8\n"
        "    def __call__(self, frames):\n"
        "        return np.zeros((len(frames) - 1, 2, 4, 4))\n"
        "def flow(weights, device): return Flow()\n"
        "def number(weights, device): return 3\n"
        "def broken(weights, device):\n"
        "    flow = Flow()\n"
        "    Flow.__call__ = lambda self, frames: np.full((1, 2, 4, 4), np.nan)\n"
        "    return flow\n"
    )
    frames = np.zeros((2, 40, 40, 3), np.uint8)
    for name, words in (
        ("absent:flow", "--flow absent:flow cannot be imported"),
        ("bad_flow:absent", "cannot be imported"),
        ("bad_flow:number", "must return a callable with an integer `stride`"),
        ("bad_flow:flow", r"returned \[1, 2, 4, 4\] .* it must be \[1, 2, 5, 5\]"),
    ):
        with pytest.raises(BadInput, match=words):
            load_estimator(FlowConfig(flow=name))(frames)
    with pytest.raises(BadInput, match="NaN"):
        load_estimator(FlowConfig(flow="bad_flow:broken"))(frames[:, :32, :32])


def test_an_own_layout_is_used(own: Path) -> None:
    points = np.zeros((40, 25, 3))
    layout = find_layout("my_keypoints:kinect")
    walker = walk(40)
    points[:, list(layout.limbs)] = walker
    video, _ = filmed(own, "walker", [walker])
    np.save(own / "kinect.npy", points)
    line = f"video {video} --keypoints kinect.npy --layout my_keypoints:kinect --out out"
    assert ingest.main(line.split()) == 0
    (record,) = records(own / "out")
    limbs = record["joints2d"][:, [JOINTS.index(name) for name in KEYPOINTS]]
    assert (limbs[..., 2] == 1).all()
    scale, shift = record["crop"][:, None, [0, 1], [0, 1]], record["crop"][:, None, :, 2]
    np.testing.assert_allclose(limbs[..., :2], walker[..., :2] * scale + shift, atol=1e-2)
    assert EVAL_JOINTS[: len(KEYPOINTS)] == KEYPOINTS


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("layout = 3", "must be a datagen.footage.layouts.KeypointLayout"),
        ("layout = KeypointLayout('x', ('left_hip', ''))", "has no left_ankle, no left_elbow"),
    ],
)
def test_wrong_layouts_are_refused(own: Path, code: str, words: str) -> None:
    name = f"layout{abs(hash(code))}"
    imports = "from datagen.footage.layouts import KeypointLayout\n"
    (own / f"{name}.py").write_text(imports + code)
    with pytest.raises(BadInput, match=words):
        find_layout(f"{name}:layout")


def test_an_own_table_is_planned_and_refused(own: Path, capsys: pytest.CaptureFixture) -> None:
    shards = write_shards(own / "data", shards=1, clips=2, frames=31, size=32)
    options = {
        "data": (f"full={shards}",), "test": (f"held-out={shards}",), "out": own / "tables",
        "tables": (), "small": True, "plan": True,
    }  # fmt: skip
    table = "my_tables:lstm_widths"
    assert make_tables(TablesConfig(own_tables=(table,), **options)) == 0
    printed = capsys.readouterr().out
    assert "2 networks" in printed and printed.count("python -m trainer.fit") == 2
    assert "--lstm-width 16" in printed and "--lstm-width 32" in printed
    with pytest.raises(TrainerBadInput, match="is Table 4, which already exists"):
        wanted_tables(TablesConfig(own_tables=(table, table), **options))
    clash = (own / "my_tables.py").read_text().replace("lstm-{width}", "keypoints")
    (own / "clash.py").write_text(clash)
    with pytest.raises(TrainerBadInput, match="another network called keypoints; rename it"):
        wanted_tables(TablesConfig(own_tables=("clash:lstm_widths",), **options))
