"""verify finds every edit, truncation and swap; the card describes the data set."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from datagen.bodies.options import BodiesConfig
from datagen.clips.options import ClipsConfig
from datagen.cluster.options import ClusterConfig
from datagen.common import checksum
from datagen.common.errors import BadInput
from datagen.common.files import sha256, write_json
from datagen.launcher import saved_options
from datagen.launcher.config import LaunchConfig
from datagen.launcher.identity import describe, identity
from datagen.output import beside, card, check, dataset, shard
from datagen.output.layout import Layout
from datagen.output.manifest import Manifest, finished_shards
from datagen.output.options import OutputConfig
from datagen.output.statistics import Statistics
from datagen.verify import VerifyConfig, _options
from datagen.verify import main as verify

T, S, CLIPS, SHARDS = 3, 16, 3, 4
CFG = LaunchConfig(
    clips=ClipsConfig(clip_length=T, image_size=S),
    output=OutputConfig(num_shards=SHARDS, clips_per_shard=CLIPS),
)


def write_shard(
    layout: Layout, index: int, break_it: Callable[[dict, np.ndarray], object] = lambda *_: None
) -> dict:
    """Write a small shard of noise and return its manifest line; `break_it` may spoil the last
    clip before it is written."""
    rng = np.random.default_rng(index)
    statistics = Statistics()

    def records():
        for k in range(CLIPS):
            fields = {
                "joints2d": rng.normal(size=(T, 38, 3)).astype(np.float32),
                "visibility": rng.integers(0, 3, (T, 38)).astype(np.uint8),
                "joints3d": rng.normal(size=(T, 38, 3)).astype(np.float32),
                "pose": rng.normal(size=(T, 72)).astype(np.float32),
                "betas": rng.normal(size=10).astype(np.float32),
                "trans": rng.normal(size=(T, 3)).astype(np.float32),
                "gravity": np.array([0, 1, 0], np.float32),
                "occluded": np.zeros(T, np.uint8),
                "crop": rng.normal(size=(T, 2, 3)).astype(np.float32),
                "offsets": rng.normal(size=(T, 2)).astype(np.float32),
                "camera": np.eye(3, dtype=np.float32),
                "frames": rng.integers(0, 256, (T + 1, S, S, 3), dtype=np.uint8),
            }
            flow = rng.normal(size=(T, 2, S // 4, S // 4)).astype(np.float16)
            statistics.add(
                SimpleNamespace(meta={"gender": "female", "look": {}}),  # type: ignore[arg-type]
                SimpleNamespace(**fields),  # type: ignore[arg-type]
                flow,
            )
            if k == CLIPS - 1:
                break_it(fields, flow)
            clip = SimpleNamespace(**fields)
            yield shard.encode(shard.key(index, k), clip, flow, {"k": k}, rgb=True)  # type: ignore

    path = layout.shard(index)
    shard.write(path, records())
    return {
        "shard": index,
        "clips": CLIPS,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "statistics": statistics.line(),
    }


@pytest.fixture
def made(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "shards")
    layout.shards.mkdir()
    layout.body.write_bytes(b"a body")
    dataset.write(layout, describe(CFG, "dis", 4, 0))
    manifest = Manifest(layout.manifests / "shards.jsonl")
    lines = {index: write_shard(layout, index) for index in range(SHARDS)}
    for line in lines.values():
        manifest.append(line)
    card.write(layout, lines)
    return layout


def wrong(layout: Layout) -> list[int]:
    lines = Manifest(layout.manifests / "shards.jsonl").latest("shard")
    content = dataset.read(layout)
    numbers = check.numbers(layout, content, lines)
    found = check.problems(layout, numbers, content, lines, workers=2)
    return [index for index, problem in found if problem]


def test_a_whole_data_set_passes(made: Layout) -> None:
    assert wrong(made) == [] and beside.problems(made) == []
    assert verify([str(made.shards)]) == 0


def test_shards_of_before_gravity_pass_and_todays_need_it(made: Layout, monkeypatch) -> None:
    old = tuple(name for name in shard.LABELS if name != "gravity")
    with monkeypatch.context() as before:
        before.setattr(shard, "LABELS", old)
        line = write_shard(made, 2)
    Manifest(made.manifests / "shards.jsonl").append(line)
    assert wrong(made) == [2]
    content = dataset.read(made)
    dataset.write(made, {**content, "config": {**content["config"], "record": 1}})
    assert wrong(made) == []


def test_a_slip_of_pythons_own_parser_condemns_no_shard(made: Layout, monkeypatch) -> None:
    load, slips = check.read_npy, iter((True, False, True))

    def slipping(*args, **options):
        if next(slips, False):
            raise SystemError("AST constructor recursion depth mismatch (before=42, after=39)")
        return load(*args, **options)

    monkeypatch.setattr(check, "read_npy", slipping)
    assert wrong(made) == [] and next(slips, None) is None


def test_500_edits_truncations_and_swaps_are_all_found(made: Layout) -> None:
    rng = np.random.default_rng(0)
    whole = [made.shard(index).read_bytes() for index in range(SHARDS)]
    missed = []
    for case in range(500):
        index = int(rng.integers(SHARDS))
        data, expected = bytearray(whole[index]), [index]
        if case % 4 < 2:  # one byte becomes another, anywhere: headers and padding too
            data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        elif case % 4 == 2:
            del data[rng.integers(len(data)) :]
        else:
            other = (index + int(rng.integers(1, SHARDS))) % SHARDS
            made.shard(other).write_bytes(data)
            data, expected = bytearray(whole[other]), sorted((index, other))
        made.shard(index).write_bytes(data)
        if wrong(made) != expected:
            missed.append((case, index))
        for k in expected:
            made.shard(k).write_bytes(whole[k])
    assert missed == []
    assert wrong(made) == []


def _not_finite(fields: dict, flow: np.ndarray) -> None:
    flow[1, 0, 2, 3] = np.inf


def _no_pose(fields: dict, flow: np.ndarray) -> None:
    fields["pose"][0, 5] = np.nan


def _short(fields: dict, flow: np.ndarray) -> None:
    fields["joints3d"] = fields["joints3d"][:-1]


def _small_picture(fields: dict, flow: np.ndarray) -> None:
    fields["frames"] = fields["frames"][:, :, :8]


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (_not_finite, "flow is not finite"),
        (_no_pose, "pose is not finite"),
        (_short, "joints3d has shape"),
        (_small_picture, "rgb.jpg has height and width (48, 8), not (48, 16)"),
    ],
)
def test_what_was_written_wrong_is_found_though_the_hash_is_right(
    made: Layout, break_it: Callable, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Manifest(made.manifests / "shards.jsonl").append(write_shard(made, 2, break_it))
    assert verify([str(made.shards)]) == 1
    out = capsys.readouterr().out
    assert f"shard-000002.tar: record 000002_0002: {words}" in out


def test_a_damaged_manifest_is_survived(made: Layout) -> None:
    path = made.manifests / "shards.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"bytes"', b'"bytez"')
    lines[2] = b"\xff\x00" + lines[2][2:]
    path.write_bytes(b"".join(lines))
    assert wrong(made) == [1, 2]


def test_what_is_missing_is_reported_once(made: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    made.dataset.unlink()
    assert verify([str(made.shards)]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("dataset.json is missing") == 1 and not printed.err
    assert "Next: " in printed.out


def test_the_folder_of_a_data_set_leads_to_its_shards(
    made: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    made.manifests.joinpath("config.json").write_text("{}")
    assert verify([str(made.root)]) == 2
    printed = capsys.readouterr()
    assert not printed.out and f"do you mean {made.shards}?" in printed.err


@pytest.mark.parametrize("name", ["README.md", "body.npz", "dataset.json"])
def test_files_beside_the_shards_are_checked(made: Layout, name: str) -> None:
    path = made.shards / name
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    assert beside.problems(made) == [f"{name} differs from its SHA-256 in croissant.json"]
    path.unlink()
    assert beside.problems(made) == [f"{name} is missing"]
    assert not (made.shards / name).exists()
    made.croissant.write_text("{")
    assert "croissant.json is damaged" in beside.problems(made)[-1]


def test_a_copy_without_manifests_is_checked_by_its_croissant(made: Layout, capsys) -> None:
    shutil.rmtree(made.manifests)
    assert verify([str(made.shards)]) == 0
    assert "all match croissant.json" in capsys.readouterr().out
    with open(made.shard(1), "r+b") as file:
        file.seek(700)
        file.write(b"x")
    assert verify([str(made.shards)]) == 1
    assert "shard-000001.tar differs" in capsys.readouterr().out
    made.croissant.unlink()
    assert verify([str(made.shards)]) == 2
    assert "copy manifests/ along" in capsys.readouterr().err


def test_footage_is_not_added_to_rendered_people(made: Layout) -> None:
    with pytest.raises(BadInput, match="holds shards of rendered people, not real footage; choose"):
        dataset.refuse_other(made, {"footage": {}})


def test_a_damaged_dataset_json_is_a_problem_without_a_card_too(made: Layout) -> None:
    made.croissant.unlink()
    assert beside.problems(made) == ["croissant.json is missing"]
    shutil.rmtree(made.manifests)
    assert beside.problems(made) == []
    for damage in (b"{", b"\xff"):
        made.dataset.write_bytes(damage)
        assert "dataset.json is damaged" in beside.problems(made)[0]


def test_the_card_is_a_function_of_what_stands(made: Layout) -> None:
    before = {path.name: path.read_bytes() for path in (made.card, made.croissant)}
    lines = Manifest(made.manifests / "shards.jsonl").latest("shard")
    assert card.current(made, lines)
    timed = {k: {**line, "seconds": {"total": k}} for k, line in reversed(list(lines.items()))}
    card.write(made, timed)
    assert before == {path.name: path.read_bytes() for path in (made.card, made.croissant)}
    fewer = {k: line for k, line in lines.items() if k}
    assert not card.current(made, fewer)
    card.write(made, fewer)
    assert dataset.read(made)["clips"] == 3 * CLIPS and "| clips | 9 of 3 frames" in (
        made.card.read_text()
    )


def test_the_cards_front_matter_is_hugging_faces(made: Layout) -> None:
    yaml = pytest.importorskip("yaml")
    _, front, body = made.card.read_text().split("---\n", 2)
    meta = yaml.safe_load(front)
    assert meta["configs"][0]["data_files"] == [{"split": "train", "path": "shard-*.tar"}]
    assert meta["size_categories"] == ["n<1K"] and meta["license"] == "other"
    assert "{" not in body.split("```")[0] + body.split("```")[2]


@pytest.mark.parametrize(
    ("clips", "size"), [(999, "n<1K"), (1000, "1K<n<10K"), (320_000, "100K<n<1M")]
)
def test_size_categories(clips: int, size: str) -> None:
    assert f"- {size}\n" in card.readme(describe(CFG, "dis", 4, clips), [])


def test_croissant_names_every_file_with_its_hash(made: Layout) -> None:
    content = json.loads(made.croissant.read_text())
    files = {f["name"]: f for f in content["distribution"] if f["@type"] == "cr:FileObject"}
    on_disk = {path.name for path in made.shards.iterdir()} - {"croissant.json"}
    assert files.keys() == on_disk
    for name, file in files.items():
        path = made.shards / name
        assert file["sha256"] == sha256(path)
        assert file["contentSize"] == f"{path.stat().st_size} B"


def test_a_users_inputs_change_the_licence(tmp_path: Path) -> None:
    (tmp_path / "smpl").mkdir()
    embedded = Path(dataset.__file__).parents[1] / "assets" / "bodies" / "neutral.npz"
    shutil.copy(embedded, tmp_path / "smpl")
    cfg = replace(CFG, bodies=BodiesConfig(body=tmp_path / "smpl"))
    text = card.readme(describe(cfg, "dis", 4, 0), [])
    assert "license_name: of-its-sources" in text and "Made from bodies" in text
    assert str(tmp_path) not in text


def test_options_are_recorded_and_read_back(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in "abc":
        (tmp_path / "videos" / f"{name}.mp4").write_bytes(b"1")
    cfg = replace(
        CFG,
        bodies=BodiesConfig(motion_limit=3, camera_pitch=(0.0, 20.0)),
        backgrounds=replace(CFG.backgrounds, videos=tmp_path / "videos"),
        output=replace(CFG.output, out=tmp_path / "shards", split="test"),
        cluster=ClusterConfig(backend="serial", max_bad=0.25),
    )
    layout = Layout(tmp_path / "shards")
    saved_options.write(layout, cfg)
    assert asdict(saved_options.read(layout)) == asdict(cfg)
    known = identity(cfg)
    assert json.loads(json.dumps(known)) == known  # as dataset.json gives it back
    (tmp_path / "videos" / "new.mp4").write_bytes(b"1")
    with pytest.raises(BadInput, match="changed since"):
        saved_options.read(layout)
    layout.config.write_text(layout.config.read_text().replace("motion_limit", "option_of_later"))
    with pytest.raises(BadInput, match="differs from its checksum"):
        saved_options.read(layout)
    write_json(layout.config, checksum.added(json.loads(layout.config.read_text())))
    with pytest.raises(BadInput, match="no option option_of_later"):
        saved_options.read(layout)
    layout.config.unlink()
    with pytest.raises(BadInput, match=r"config\.json is missing"):
        saved_options.read(layout)


def test_a_repair_joins_no_cluster_that_a_file_names(tmp_path: Path) -> None:
    """It would be sent what to do, and its answers are code."""
    layout = Layout(tmp_path / "shards")
    layout.shards.mkdir(parents=True)
    cluster = ClusterConfig(backend="ray", address="ray://elsewhere:10001", workers=2)
    saved_options.write(layout, replace(CFG, cluster=cluster))
    options = _options(layout, VerifyConfig(shards=str(layout.shards), repair=True))
    assert options.cluster == replace(cluster, address=None)


def test_no_workers_are_refused(made: Layout, capsys) -> None:
    assert verify([str(made.shards), "--workers", "-1"]) == 2
    assert capsys.readouterr().err == "error: --workers must be at least 1, got -1\n"


@pytest.mark.parametrize("options", [[], ["--repair"]])
def test_a_folder_without_shards_is_one_sentence(tmp_path: Path, options, capsys) -> None:
    assert verify([str(tmp_path), *options]) == 2
    printed = capsys.readouterr()
    assert (
        not printed.out and printed.err.count("\n") == 1 and "not a folder of shards" in printed.err
    )


@pytest.mark.parametrize("where", ["in the manifest", "in its headers", "in its records"])
def test_a_shard_of_another_data_set_is_found(made: Layout, where: str, capsys) -> None:
    """Two launches that filled one folder; releases before wrote only the seed, in each record."""
    path = made.shard(1)
    records = [{"__key__": key, **members} for key, members in shard.read(path).items()]
    if where == "in its records":
        for record in records:
            record["meta.json"] = b'{"seed": 7}'
    written = shard.write(path, records, "f" * 16 if where == "in its headers" else "")
    line = {**finished_shards(made)[0], **written, "shard": 1}
    line["fingerprint"] = "e" * 16 if where == "in the manifest" else ""
    Manifest(made.manifests / "shards.jsonl").append(line)
    assert wrong(made) == [1]
    assert verify([str(made.shards)]) == 1
    assert "shard-000001.tar" in (out := capsys.readouterr().out) and "data set" in out
