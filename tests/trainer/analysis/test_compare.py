"""Comparison of runs: groups of frames have the right content, extremes are extreme."""

import json
import shutil
import sys
from pathlib import Path

import fsspec
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from trainer.analysis import charts, compare
from trainer.analysis.runs import Run, find_runs, frame_errors
from trainer.compare import main
from trainer.errors import BadInput
from trainer.evaluation.frame_errors import CLIPS, FRAMES

NAMES = ["right_hip", "left_hip", "right_knee", "left_knee", "head_top"]


def write(folder: Path, scale: float = 1.0) -> Run:
    """Write a run of two clips of ten frames with known errors; one stands, one moves."""
    folder.mkdir(parents=True)
    steps = [{"step": s, "loss": 10.0 / s, "pa_mpjpe": 100.0} for s in (1, 2, 3)]
    lines = [*steps, {"step": 3, "val_pa_mpjpe": 80.0 * scale}]
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4, "lo'
    )
    (folder / "config.json").write_text(json.dumps({"inputs": "flow", "model": "motion-hmr"}))
    rest = np.array([[-0.1, 0, 0], [0.1, 0, 0], [-0.1, 0.5, 0], [0.1, 0.5, 0], [0, -0.7, 0]])
    truth = np.repeat(rest[None], 20, 0)
    truth[10:, 2, 2] += 0.1 * np.arange(10)  # one knee at 3 m/s: 0.6 m/s on average
    error = np.full((20, 5), 50.0) * scale
    error[10:] *= 2
    error[:, 4] = 10
    visibility = np.full((20, 5), 2, np.uint8)
    visibility[5:10, 4] = 1
    visibility[10:15, :3] = 0
    counted = np.ones(20, bool)
    counted[19] = False
    np.savez(
        folder / FRAMES,
        names=np.array([f"lsp_{name}" for name in NAMES]),
        keys=np.array(["a", "b"]),
        clip=np.repeat([0, 1], 10),
        frame=np.tile(np.arange(10), 2),
        counted=counted,
        occluded=~counted,
        error=error.astype(np.float32),
        mpjpe=error.mean(1),
        visibility=visibility,
        truth=truth.astype(np.float16),
        predicted=truth.astype(np.float16),
    )
    clips = [
        {"key": "a", "person": "p", "motion": "stand_mirrored", "pa_mpjpe": 42.0 * scale},
        {"key": "b", "person": "p", "motion": "kick", "pa_mpjpe": 82.0 * scale},
    ]
    (folder / CLIPS).write_text("".join(json.dumps(clip) + "\n" for clip in clips))
    (folder / "evaluation.json").write_text(
        json.dumps(
            {
                "shards": "test",
                "persons": {"pa_mpjpe": 61.0, "mpjpe": 70.0, "acceleration": 5.0},
            }
        )
    )
    return Run(str(folder))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Run]:
    root = tmp_path_factory.mktemp("runs")
    write(root / "a")
    write(root / "b", scale=0.5)
    return find_runs(str(root))


def test_runs_are_found_and_listed(runs, tmp_path):
    assert [run.name for run in runs] == ["a", "b"]
    table = compare.overview(runs)
    assert table.rows[0][:2] == ["a", "flow"] and table.rows[0][4:] == [
        3,
        80.0,
        "test",
        61.0,
        70.0,
        5.0,
    ]
    assert "80.0" in str(table) and "<td>80.0</td>" in table._repr_html_()
    assert find_runs(runs[0].folder)[0].name == "a"
    with pytest.raises(BadInput, match=r"trainer\.fit"):
        find_runs(str(tmp_path))


def test_runs_are_compared_on_one_data_set(tmp_path):
    for name, sets in {"a": "xy", "b": "y", "c": "", "d": "z"}.items():
        run = tmp_path / name
        run.mkdir()
        (run / "metrics.jsonl").write_text("")
        for index, known in enumerate(sets):
            place = run / "evaluation" / f"{index}"
            place.mkdir(parents=True)
            metadata = {"data": {"fingerprint": known}, "shards": known}
            (place / "evaluation.json").write_text(json.dumps(metadata))
    metadata = [run.evaluation for run in find_runs(str(tmp_path))]
    assert [one and one["shards"] for one in metadata] == ["y", "y", None, None]


def test_errors_by_joint_are_means_of_counted_frames(runs):
    groups = compare.by_joint(runs)
    assert groups.labels == [name.replace("_", " ") for name in NAMES]
    assert groups.runs == ["a", "b"]
    mean = (10 * 50 + 9 * 100) / 19
    assert np.allclose(groups.error[:, :4], [[mean] * 4, [mean / 2] * 4])
    assert np.allclose(groups.error[:, 4], 10)


def test_errors_by_visibility(runs):
    groups = compare.by_visibility(runs[:1])
    error = dict(zip(groups.labels, groups.error[0], strict=True))
    count = dict(zip(groups.labels, groups.frames[0], strict=True))
    assert error["behind the occluder"] == 10 and count["behind the occluder"] == 5
    assert error["outside the picture"] == 100 and count["outside the picture"] == 15
    assert count["total occlusion"] == 5 and error["total occlusion"] == pytest.approx(82)


def test_errors_by_hidden_joints_speed_and_motion(runs):
    hidden = compare.by_hidden(runs[:1])
    assert hidden.frames[0].tolist() == [9, 5, 5, 0] and np.isnan(hidden.error[0, 3])
    speed = compare.by_speed(runs[:1])
    assert speed.frames[0].tolist() == [10, 0, 9, 0, 0]
    motion = compare.by_motion(runs)
    assert motion.labels == ["kick", "stand"]
    assert np.allclose(motion.error[0], [82, 42])


def test_speeds_use_the_clips_frame_rate_and_consecutive_frames(tmp_path):
    run = write(tmp_path / "gap")
    frames = dict(np.load(tmp_path / "gap" / FRAMES))
    kept = ~((frames["clip"] == 1) & (frames["frame"] >= 2) & (frames["frame"] < 8))
    per_frame = {name for name, value in frames.items() if len(value) == 20}
    cut = {name: value[kept] if name in per_frame else value for name, value in frames.items()}
    np.savez(tmp_path / "gap" / FRAMES, **cut)
    clips = [{**clip, "fps": 60} for clip in run.clips]
    (tmp_path / "gap" / CLIPS).write_text("".join(json.dumps(clip) + "\n" for clip in clips))
    speed = compare.speeds(Run(str(tmp_path / "gap")))
    assert np.allclose(speed, [0] * 10 + [1.2] * 4, atol=0.02)  # at 60 frames per second, twice 0.6


def test_predicted_joints_of_former_versions_are_read(runs, tmp_path):
    run = write(tmp_path / "former")
    frames = dict(np.load(tmp_path / "former" / FRAMES))
    frames["said"] = frames.pop("predicted")
    np.savez(tmp_path / "former" / FRAMES, **frames)
    assert run.frames is not None and runs[0].frames is not None
    assert np.array_equal(run.frames["predicted"], runs[0].frames["predicted"])


def test_pose_clusters_do_not_depend_on_direction(runs):
    frames = runs[0].frames
    turned = frames["truth"].astype(float)[..., [2, 1, 0]] * [-1, 1, 1]  # a quarter turn
    both = compare._facing({**frames, "truth": turned})
    assert np.allclose(both, compare._facing(frames), atol=2e-3)
    groups, centres = compare.by_pose(runs, clusters=4)
    assert groups.frames[0].sum() == 19 and centres.shape[1:] == (5, 3)
    again, _ = compare.by_pose(runs, clusters=4)
    assert np.array_equal(groups.error, again.error)


def test_extremes_and_charts(runs):
    best, worst = compare.extremes(runs[0], 1)
    assert best[0]["key"] == "a" and worst[0]["key"] == "b"
    groups, centres = compare.by_pose(runs, clusters=3)
    figures = [
        charts.curves(runs),
        charts.groups_chart(groups),
        charts.poses(centres, NAMES, groups),
        charts.extremes_chart(runs[0], worst, columns=3),
    ]
    assert all(figure.axes for figure in figures)
    marks = [text.get_text() for text in figures[1].axes[0].texts if "none" not in text.get_text()]
    assert marks and all(", few" in mark for mark in marks)  # 20 frames in all
    steps = figures[0].axes[0].lines[0].get_xdata()
    assert list(steps) == [1, 2, 3]
    import matplotlib.pyplot as plt

    plt.close("all")


def test_runs_at_a_url(runs):
    memory = fsspec.filesystem("memory")
    memory.put(runs[0].folder, "/runs/far", recursive=True)
    try:
        far = find_runs("memory://runs")
        assert far[0].name == "far" and far[0].clips == runs[0].clips
        assert np.array_equal(far[0].frames["error"], runs[0].frames["error"])
    finally:
        memory.rm("/runs", recursive=True)


def test_the_command_prints_a_table_and_the_written_files(tmp_path, monkeypatch, capsys):
    write(tmp_path / "x" / "run")
    write(tmp_path / "y" / "run", scale=0.5)
    shutil.copytree(tmp_path / "x" / "run", tmp_path / "z")
    (tmp_path / "z" / FRAMES).unlink()
    words = [*(f"{tmp_path}/x/../{name}" for name in "xyz"), "--out", str(tmp_path / "charts")]
    monkeypatch.setattr(sys, "argv", ["compare", *words])
    main()
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(map(len, lines[:2])) < 140 and lines[1].split() == ["mm", "mm", "mm", "mm/frame²"]
    assert [line.split()[0] for line in lines[2:5]] == ["x/run", "y/run", "z"]
    written = {Path(line.split()[1]) for line in lines if line.startswith("written ")}
    assert written == set((tmp_path / "charts").iterdir()) and len(written) == 6
    assert f"evaluate --checkpoint {tmp_path}/z/last.pt --shards test " in lines[-1]
    (tmp_path / "z" / "best.pt").touch()  # of a run that was validated
    main()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"Next: python -m trainer.evaluate --checkpoint {tmp_path}/z/best.pt ")


@pytest.mark.parametrize(("words", "sentence"), [([], "no run is named"), (["."], "holds no run")])
def test_the_command_without_runs_is_one_sentence(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["compare", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    error = capsys.readouterr().err
    assert stop.value.code == 2 and sentence in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_runs_curve_has_plain_ticks_and_shows_where_one_pose_for_everyone_is(
    tmp_path, monkeypatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    lines = [{"step": step, "loss": 7.0 - step, "pa_mpjpe": 111.0} for step in range(3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    charts.draw_curve(tmp_path / "metrics.jsonl", tmp_path / "loss.png")
    left, right = drawn[0].axes
    drawn[0].draw_without_rendering()
    low, high = left.get_ylim()
    ticks = {
        text.get_text()
        for tick, text in zip(left.get_yticks(), left.get_yticklabels(), strict=True)
        if low <= tick <= high
    }
    assert ticks == {"5", "6"}
    assert "one constant pose" in right.get_legend_handles_labels()[1][-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("error", np.full((20, 5), np.nan, np.float32)), ("error", np.zeros((20, 4))),
        ("clip", np.full(20, 7)), ("keys", np.array([None, None])), ("truth", np.zeros(3)),
        ("names", np.arange(5)), ("visibility", None),
    ],
)  # fmt: skip
def test_damaged_frames_are_one_sentence(name, value, tmp_path):
    run = write(tmp_path / "run")
    with np.load(tmp_path / "run" / FRAMES) as held:
        arrays = dict(held)
    arrays[name] = value
    if value is None:
        del arrays[name]
    np.savez(tmp_path / "run" / FRAMES, **arrays)
    with pytest.raises(BadInput, match=r"frames\.npz is damaged"):
        frame_errors(run)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_damaged_json_is_one_sentence(text, tmp_path):
    write(tmp_path / "run")
    (tmp_path / "run" / "evaluation.json").write_text(text)
    with pytest.raises(BadInput, match=r"evaluation\.json is damaged"):
        find_runs(str(tmp_path))


def test_an_error_on_the_training_set_is_marked(tmp_path):
    held_out, training = write(tmp_path / "a"), write(tmp_path / "b")
    for run, shards in ((held_out, "x/shards"), (training, "y/shards")):
        path = Path(run.folder) / "config.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        known |= {"shards": [f"{shards}::0.5"], "val_shards": ["y/shards/"]}
        path.write_text(json.dumps(known))
    rows = compare.overview(find_runs(str(tmp_path))).rows
    assert [row[5] for row in rows] == [80.0, "80.0 (training data)"]


@pytest.mark.parametrize("given", [".", "a"])
def test_charts_are_written_beside_the_runs(given, tmp_path, monkeypatch, capsys):
    write(tmp_path / "runs" / "a")
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path / "runs" / given)])
    main()
    plt.close("all")
    assert (tmp_path / "runs" / "comparison" / "curves.png").exists()
    assert f"{tmp_path}/runs/comparison/curves.png" in capsys.readouterr().out
