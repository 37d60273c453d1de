"""What regresses the evaluation joints of a truth is named, by what it is and by its content."""

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from footage_world import records
from threedpw_world import actor, write_sequence

from datagen import ingest
from datagen.bodies.motion.sources import find_motions
from trainer.data.dataset import open_dataset
from trainer.model.body import read_body, regressor_hash


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """3DPW with one man in it, and bodies without a regressor of their own, as SMPL's files are."""
    man = actor("m", find_motions(None)[3].name, 8, (0, 0, 0), 0.4, 1)
    write_sequence(tmp_path / "3dpw", "test", "street_00", [man])
    (tmp_path / "smpl").mkdir()
    with resources.as_file(resources.files("datagen") / "assets" / "bodies") as bodies:
        for path in bodies.glob("*.npz"):
            arrays = dict(np.load(path))
            rows = np.zeros((19, len(arrays["v_template"])), np.float32)
            rows[:14] = arrays.pop("eval_regressor")
            np.savez(tmp_path / "smpl" / path.name, **arrays)
            np.save(tmp_path / "rows.npy", rows)
    return tmp_path


def test_3dpw_says_what_it_takes_and_its_data_set_names_it(world, capsys):
    """The hash of the whole body's rows is that of body.npz, which is cut down to some vertices."""
    found = {}
    for name, options in (("none", ()), ("rows", ("--joint-regressor", world / "rows.npy"))):
        out = world / name
        args = ["3dpw", "--root", world / "3dpw", "--body", world / "smpl", "--out", out, *options]
        assert ingest.main([str(arg) for arg in args]) == 0
        noted = "kinematic joints and the crown; --joint-regressor" in capsys.readouterr().out
        assert noted == (name == "none")
        found[name] = json.loads((out / "dataset.json").read_text())["joint_regressor"]
        assert open_dataset(out).joint_regressor == tuple(found[name].values())
        assert regressor_hash(read_body(out / "body.npz")) == found[name]["sha256"]
    assert found["none"]["name"].startswith("SMPL's kinematic")
    assert found["rows"]["name"] == "cocoplus's 19 rows"
    none, rows = (open_dataset(world / name).joint_regressor for name in found)
    assert none.differs(rows) and not none.differs(none._replace(sha256="0f"))
    (one,), (other,) = (records(world / name) for name in found)
    apart = np.linalg.norm(one["joints3d"] - other["joints3d"], axis=-1)[:, 24:]
    assert 0.01 < apart.mean() < 0.1  # what it is about, metres
