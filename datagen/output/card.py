"""README.md and croissant.json of a data set.

Both are made only from dataset.json and the manifest's lines and hold no date or path, so equal
data sets have equal cards. README.md begins with Hugging Face's front matter; croissant.json
follows MLCommons' Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from datagen.common.cli import duration
from datagen.common.files import whole, write_json
from datagen.common.record import Line
from datagen.output import jsonld, motion_card, statistics, variety
from datagen.output.dataset import read
from datagen.output.dataset import write as write_dataset
from datagen.output.layout import Layout, shard_name
from datagen.output.manifest import Manifest

CARD = "card"
"""`kind` of the manifest line with croissant.json's SHA-256; the newest one counts."""
LISTS = ("shards", "bodies", "backgrounds")
"""Manifests whose number of checksummed lines it also records."""
SPLITS = {"val": "validation", "all": "train"}  # Hugging Face's names, where they differ from ours
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")
TAGS = ("synthetic", "3d-human-pose", "smpl", "optical-flow", "video", "webdataset")
OPEN = (
    "Made from the open assets that ship with motion-hmr: bodies and scenes CC0 1.0 (the bodies' "
    "keypoints Apache 2.0), motions CC0 1.0 and (DeepMimic's) zlib licence. Any use is "
    "allowed, including commercial use."
)
GIVEN = (
    "Made from {inputs} supplied by the creator; the licences of these inputs apply to this data "
    "set. SMPL, SURREAL, AMASS and Kinetics allow research use only."
)
CITATION = (
    "@inproceedings{doersch2019sim2real, title={Sim2real transfer learning for 3D human pose "
    "estimation: motion to the rescue}, author={Doersch, Carl and Zisserman, Andrew}, "
    "booktitle={NeurIPS}, year={2019}}"
)
LABELS = (
    "`joints2d` [T,J,3] x, y, seen; `visibility` [T,J]; `joints3d` [T,J,3] camera frame, metres; "
    "`pose` [T,72]; `betas` [10]; `trans` [T,3]; `gravity` [3]; `occluded` [T]; `crop` [T,2,3]; "
    "`offsets` [T,2]; `camera` [3,3]"
)
MEMBERS = {
    "flow.npy": ("application/x-npy", "optical flow float16 [T,2,h,w], pixels at S"),
    "labels.npz": ("application/x-npz", "2D and 3D joints, SMPL pose and shape, crop, camera"),
    "meta.json": ("application/json", "the person, the scene and all random draws"),
    "rgb.jpg": ("image/jpeg", "the T crops in one strip"),
}


def write(layout: Layout, lines: dict[int, Line]) -> None:
    """Write README.md and croissant.json beside the shards and dataset.json.

    Args:
        lines: manifest lines of the finished shards, by shard number.
    """
    dataset = {**read(layout), "clips": sum(line["clips"] for line in lines.values())}
    write_dataset(layout, dataset)
    ordered = [lines[index] for index in sorted(lines)]
    with whole(layout.card) as temporary:
        temporary.write_text(readme(dataset, ordered))
    beside = {}
    bodies = (layout.shards / name for name in dataset["bodies"])
    for path in (layout.dataset, *bodies, layout.card):
        data = path.read_bytes()
        beside[path.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_json(layout.croissant, croissant(dataset, ordered, beside))
    line = _line(layout)
    if newest(layout) != line:
        Manifest(layout.manifests / "shards.jsonl").append(line)


def newest(layout: Layout) -> Line:
    """Return the manifest's newest `card` line, {} if there is none."""
    lines = Manifest(layout.manifests / "shards.jsonl").lines()
    return next((line for line in reversed(lines) if line.get("kind") == CARD), {})


def _line(layout: Layout) -> Line:
    """Return the `card` line for the current croissant.json and manifests."""
    digest = _sha256(layout.croissant)
    return {"kind": CARD, "name": layout.croissant.name, "sha256": digest, **counts(layout)}


def counts(layout: Layout) -> dict[str, int]:
    """Return the number of checksummed lines of each manifest, not counting `card` lines."""
    return {
        name: sum(line.get("kind") != CARD for line in manifest.checked())
        for name in LISTS
        for manifest in [Manifest(layout.manifests / f"{name}.jsonl")]
    }


def current(layout: Layout, lines: dict[int, Line]) -> bool:
    """Return whether the card describes exactly these shards and the current files beside them.

    A killed launch may have left a dataset.json for fewer shards beside a card for all of them.
    """
    try:
        files = json.loads(layout.croissant.read_text())["distribution"]
        digests = {file["name"]: file.get("sha256") for file in files if "sha256" in file}
        listed = {name: digest for name, digest in digests.items() if name.startswith("shard-")}
        if listed != {shard_name(index): line["sha256"] for index, line in lines.items()}:
            return False
        if newest(layout) != _line(layout):
            return False
        beside = digests.keys() - listed.keys() | {layout.dataset.name, layout.card.name}
        return all(_sha256(layout.shards / name) == digests.get(name) for name in beside)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def readme(dataset: Line, lines: list[Line]) -> str:
    """Return the text of README.md."""
    front = front_matter(dataset, {hub_split(dataset): "shard-*.tar"})
    if dataset.get("labels_only"):
        licence = licence_of(dataset["config"])
        return front + motion_card.text(dataset, lines, _title(dataset), licence)
    config, clips = dataset["config"], dataset["clips"]
    side = -(-dataset["image_size"] // dataset["flow"]["stride"])
    length = duration(clips * dataset["clip_length"] / dataset["fps"])
    t, s, j = dataset["clip_length"], dataset["image_size"], len(dataset["joints"])
    text = f"""
# {_title(dataset)}

Synthetic clips of moving people in front of real or virtual scenes, with SMPL pose and shape, 3D
and 2D joints and optical flow, for training 3D human pose estimation from motion
([Doersch & Zisserman, NeurIPS 2019](https://arxiv.org/abs/1907.02499)). Made by motion-hmr.

| | |
|---|---|
| clips | {clips} of {t} frames at {dataset["fps"]} frames per second ({length}) |
{_made_of(dataset, lines)}
| frames | {s}×{s} px{"" if dataset["rgb"] else " (not stored)"} |
| flow | {dataset["flow"]["name"]}, {side}×{side} cells of {dataset["flow"]["stride"]} px |
| joints | {j}{_regressed(dataset)} |
| split, seed | {dataset["split"]}, {config["output"]["seed"]} |
| fingerprint | `{dataset["fingerprint"]}`, a hash of all options and inputs (`dataset.json`) |

## A record

| member | content (T = {t} frames, S = {s} px, J = {j} joints) |
|---|---|
| `flow.npy` | float16 [T,2,{side},{side}], pixels at S; zero where the person is totally occluded |
| `labels.npz` | {LABELS} |
| `meta.json` | the person, the scene and all random draws |
{"| `rgb.jpg` | the T crops in one strip |" if dataset["rgb"] else ""}

`dataset.json` names the joints and describes the other fields; `body.npz` is the body model that
maps pose and shape to joints.

```python
import io, numpy as np, webdataset as wds
shards = "shard-{{000000..{max((line["shard"] for line in lines), default=0):06d}}}.tar"
for record in wds.WebDataset(shards, shardshuffle=False):
    flow = np.load(io.BytesIO(record["flow.npy"]))
    labels = np.load(io.BytesIO(record["labels.npz"]))
```

{_statistics(lines)}
## Licence

{licence_of(config)}

## Limits

The people are rendered: their faces, hands, hair and clothes are simpler than those of real people.
Gender and skin tone are drawn uniformly and match no real population. The data are meant for
training pose estimators, not for identifying or judging people.
"""
    return front + text.replace("\n\n\n", "\n\n")


def hub_split(dataset: Line) -> str:
    """Return Hugging Face's name for a data set's split."""
    return SPLITS.get(str(dataset["split"]), str(dataset["split"]))


def front_matter(dataset: Line, paths: dict[str, str]) -> str:
    """Return the YAML front matter that the Hugging Face Hub reads.

    Args:
        paths: glob of each split's shards, by Hugging Face's name for the split.
    """
    digits = len(str(max(dataset["clips"], 1)))  # 1 to 999 clips are the first size category
    lines = [
        "---",
        f"pretty_name: {_title(dataset)}",
        "license: other",
        f"license_name: {'open-assets' if not _given(dataset['config']) else 'of-its-sources'}",
        "task_categories:\n- keypoint-detection",
        f"size_categories:\n- {SIZES[min(max(digits - 3, 0), len(SIZES) - 1)]}",
        "tags:",
        *(f"- {tag}" for tag in tags(dataset)),
        "configs:\n- config_name: default\n  data_files:",
        *(f'  - split: {split}\n    path: "{path}"' for split, path in paths.items()),
        "---",
    ]
    return "\n".join(lines)


def tags(dataset: Line) -> list[str]:
    """Return the keywords of a data set."""
    of_pictures = ("synthetic", "optical-flow", "video") if dataset.get("labels_only") else ()
    return [tag for tag in TAGS if tag not in of_pictures]


def croissant(dataset: Line, lines: list[Line], beside: dict[str, Line]) -> Line:
    """Return croissant.json's content: the data set, its files with their SHA-256, its records.

    Args:
        beside: `bytes` and `sha256` of each file beside the shards, by file name.
    """
    what = (
        f"{dataset['clips']} synthetic clips of {dataset['clip_length']} frames of people in "
        "motion, with SMPL pose and shape, joints and optical flow."
    )
    if dataset.get("labels_only"):
        what = motion_card.summary(dataset)
    shards = {shard_name(line["shard"]): line for line in lines}
    return {
        "@context": jsonld.CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"motion-hmr-{dataset['split']}-{dataset['fingerprint']}",
        "description": f"{_title(dataset)}: {what}",
        "citeAs": CITATION,
        "license": licence_of(dataset["config"]),
        "version": f"{dataset['version']}.0.0",
        "keywords": tags(dataset),
        "distribution": [jsonld.file(name, line) for name, line in (beside | shards).items()]
        + jsonld.file_sets(members(dataset), list(shards)),
        "recordSet": jsonld.record_sets(members(dataset)) if shards else [],
    }


def members(dataset: Line) -> dict[str, tuple[str, str]]:
    """Return the media type and description of each member of a record, by file ending."""
    if dataset.get("labels_only"):
        return motion_card.MEMBERS
    return {name: MEMBERS[name] for name in MEMBERS if dataset["rgb"] or name != "rgb.jpg"}


def _title(dataset: Line) -> str:
    what = "motions" if dataset.get("labels_only") else "synthetic people"
    return f"motion-hmr {what} ({dataset['split']}, {dataset['fingerprint'][:8]})"


def _given(config: Line) -> list[str]:
    """Return the inputs that are not embedded, in words."""
    found = {
        "bodies": config["bodies"]["body"],
        "textures": config["bodies"]["textures"],
        "motions": config["bodies"]["motions"],
        "SURREAL's people": config["bodies"]["surreal"],
        "videos": config["backgrounds"]["videos"],
    }
    return [name for name, value in found.items() if value]


def licence_of(config: Line) -> str:
    """Return the sentence on the licences of a data set made with these options."""
    given = _given(config)
    return GIVEN.format(inputs=", ".join(given)) if given else OPEN


def _shown_motion(sums: dict[str, list[float]]) -> str:
    shares = ", ".join(f"{k}s {share:.0%}" for k, share in statistics.shown_motion(sums).items())
    text = f"\nShare of the visible keypoints' motion that the flow explains: {shares}.\n"
    return text if shares else ""


def _regressed(dataset: Line) -> str:
    """Return the name of the evaluation joints' regressor, to follow the number of joints."""
    if not (found := dataset.get("joint_regressor")):
        return ""
    return f"; evaluation joints regressed by {found['name']} (`{found['sha256']}`)"


def _made_of(dataset: Line, lines: list[Line]) -> str:
    """Return the table rows "made of" (not for older shards) and "shards"."""
    found = variety.held(lines, dataset["clip_length"]) if lines else None
    size = file_size(sum(line["bytes"] for line in lines))
    shards = (
        f"| shards | {len(lines)} WebDataset tars of {dataset['clips_per_shard']} clips, {size} |"
    )
    return f"| made of | {found} |\n{shards}" if found else shards


def _statistics(lines: list[Line]) -> str:
    found = statistics.total(lines)
    if not found:
        return ""
    flow = found["flow"]
    shares = " | ".join(
        f"{found[name]:.1%}" for name in ("visible", "occluded", "off_frame", "totally_occluded")
    )
    yaw, *flexions = (
        f"| {name} | {' | '.join(f'{count / max(sum(counts), 1):.0%}' for count in counts)} |\n"
        for name, counts in found["coverage"].items()
    )
    by_number = sorted(found["people"].items(), key=lambda item: (len(item[0]), item[0]))
    people = ", ".join(f"{count} × {name}" for name, count in by_number)
    return f"""## Statistics

| keypoints visible | behind the occluder | outside the frame | frames totally occluded |
|---|---|---|---|
| {shares} |

The mean flow is {flow["mean"]:.2f} px per frame, its median {flow["p50"]:.2f} and its 95th \
percentile {flow["p95"]:.2f}.
Camera motion shifts the person by {found["camera_step"]:.2f} px per frame, and by
{found["camera_drift"]:.1f} px from a clip's first frame to its last.
{_shown_motion(found["followed"])}
Facing direction, share of frames (0° is towards the camera, 90° to the right of the image):

| | {" | ".join(f"{round(i * 360 / len(found['coverage']['yaw']))}°" for i in range(8))} |
|---|---|---|---|---|---|---|---|---|
{yaw}
Joint flexion, share of frames over both sides of the body (0° is straight):

| | {" | ".join(f"{30 * i}-{30 * i + 30}°" for i in range(6))} |
|---|---|---|---|---|---|---|
{"".join(flexions)}
Clips by person: {people}.

"""


def file_size(size: float) -> str:
    """Return a number of bytes in readable form: 12.3 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
