"""Measure a network's pose errors on shards with ground truth.

    python -m trainer.evaluate --checkpoint runs/x/best.pt --shards shards/

PA-MPJPE as the paper reports it: the error over 14 joints after similarity alignment, in frames
with at least seven visible keypoints (all frames are input), averaged per person and then over
people. In rendered clips, persons are the motions' subjects: their performers or, of generated
motions, their kinds. Results go to evaluation.json in the run's folder, in a subfolder per data
set, beside each clip's and frame's errors (clips.jsonl and frames.npz,
`trainer.evaluation.frame_errors`) for trainer.compare.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.common import cli
from trainer.common.cli import count
from trainer.common.files import write_json
from trainer.data.dataset import DataSet
from trainer.data.options import keypoint_errors
from trainer.data.records import META, Record
from trainer.errors import BadInput
from trainer.evaluation.frame_errors import FrameErrors, shown_by
from trainer.evaluation.inference import open_inference
from trainer.evaluation.metrics import FEW, OCCLUDED, Tally, hips_of, summarize
from trainer.evaluation.options import EvaluateConfig
from trainer.evaluation.truth import compare_with_truth
from trainer.evaluation.windows import PredictedClip
from trainer.model.body import JointRegressor


def person_of(record: Record) -> str:
    """Return the name of the person in a clip, from its meta.json; the clip's key if unnamed.

    In a rendered clip, `person` names the motion, mirrored or not; the person is its `subject`.
    """
    subject = shown_by(record).get("subject")
    if subject:
        return str(subject)
    try:
        meta = json.loads(record.members[META])
        person = meta["person"]
        return str(person["name"] if isinstance(person, dict) else person)
    except (KeyError, ValueError, TypeError):
        return record.key


def evaluate(cfg: EvaluateConfig) -> dict[str, object]:
    """Write evaluation.json, draw pictures of some clips and return the results."""
    errors = keypoint_errors(cfg)
    inference = open_inference(cfg, errors=errors, fit_body=cfg.body)
    dataset = inference.dataset
    out = cfg.out or place(cfg, dataset)
    out.mkdir(parents=True, exist_ok=True)
    shown: list[PredictedClip] = []
    frame_errors = FrameErrors(dataset)
    tallies = tally(inference.clips, dataset, shown, cfg.pictures, frame_errors)
    if not tallies:
        raise BadInput(f"{cfg.shards} holds no readable clip; run datagen.verify on it.")
    results: dict[str, object] = {
        "checkpoint": str(cfg.network),
        "step": inference.step,
        "shards": str(cfg.shards),
        "data": dataset.identity(),
        "truth_source": dataset.truth_source,
        "joint_regressor": {
            "truth": dataset.joint_regressor._asdict(),
            "checkpoint": inference.joint_regressor._asdict(),
        },
        "inputs": inference.spec.inputs,
        "window": {
            "frames": inference.frames,
            "stride": inference.stride,
            "mirror": cfg.mirror,
            "refine": cfg.refine,
            "body": cfg.body,
        },
        "keypoints": errors._asdict(),
        "raw_weights": cfg.raw_weights,
        "max_clips": cfg.max_clips,
        "grouped_by": who(frame_errors.lines),
        "unit": {"pa_mpjpe": "mm", "mpjpe": "mm", "acceleration": "mm/frame²"},
        **summarize(tallies),
    }
    path = out / "evaluation.json"
    write_json(path, results)
    print(table(results))
    files = [path, *frame_errors.write(out)]
    print(f"written  {out}: {', '.join(file.name for file in files)}")
    if shown:
        draw(shown, dataset, out)
    advise(cfg)
    return results


def who(lines: list[dict[str, Any]]) -> str:
    """Return what errors are averaged over first: "subject" in rendered clips, else "person".

    A subject is the performer of motions or, of generated motions, their kind. lines: of the clips.
    """
    return "subject" if lines and all("subject" in line for line in lines) else "person"


def place(cfg: EvaluateConfig, dataset: DataSet) -> Path:
    """Return the folder for the results on a data set: RUN/evaluation/<its name>-<its hash>.

    Results of the network that ships are in ./evaluation. The name of a checkpoint other than
    last.pt is added, and every option that changes the results, so that no evaluation replaces
    another.
    """
    checkpoint = cfg.checkpoint or Path("last.pt")
    asked = {
        "raw": cfg.raw_weights, "mirror": cfg.mirror, "refine": cfg.refine,
        "body": cfg.body, "frames": cfg.frames, "stride": cfg.stride,
        "clips": cfg.max_clips, **keypoint_errors(cfg)._asdict(),
    }  # fmt: skip
    options = "".join(
        f"-{name}" if value is True else f"-{name}{value:g}"
        for name, value in asked.items()
        if value
    )
    folder = dataset.folder
    folder = folder.resolve() if isinstance(folder, Path) else folder
    name = folder.parent.name if folder.name == "shards" else folder.name
    known = hashlib.sha256(json.dumps(dataset.identity()).encode()).hexdigest()[:8]
    which = "" if checkpoint.stem == "last" else f"-{checkpoint.stem}"
    return checkpoint.parent / "evaluation" / f"{name}-{known}{which}{options}"


def tally(
    clips: Iterable[PredictedClip],
    dataset: DataSet,
    shown: list[PredictedClip],
    pictures: int,
    frame_errors: FrameErrors | None = None,
) -> dict[str, Tally]:
    """Return each person's errors; append the first clips to `shown` for drawing."""
    hips = hips_of(dataset.evaluation_names)
    tallies: dict[str, Tally] = {}
    for clip in clips:
        person = person_of(clip.record)
        compared = compare_with_truth(clip, dataset)
        missing = missing_keypoints(clip.shown or clip.arrays, dataset)
        tallies.setdefault(person, Tally()).add(
            compared.predicted, compared.truth, compared.counted, hips, compared.known, missing
        )
        if frame_errors is not None:
            frame_errors.add(clip, person, compared)
        if len(shown) < pictures:
            shown.append(clip)
    return tallies


def missing_keypoints(arrays: dict[str, np.ndarray], dataset: DataSet) -> torch.Tensor:
    """Return each frame's number of missing input keypoints [T]; OCCLUDED if totally occluded."""
    seen = arrays["joints2d"][:, list(dataset.keypoints), 2] == 1
    hidden = torch.from_numpy(arrays["occluded"].astype(bool))
    return torch.from_numpy((~seen).sum(1)).masked_fill(hidden, OCCLUDED)


def table(results: dict[str, Any]) -> str:
    """Return the results as a table of text."""
    kind = results.get("grouped_by", "person")
    lines = [
        f"{kind:24} {'PA-MPJPE':>9} {'MPJPE':>9} {'accel.':>9} {'frames':>8}",
        f"{'':24} {'mm':>9} {'mm':>9} {'mm/frame²':>9}",
    ]

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    def row(name: str, values: dict[str, Any]) -> str:
        numbers = [number(values[name]) for name in ("pa_mpjpe", "mpjpe", "acceleration")]
        cells = " ".join(f"{text:>9}" for text in numbers)
        return f"{name[:24]:24} {cells} {values.get('frames', ''):>8}"

    per_person = results["per_person"]
    assert isinstance(per_person, dict)
    if len(per_person) <= 20:
        lines += [row(name, values) for name, values in per_person.items()]
    for name, key in (
        (f"mean over {'people' if kind == 'person' else f'{kind}s'}", "persons"),
        ("mean over frames", "frames"),
        ("mean over all frames", "every_frame"),
    ):
        values = results[key]
        assert isinstance(values, dict)
        lines.append(row(name, values))
    groups = results["by_missing_keypoints"]
    assert isinstance(groups, dict)
    shown = {name: group for name, group in groups.items() if group["frames"] and name != "0"}
    for name, values in shown.items():
        what = name if name == "totally occluded" else f"{name} missing"
        error = number(values["pa_mpjpe"])
        error = f"({error})" if values["frames"] < FEW else error
        lines.append(f"{what:24} {error:>9} {'':>9} {'':>9} {values['frames']:>8}")
    if any(values["frames"] < FEW for values in shown.values()):
        lines.append(f"(in brackets: of fewer than {FEW} frames, which show little)")
    persons = results["persons"]
    assert isinstance(persons, dict)
    over = count(sum(values["frames"] > 0 for values in per_person.values()), kind)
    if kind == "subject":
        over += " (performers of the motions; kinds of generated ones)"
    source = results.get("truth_source")
    truth = JointRegressor(**results.get("joint_regressor", {}).get("truth", {}))
    against = f", truth: {source}" if source else f", joints from {truth}" if truth.sha256 else ""
    lines.append(f"PA-MPJPE {number(persons['pa_mpjpe'])} mm over {over}{against}")
    return "\n".join(lines)


def draw(shown: list[PredictedClip], dataset: DataSet, out: Path) -> None:
    """Draw predicted beside true skeletons, if matplotlib is installed."""
    try:
        from trainer.analysis.skeletons import draw_skeletons
    except ImportError:
        print("no skeletons.png: matplotlib is not installed")
        return
    draw_skeletons(shown, dataset, out / "skeletons.png")
    print(f"Look at: {out / 'skeletons.png'}")


def advise(cfg: EvaluateConfig) -> None:
    """Print the command that shows a run's results, if the checkpoint lies in a run folder."""
    run = cfg.network.parent
    if (run / "metrics.jsonl").exists():
        print(f"Next: python -m trainer.compare {shlex.quote(str(run))}")


def main() -> None:
    """Run the command line."""
    cli.run(EvaluateConfig, evaluate, __doc__ or "")


if __name__ == "__main__":
    main()
