"""Body files: SMPL's own layouts and names are read, damaged and hostile ones are refused."""

import copyreg
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from smpl_equation import by_hand

from datagen.bodies.smpl.files import gender_of, read_body_file
from datagen.bodies.smpl.model import load_bodies
from datagen.bodies.smpl.regressor import H36M_TO_EVAL
from datagen.common.errors import BadInput
from datagen.common.record import SMPL_PARENTS

V = 60


@pytest.fixture
def smpl():
    """Arrays in SMPL's official layout, on a small made-up surface."""
    rng = np.random.default_rng(5)
    weights = rng.random((V, 24)) ** 8
    regressor = rng.random((24, V)) * (rng.random((24, V)) < 0.2)
    regressor[:, 0] += 0.1
    return {
        "v_template": rng.normal(size=(V, 3)),
        "shapedirs": rng.normal(size=(V, 3, 12)) * 0.01,
        "posedirs": rng.normal(size=(V, 3, 207)) * 0.001,
        "weights": weights / weights.sum(1, keepdims=True),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *SMPL_PARENTS[1:]], range(24)], np.uint32),
        "f": rng.integers(0, V, (100, 3)).astype(np.uint32),
    }


def chumpy_module(monkeypatch):
    """Classes that pickle as chumpy's do, from a module that is gone when the file is read."""
    ch, reordering = types.ModuleType("chumpy.ch"), types.ModuleType("chumpy.reordering")
    for module, name in ((ch, "Ch"), (reordering, "Select")):
        kind = type(name, (), {"__module__": module.__name__})
        setattr(module, name, kind)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    return ch.Ch, reordering.Select


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_official_pickle_with_chumpy_and_sparse(smpl, tmp_path, monkeypatch, protocol, clip):
    Ch, Select = chumpy_module(monkeypatch)
    template, shapes = Ch(), Select()
    template.__dict__.update(x=smpl["v_template"], _dirty_vars={"x"}, _itr=None)
    whole = Ch()
    whole.__dict__.update(x=smpl["shapedirs"])
    first = np.arange(V * 3 * 12).reshape(V, 3, 12)[:, :, :10]
    shapes.__dict__.update(a=whole, idxs=first.ravel(), preferred_shape=first.shape)
    record = smpl | {
        "v_template": template,
        "shapedirs": shapes,
        "J_regressor": sparse.csc_matrix(smpl["J_regressor"]),
        "posedirs": np.asfortranarray(smpl["posedirs"]),
        "bs_type": "lrotmin",
    }
    path = tmp_path / "basicModel_f_lbs_10_207_0_v1.0.0.pkl"
    path.write_bytes(pickle.dumps(record, protocol=protocol))
    for name in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        monkeypatch.delitem(sys.modules, name)

    body = load_bodies(path)["female"]
    for name, expected in (
        ("v_template", smpl["v_template"]),
        ("shapedirs", smpl["shapedirs"][:, :, :10]),
        ("posedirs", smpl["posedirs"]),
        ("joint_regressor", smpl["J_regressor"]),
        ("faces", smpl["f"]),
    ):
        np.testing.assert_allclose(getattr(body, name), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(body.forward(*clip)[0], by_hand(body, *clip)[0], atol=1e-4)
    assert body.uv is None and "kinematic" in body.notes[0]


def test_folder_of_genders(smpl, tmp_path):
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **smpl)
    (tmp_path / "basicmodel_m_lbs_10_207_0_v1.1.0.pkl").write_bytes(pickle.dumps(smpl))
    (tmp_path / "female").mkdir()
    np.savez(tmp_path / "female" / "model.npz", **smpl)
    np.savez(tmp_path / "cocoplus.npz", x=1)
    assert list(load_bodies(tmp_path)) == ["neutral", "male", "female"]


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("SMPL_MALE.pkl", "male"),
        ("SMPL_FEMALE.npz", "female"),
        ("basicModel_f_lbs_10_207_0_v1.0.0.pkl", "female"),
        ("basicmodel_m_lbs_10_207_0_v1.1.0.pkl", "male"),
        ("basicModel_neutral_lbs_10_207_0_v1.0.0.pkl", "neutral"),
        ("male.npz", "male"),
        ("male/model.npz", "male"),
        ("model.npz", None),
    ],
)
def test_gender_is_in_the_name(name, gender):
    assert gender_of(Path("files") / name) == gender


def test_a_folder_of_smplxs_models_holds_smpl(smpl, tmp_path):
    """smplx's own layout: models/smpl, models/smplh, models/smplx, one file per gender in each."""
    for model, joints in (("smplx", 55), ("smplh", 52), ("smpl", 24), ("mano", 16)):
        folder = tmp_path / "models" / model
        folder.mkdir(parents=True)
        for gender in ("NEUTRAL", "MALE", "FEMALE"):
            arrays = smpl if joints == 24 else {**smpl, "weights": np.zeros((V, joints))}
            name = f"{model.upper()}_{gender}"
            if model in ("smplx", "mano"):
                np.savez(folder / f"{name}.npz", **arrays)
            else:
                (folder / f"{name}.pkl").write_bytes(pickle.dumps(arrays))
    for body in (tmp_path / "models", tmp_path):
        bodies = load_bodies(body)
        assert sorted(bodies) == ["female", "male", "neutral"]
        assert bodies["neutral"].num_vertices == V
    with pytest.raises(BadInput, match=r"SMPLX_\w+.npz is SMPL-X; --body needs SMPL"):
        load_bodies(tmp_path / "models" / "smplx")
    for path in (tmp_path / "models" / "smpl").iterdir():
        path.unlink()
    with pytest.raises(BadInput, match="--body needs SMPL"):
        load_bodies(tmp_path / "models")


def test_joint_regressors(smpl, tmp_path):
    np.savez(tmp_path / "male.npz", **smpl)
    rows = np.random.default_rng(0).random((19, V))
    for count in (14, 17, 19):
        np.save(tmp_path / "rows.npy", rows[:count])
        body = load_bodies(tmp_path / "male.npz", tmp_path / "rows.npy")["male"]
        order = list(H36M_TO_EVAL) if count == 17 else range(14)
        np.testing.assert_allclose(body.eval_regressor, rows[order], rtol=1e-6)
        assert not body.notes
    np.save(tmp_path / "rows.npy", rows[:, 1:])
    with pytest.raises(BadInput, match="19 x 59"):
        load_bodies(tmp_path / "male.npz", tmp_path / "rows.npy")


def test_uv_map_beside_smpl(smpl, tmp_path):
    """The map's triangles may be listed in another order and start at another corner."""
    rng = np.random.default_rng(2)
    smpl["f"] = np.unique(np.sort(smpl["f"], axis=1), axis=0)
    smpl["f"] = smpl["f"][(np.diff(smpl["f"], axis=1) > 0).all(1)]
    uv = rng.random((V, 2)).round(6)
    turned = np.roll(smpl["f"][rng.permutation(len(smpl["f"]))], 1, axis=1) + 1
    lines = [f"vt {u} {v}" for u, v in uv] + [
        "f " + " ".join(f"{n}/{n}" for n in f) for f in turned
    ]
    np.savez(tmp_path / "male.npz", **smpl)
    (tmp_path / "smpl_uv.obj").write_text("\n".join(["# SMPL", "v 0 0 0", *lines]))
    body = load_bodies(tmp_path)["male"]
    np.testing.assert_allclose(body.uv, uv, atol=1e-6)
    assert np.array_equal(body.face_uv, body.faces)
    for text in ("\n".join(lines[:-1]), "vt 0 0\nf 1/1 2/1 3/9", "f 1 2 3", "vt x y", ""):
        (tmp_path / "smpl_uv.obj").write_text(text)
        with pytest.raises(BadInput, match=r"smpl_uv\.obj"):
            load_bodies(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": np.full((V, 52), 1 / 52)}, r"SMPL\+H"),
        ({"weights": np.full((V, 55), 1 / 55)}, "SMPL-X"),
        ({"weights": np.full((V, 24), 1.0)}, "sum to 1"),
        ({"v_template": np.zeros((V, 2))}, "v_template has shape"),
        ({"v_template": np.full((V, 3), np.nan)}, "NaN"),
        ({"v_template": np.full((V, 3), "x")}, "must be numbers"),
        ({"shapedirs": np.zeros((V, 3, 5))}, "fewer than 10"),
        ({"posedirs": np.zeros((V, 3, 135))}, "posedirs has shape"),
        ({"kintree_table": np.zeros((2, 24), int)}, "tree"),
        ({"f": np.full((9, 3), V)}, "outside"),
        ({"f": None}, "lacks f"),
    ],
)
def test_wrong_layouts_are_named(smpl, tmp_path, change, says):
    record = {name: value for name, value in (smpl | change).items() if value is not None}
    np.savez(tmp_path / "male.npz", **record)
    with pytest.raises(BadInput, match=says):
        load_bodies(tmp_path / "male.npz")


def test_missing_and_empty_places(tmp_path):
    for path in (tmp_path, tmp_path / "none", tmp_path / "male.obj"):
        (tmp_path / "male.obj").touch()
        with pytest.raises(BadInput, match="--body"):
            load_bodies(path)


class Command:
    """Runs a command when unpickled by an ordinary reader."""

    def __init__(self, target, *args):
        self.call = target, args

    def __reduce__(self):
        return self.call


def hostile(trap: Path) -> dict[str, bytes]:
    import os
    import subprocess

    touch = f"touch {trap}"
    nested = {"v_template": Command(exec, f"open({str(trap)!r}, 'w')")}
    return {
        "system": pickle.dumps(Command(os.system, touch)),
        "popen": pickle.dumps(Command(subprocess.Popen, ["touch", str(trap)])),
        "nested": pickle.dumps(nested),
        "eval": pickle.dumps(Command(eval, f"open({str(trap)!r}, 'w')"), protocol=0),
        "getattr": pickle.dumps(Command(getattr, "", "format")),
        "numpy": pickle.dumps(Command(np.fromfile, str(trap))),
        "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0bos.path.join\x93.",
        "copyreg": pickle.dumps(Command(copyreg.add_extension, "os", "system", 7)),
        "reconstruct": b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\ntR.",
        "newobj": b"ccopy_reg\n_reconstructor\n(c_codecs\nencode\nNNtR.",
        "memo": b"\x80\x02]r\xff\xff\xff\xff.",
        "huge bytes": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.",
        "huge array": b"\x80\x05\x96" + (2**50).to_bytes(8, "little") + b"x.",
        "persistent": b"Pother\n.",
        "extension": b"\x82\x01.",
        "list": pickle.dumps([1, 2]),
        "empty": b"",
    }


@pytest.mark.parametrize("kind", sorted(hostile(Path("x"))))
def test_hostile_pickles_run_nothing(kind, tmp_path):
    trap = tmp_path / "trap"
    path = tmp_path / "SMPL_MALE.pkl"
    path.write_bytes(hostile(trap)[kind])
    with pytest.raises(BadInput, match=r"SMPL_MALE\.pkl"):
        load_bodies(path)
    assert not trap.exists()


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip, repeat or overwrite some bytes."""
    raw = bytearray(data)
    if rng.random() < 0.3:
        del raw[rng.integers(1, len(raw)) :]
    for _ in range(rng.integers(1, 8)):
        at = int(rng.integers(len(raw))) if rng.random() < 0.5 else int(rng.integers(400))
        raw[min(at, len(raw) - 1)] = rng.integers(256)
    return bytes(raw)


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_damaged_files_raise_bad_input_or_load(smpl, tmp_path, suffix):
    small = {
        name: value[:, :, :10] if name == "shapedirs" else value for name, value in smpl.items()
    }
    path = tmp_path / f"male{suffix}"
    if suffix == ".pkl":
        small["J_regressor"] = sparse.csc_matrix(small["J_regressor"])
        path.write_bytes(pickle.dumps(small, protocol=2))
    else:
        np.savez_compressed(path, **small)
    data, refused = path.read_bytes(), 0
    rng = np.random.default_rng(11)
    for _ in range(250):
        path.write_bytes(damage(data, rng))
        try:
            read_body_file(path)
        except BadInput:
            refused += 1
    assert refused > 150
