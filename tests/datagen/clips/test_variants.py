"""The data sets of the paper's Table 2: the same people, scenes and draws, composited otherwise."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from datagen.inspect import main as inspect
from datagen.launch import main as launch
from datagen.output import shard

VARIANTS = {
    "full": [],
    "no-occluders": ["--no-occluders"],
    "no-tracking": ["--no-occluders", "--no-track-camera"],
    "static": ["--no-occluders", "--background", "static"],
}
SMALL = (
    "--num-shards 1 --clips-per-shard 4 --clip-length 6 --image-size 64 --motion-limit 2 "
    "--stride 100 --video-limit 2 --windows-per-video 1"
).split()


def make(out: Path, library: Path, *options: str) -> None:
    common = [*SMALL, "--out", str(out), "--library", str(library), "--backend", "serial"]
    assert launch([*common, *options]) == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("variants")
    for name, options in VARIANTS.items():
        make(root / name, root / "library", *options)
    return {name: root / name for name in [*VARIANTS, "library"]}


def clips(folder: Path) -> list[tuple[dict, dict]]:
    """Return the (meta, labels) of every clip."""
    records = shard.read(folder / "shard-000000.tar").values()
    return [
        (json.loads(members["meta.json"]), dict(np.load(io.BytesIO(members["labels.npz"]))))
        for members in records
    ]


def test_the_library_is_made_once(made: dict[str, Path]) -> None:
    files = sorted(made["library"].rglob("*.h5"))
    folders = {path.parent.name.split("-")[0] for path in files}
    assert folders == {"bodies", "backgrounds"} and len(list(made["library"].iterdir())) == 2
    last = max(path.stat().st_mtime_ns for path in files)
    assert last < (made["full"] / "shard-000000.tar").stat().st_mtime_ns
    for name in VARIANTS:
        assert not (made[name] / "library").exists()
        lines = (made[name] / "manifests" / "bodies.jsonl").read_text().splitlines()
        assert {json.loads(line)["name"] for line in lines} == {
            path.stem for path in files if path.parent.name.startswith("bodies")
        }


def test_the_same_clips_are_drawn(made: dict[str, Path]) -> None:
    full = clips(made["full"])
    for name in VARIANTS:
        for (meta, labels), (whole, truth) in zip(clips(made[name]), full, strict=True):
            for key in ("person", "clip", "start", "background", "window", "people", "scene"):
                assert meta[key] == whole[key], (name, key)
            for key in ("pose", "betas", "trans", "joints3d", "camera"):
                assert np.array_equal(labels[key], truth[key]), (name, key)


def test_they_differ_in_compositing_only(made: dict[str, Path]) -> None:
    variants = {name: clips(made[name]) for name in VARIANTS}
    for index in range(4):
        at = {name: labels[index][1] for name, labels in variants.items()}
        meta = {name: labels[index][0]["drawn"] for name, labels in variants.items()}
        assert meta["full"]["occluder"] is not None
        assert np.array_equal(at["full"]["offsets"], at["no-occluders"]["offsets"])
        assert np.abs(at["full"]["offsets"]).max() > 0
        for name in ("no-occluders", "no-tracking", "static"):
            assert meta[name]["occluder"] is None and not at[name]["occluded"].any()
        for name in ("no-tracking", "static"):
            assert not at[name]["offsets"].any()
        for key in ("crop", "joints2d"):  # the jitter too is the same draw
            assert np.array_equal(at["no-tracking"][key], at["static"][key])
    # Without tracking the crop follows the person as rendered; its jittered scale is the same.
    scales = {
        name: np.array([labels["crop"][:, 0, 0] for _, labels in some])
        for name, some in variants.items()
    }
    near = np.abs(np.log2(scales["no-occluders"] / scales["no-tracking"]))
    assert np.median(near) < 0.01, "the two draw different jitter"


def test_a_library_elsewhere_gives_the_bytes_of_ones_own(
    made: dict[str, Path], tmp_path: Path
) -> None:
    common = [*SMALL, "--out", str(tmp_path / "own"), "--backend", "serial", "--no-occluders"]
    assert launch(common) == 0
    own = (tmp_path / "own" / "shard-000000.tar").read_bytes()
    assert own == (made["no-occluders"] / "shard-000000.tar").read_bytes()


def test_inspect_finds_a_shared_library(
    made: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [str(made["static"]), "--clips", "1", "--out", str(tmp_path / "pictures")]
    for given in ([], ["--library", str(made["library"])]):  # none: as the saved options name it
        assert inspect([*few, *given]) == 0
        assert "without their sources" not in capsys.readouterr().out
        assert (tmp_path / "pictures" / "sources.png").exists()
        shutil.rmtree(tmp_path / "pictures")
