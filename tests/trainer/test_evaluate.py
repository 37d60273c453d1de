"""trainer.evaluate end to end: counted frames and people, result folders, keypoint errors."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from trainer_fixtures import toy_config, write_shards

from trainer.analysis.runs import find_runs
from trainer.errors import BadInput
from trainer.evaluate import evaluate, table, who
from trainer.evaluation.metrics import Tally, summarize
from trainer.evaluation.options import EvaluateConfig
from trainer.export import ExportConfig, export
from trainer.fit import fit

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_person_without_counted_frames_enters_no_mean():
    truth = torch.randn(4, 14, 3)
    tallies = {"seen": Tally(), "hidden": Tally()}
    for name, tally in tallies.items():
        tally.add(
            truth + 0.1 * torch.randn(4, 14, 3), truth, torch.full((4,), name == "seen"), (2, 3)
        )
    results = json.loads(json.dumps(summarize(tallies), allow_nan=False))
    assert results["per_person"]["hidden"]["pa_mpjpe"] is None
    assert results["persons"]["pa_mpjpe"] == results["per_person"]["seen"]["pa_mpjpe"]
    lines = table(results).splitlines()
    assert lines[-1].endswith("mm over 1 person")
    assert lines[2].split() == ["hidden", "-", "-", "-", "0"]
    nobody = summarize({"hidden": tallies["hidden"]})
    assert table(nobody).endswith("PA-MPJPE - mm over 0 persons")


def test_means_of_few_frames_are_marked_and_subjects_are_no_persons():
    truth, tally = torch.randn(60, 14, 3), Tally()
    missing = torch.tensor([0] * 5 + [4] * 5 + [2] * 50)
    tally.add(truth + 0.1, truth, torch.ones(60).bool(), (2, 3), missing=missing)
    results = summarize({"backflip": tally})
    printed = table(results | {"grouped_by": "subject"})
    rows = {line[:24].strip(): line[24:].split() for line in printed.splitlines()}
    assert rows["4 and more missing"] == ["(0.0)", "5"] and rows["1-3 missing"] == ["0.0", "50"]
    assert "(in brackets: of fewer than 50 frames" in printed and "person" not in printed
    assert {"subject", "backflip", "mean over subjects"} <= rows.keys()
    assert " mm over 1 subject (performers of the motions" in printed
    assert who([{"subject": "walk"}, {"subject": "bow"}]) == "subject"
    assert who([{"subject": "walk"}, {"motion": "x"}]) == who([]) == "person"


def test_each_data_set_has_its_own_evaluation(toy, tmp_path):
    folder = fit(toy_config(toy, tmp_path / "runs/one", steps=1, inputs="keypoints"))
    other = write_shards(tmp_path / "other/shards", shards=1, clips=2, frames=6, size=32)
    options = {"checkpoint": folder / "last.pt", "device": "cpu", "pictures": 0}
    for shards in (toy, other, other):  # evaluating the same set again replaces its own results
        evaluate(EvaluateConfig(shards=shards, **options))
    shutil.copy(folder / "last.pt", folder / "best.pt")
    one = EvaluateConfig(shards=toy, **options)
    for changes in ({"max_clips": 1}, {"mirror": True}, {"raw_weights": True}, {"stride": 1}):
        evaluate(replace(one, **changes))  # other options, which replace nothing
    looks = {path.name.split("-", 2)[2] for path in folder.glob("evaluation/*-*-*")}
    assert looks == {"clips1", "mirror", "raw", "stride1"}
    for path in folder.glob("evaluation/*-stride1"):
        shutil.rmtree(path)  # its preference equals the plain one's, so either could be compared
    places = sorted(path.parent.name for path in folder.glob("evaluation/*/evaluation.json"))
    best = folder / "best.pt"
    evaluate(EvaluateConfig(checkpoint=best, shards=toy, device="cpu", pictures=0))
    assert sorted({name.split("-")[0] for name in places}) == sorted(["other", toy.name])
    for shards, clips in ((toy, 8), (other, 2)):
        (run,) = find_runs(str(tmp_path / "runs"), str(shards))
        assert run.evaluation and run.evaluation["shards"] == str(shards)
        assert len(run.clips) == clips and run.evaluation["checkpoint"].endswith("last.pt")
    with pytest.raises(BadInput, match=r"dataset\.json"):
        find_runs(str(tmp_path / "runs"), str(tmp_path))


def test_the_next_command_is_printed_for_a_run(toy, tmp_path, capsys):
    folder = fit(toy_config(toy, tmp_path / "a run", steps=1, inputs="keypoints"))
    shared = tmp_path / "shared"
    export(ExportConfig(checkpoint=folder / "last.pt", out=shared))
    network = shared / "model.safetensors"
    assert capsys.readouterr().out.endswith(f"your.mp4 --checkpoint {network}\n")
    config = EvaluateConfig(checkpoint=folder / "last.pt", shards=toy, device="cpu", pictures=0)
    evaluate(config)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"Next: python -m trainer.compare '{folder}'"
    evaluate(replace(config, checkpoint=network, out=tmp_path / "out"))
    assert "trainer.compare" not in capsys.readouterr().out


def test_windows_are_joined_to_whole_clips(toy, tmp_path):
    folder = fit(toy_config(toy, tmp_path / "run", steps=1, frames=4))
    checkpoint = folder / "last.pt"
    look = EvaluateConfig(checkpoint=checkpoint, shards=toy, device="cpu", stride=1, pictures=0)
    results = evaluate(look)
    window = {"frames": 4, "stride": 1, "mirror": False, "refine": False, "body": False}
    assert results["window"] == window
    assert results["every_frame"]["frames"] == 8 * 6
    both = evaluate(replace(look, mirror=True))
    assert both["window"]["mirror"] and both["every_frame"]["frames"] == 8 * 6
    assert both["every_frame"]["pa_mpjpe"] != results["every_frame"]["pa_mpjpe"]
    with pytest.raises(BadInput, match="--stride 5 would leave gaps between windows of 4 frames"):
        evaluate(EvaluateConfig(checkpoint=checkpoint, shards=toy, device="cpu", stride=5))


def test_keypoint_errors_change_the_input_but_not_the_ground_truth(toy, tmp_path):
    folder = fit(toy_config(toy, tmp_path / "run", steps=1, inputs="keypoints"))
    look = EvaluateConfig(checkpoint=folder / "last.pt", shards=toy, device="cpu", pictures=0)
    exact = evaluate(look)
    noisy, again = (evaluate(replace(look, keypoint_noise=3.0)) for _ in range(2))
    assert noisy == again and noisy["keypoints"] == {"noise": 3.0, "drop": 0.0, "gaps": 0.0}
    blind = evaluate(replace(look, keypoint_drop=1.0))
    gaping = evaluate(replace(look, keypoint_gaps=1.0))
    for poor in (noisy, blind, gaping):  # the same frames count
        assert poor["persons"]["pa_mpjpe"] != exact["persons"]["pa_mpjpe"]
        assert poor["frames"]["frames"] == exact["frames"]["frames"] > 0
    away = evaluate(replace(look, keypoint_noise=1e7))  # no heatmap reaches the picture
    assert away["every_frame"] == blind["every_frame"]
    places = [path.name.split("-", 2)[2:] for path in (folder / "evaluation").iterdir()]
    assert sorted(places) == [[], ["drop1"], ["gaps1"], ["noise1e+07"], ["noise3"]]
    (run,) = find_runs(str(tmp_path))
    assert run.evaluation == exact
    with pytest.raises(BadInput, match=r"--keypoint-drop must lie in \[0, 1\], got 2"):
        replace(look, keypoint_drop=2.0)
    with pytest.raises(BadInput, match=r"--keypoint-gaps must lie in \[0, 1\], got -1"):
        replace(look, keypoint_gaps=-1)
    flow = fit(toy_config(toy, tmp_path / "flow", steps=1, inputs="flow")) / "last.pt"
    with pytest.raises(BadInput, match="uses only flow, so --keypoint-noise"):
        evaluate(replace(look, checkpoint=flow, keypoint_noise=3.0))


def test_a_note_names_another_joint_regressor(toy, tmp_path, capsys):
    """The same clips with another joint regressor, in body.npz or named by dataset.json."""
    folder = fit(toy_config(toy, tmp_path / "run", steps=1, inputs="keypoints"))
    shutil.copytree(toy, tmp_path / "older")
    shutil.copytree(toy, tmp_path / "newer")
    body = dict(np.load(toy / "body.npz"))
    body["eval_regressor"] = 0.9 * body["eval_regressor"] + 0.1 * body["eval_regressor"][::-1]
    np.savez(tmp_path / "older" / "body.npz", **body)
    path = tmp_path / "newer" / "dataset.json"
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps({**metadata, "joint_regressor": {"name": "H36M's", "sha256": "0f"}}))
    options = {"checkpoint": folder / "last.pt", "device": "cpu", "pictures": 0}
    for shards, words in ((toy, None), (tmp_path / "older", "unnamed"), (path.parent, "H36M's")):
        capsys.readouterr()
        results = evaluate(EvaluateConfig(shards=shards, **options))
        printed = capsys.readouterr().out
        regressors = results["joint_regressor"]
        assert ("has evaluation joints from" in printed) == (words is not None)
        assert (regressors["truth"] == regressors["checkpoint"]) == (words is None)
        assert f"joints from {words or 'unnamed'} (" in printed
