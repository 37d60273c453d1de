"""Accuracy and speed of every optical flow estimator, on one machine in one run.

    python -m benchmarks.flow
    python -m benchmarks.flow --weights runs/flow/pwc.pth --pictures docs/flow.jpg

Endpoint errors (EPE, px at 224) are of the stored flow, enlarged bilinearly as in the trainer. They
are measured on pairs of embedded people in moving scenes (on and off the person), of moving shapes
and of panned photos, with subjects and photos that are never used for training, and, if the shared
data is present, on the two FlyingChairs pairs and on real clips against RAFT-sintel. Speed is in
clips of 31 frames at 224 px per second, and as a share of this machine's peak rates of matrix
products and convolutions. FlowNetS at width 1 has random weights if none are given, as its speed is
the same. The last line compares it with how public code runs it: float32, pair by pair.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch

from benchmarks.flo import read_flo
from datagen.bodies.library import build_person
from datagen.bodies.motion.sources import find_motions
from datagen.bodies.options import BodiesConfig
from datagen.clips.contact_sheet import flow_to_colour, titled
from datagen.common.seeds import generator
from datagen.common.splits import in_split
from datagen.flow.estimator import Estimator
from datagen.flow.flownets import DIV_FLOW, FlowNetS, prepare
from datagen.flow.load import load_estimator
from datagen.flow.network import best_dtype
from datagen.flow.options import FlowConfig
from datagen.flow.pwc import CHANNELS, PwcNet
from datagen.flow.training.pairs import make_pair
from datagen.flow.training.people import PersonPairs, person_pair
from datagen.flow.training.textures import load_textures
from datagen.flow.weights import EMBEDDED

SIZE, FRAMES = 224, 32
PAN = 24  # px, the most that a photo is moved
RAFT_FRAMES = 5  # of the clip that RAFT is timed on, as 32 take minutes on a CPU
FULL_COLOUR = 8.0  # px of flow that have full colour in the pictures
FIRST = "conv1.0.weight"  # of FlowNetS: its channels are 64 times the width
HEAD = 130  # px, width of the row names in the pictures

Test = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""frames uint8 [2,S,S,3], flow float32 [S,S,2] px, mask bool [S,S] of the person or None."""


@dataclass(frozen=True)
class Candidate:
    """An estimator to measure; `network` is that of FlowNetS or PWC-Net, on the meta device; `sees`
    is false for random weights, whose flow is meaningless."""

    label: str
    cfg: FlowConfig
    network: FlowNetS | PwcNet | None = None
    sees: bool = True

    @property
    def dtype(self) -> str:
        return self.cfg.flow_dtype


def people(count: int, folder: Path) -> list[Test]:
    """Return pairs of embedded people of the test split."""
    sources = [s for s in find_motions(None) if not s.name.endswith("_mirrored")]
    subjects = in_split((source.subject for source in sources), "test", "subjects")
    held_out = [source for source in sources if source.subject in subjects]
    paths = []
    for source in held_out[:: max(1, len(held_out) // 4)]:
        paths.append(folder / f"{source.name}.h5")
        build_person(source, BodiesConfig(max_clip_frames=50), 7, paths[-1])
    crowd, textures = PersonPairs(paths), load_textures(None, "test")
    tests: list[Test] = []
    for k in range(count):
        rng = generator(7, "flow benchmark", "people", k)
        first, second, flow, mask = person_pair(*crowd.draw(rng), textures, SIZE, rng)
        tests.append((np.stack((first, second)), flow, mask))
    return tests


def shapes(count: int) -> list[Test]:
    """Return pairs of moving shapes cut from photos of the test split."""
    textures = load_textures(None, "test")
    pairs = [
        make_pair(textures, SIZE, generator(7, "flow benchmark", "shapes", k)) for k in range(count)
    ]
    return [(np.stack((first, second)), flow, None) for first, second, flow in pairs]


def pans(count: int) -> list[Test]:
    """Return pairs of a photo of the test split and the same moved by whole pixels, PAN at most."""
    textures = load_textures(None, "test")
    tests: list[Test] = []
    for k in range(count):
        rng = generator(7, "flow benchmark", "pans", k)
        photo = textures[rng.integers(len(textures))]
        scale = (SIZE + 3 * PAN) / min(photo.shape[:2])
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        length, angle = rng.uniform(0, PAN), rng.uniform(0, 2 * np.pi)
        dx, dy = np.rint(length * np.array([np.cos(angle), np.sin(angle)])).astype(int)
        x, y = (rng.integers(PAN, side - SIZE - PAN + 1) for side in photo.shape[1::-1])
        first = photo[y : y + SIZE, x : x + SIZE]
        second = photo[y - dy : y - dy + SIZE, x - dx : x - dx + SIZE]
        flow = np.broadcast_to(np.array([dx, dy], np.float32), (SIZE, SIZE, 2))
        tests.append((np.stack((first, second)), flow, None))
    return tests


def chairs(folder: Path) -> list[Test]:
    """Return the FlyingChairs pairs at their own size, 512x384."""
    tests: list[Test] = []
    for path in sorted(folder.glob("*_flow.flo")):
        stem = path.name.removesuffix("_flow.flo")
        images = [np.array(cv2.imread(str(folder / f"{stem}_img{i}.ppm"))) for i in (1, 2)]
        tests.append((np.stack(images)[..., ::-1], read_flo(path), None))
    return tests


def real(paths: list[Path]) -> list[np.ndarray]:
    """Return a clip uint8 [4,S,S,3] from the middle of each video that has one."""
    clips = []
    for path in paths:
        video = cv2.VideoCapture(str(path))
        video.set(cv2.CAP_PROP_POS_FRAMES, video.get(cv2.CAP_PROP_FRAME_COUNT) // 2)
        frames = [frame for ok, frame in (video.read() for _ in range(4)) if ok]
        if len(frames) < 4:
            continue
        height, width = frames[0].shape[:2]
        side = min(height, width)
        y, x = (height - side) // 2, (width - side) // 2
        cut = [cv2.resize(f[y : y + side, x : x + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
               for f in frames]  # fmt: skip
        clips.append(np.stack(cut)[..., ::-1])
    return clips


def enlarge(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return stored flow [2,h,w] as [H,W,2], as the trainer enlarges it."""
    whole = flow.transpose(1, 2, 0).astype(np.float32)
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_LINEAR)


def errors(kind: str, fields: list[np.ndarray], tests: list[Test]) -> dict[str, float]:
    """Return the mean endpoint error of flow fields [H,W,2]: overall, on and off the person."""
    found: dict[str, list[np.ndarray]] = {kind: []}
    for guess, (_, flow, mask) in zip(fields, tests, strict=True):
        error = np.linalg.norm(guess - flow, axis=-1)
        found[kind].append(error.ravel())
        if mask is not None:
            found.setdefault("on person", []).append(error[mask])
            found.setdefault("off person", []).append(error[~mask])
    return {key: float(np.concatenate(value).mean()) for key, value in found.items()}


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest time of several runs, after one warm-up run."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def peak(dtype: torch.dtype, device: str) -> tuple[float, float]:
    """Return measured rates of matmul and 3x3 convolution, billion multiply-adds/s."""

    def timed(work: Callable[[], object]) -> float:
        def whole() -> None:
            work()
            if device.startswith("cuda"):
                torch.cuda.synchronize()

        return seconds(whole)

    side = 2048 if device == "cpu" else 8192
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    multiply = side**3 / timed(lambda: a @ b) / 1e9
    conv = torch.nn.Conv2d(256, 256, 3, 1, 1, bias=False).to(device, dtype).eval()
    conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(31, 256, 28, 28).to(device, dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        convolve = 31 * 28 * 28 * 9 * 256 * 256 / timed(lambda: conv(x)) / 1e9
    return multiply, convolve


def work_of(network: FlowNetS | PwcNet) -> float:
    """Return a network's multiply-adds per frame of a clip at 224 px, in billions.

    Only convolutions are counted; PWC-Net computes each frame's pyramid once.
    """
    total = 0

    def count(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        weights = module.weight.numel()  # type: ignore[union-attr]
        transposed = isinstance(module, torch.nn.ConvTranspose2d)
        pixels = (inputs[0] if transposed else output).shape[2:]
        total += weights * pixels[0] * pixels[1]

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(count)
    with torch.device("meta"):
        network(torch.zeros(1, 6, SIZE, SIZE))
    return total / 1e9


def pair_by_pair(frames: np.ndarray, device: str) -> float:
    """Return the seconds that FlowNetS takes for a clip as public code runs it."""
    network = FlowNetS().eval().to(device)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2)

    def clip() -> None:
        with torch.inference_mode():
            for first, second in pairwise(images):
                pair = prepare(first[None], second[None], "mean").contiguous().to(device)
                (DIV_FLOW * network(pair)).cpu()

    return seconds(clip, 1)


def dtypes(device: str) -> tuple[Literal["float32", "bfloat16"], ...]:
    """Return float32 and, where the device computes in it, bfloat16, which is slow if emulated."""
    fast = best_dtype(device) == torch.bfloat16
    return ("float32", "bfloat16") if fast else ("float32",)


def candidates(weights: list[Path], data: Path, folder: Path, device: str) -> list[Candidate]:
    """Return all estimators that can be measured here."""
    found = [Candidate("DIS", FlowConfig(flow="dis"))]
    random = folder / "random.pth"
    torch.manual_seed(0)
    torch.save({"state_dict": FlowNetS().state_dict(), "div_flow": DIV_FLOW}, random)
    rafts = [("RAFT small", "raft_small", data / "flow" / "raft-small.pth"),
             ("RAFT sintel", "raft_large", data / "flow" / "raft-sintel.pth")]  # fmt: skip
    for path in [*weights, random]:
        content = torch.load(path, map_location="cpu", weights_only=True)
        flow = "pwc" if content.get("arch") == "pwc" else "flownets"
        first = content["state_dict"]["features.0.0.0.weight" if flow == "pwc" else FIRST]
        width = len(first) / (CHANNELS[0] if flow == "pwc" else 64)
        label = f"{'PWC-Net' if flow == 'pwc' else 'FlowNetS'}, width {width:g}"
        label += " (speed)" if path == random else ""
        with torch.device("meta"):
            network = PwcNet(width) if flow == "pwc" else FlowNetS(width)
        for dtype in dtypes(device):
            cfg = FlowConfig(flow=flow, flow_weights=path, flow_dtype=dtype)
            found.append(Candidate(label, cfg, network, path != random))
        if flow == "pwc":
            for dtype in dtypes(device):
                cfg = FlowConfig(flow="pwc+dis", flow_weights=path, flow_dtype=dtype)
                found.append(Candidate(f"{label}, then DIS", cfg))
    for label, flow, path in rafts:
        if path.exists():
            for dtype in dtypes(device):
                cfg = FlowConfig(flow=flow, flow_weights=path, flow_dtype=dtype)  # type: ignore[arg-type]
                found.append(Candidate(label, cfg))
    return found


def main() -> None:
    """Measure, print one line per estimator, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--weights",
        type=Path,
        nargs="*",
        help="of FlowNetS or PWC-Net; default: the embedded weights",
    )
    parser.add_argument("--pairs", type=int, default=24, help="held-out pairs of each kind")
    parser.add_argument("--clips", type=int, default=6, help="real clips")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--pictures", type=Path, help="write the flow pictures here (.jpg)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = Path(os.environ.get("MOTION_HMR_SHARED_DATA", beside))
    weights = (
        args.weights
        if args.weights is not None
        else [Path(path) for path in dict.fromkeys(EMBEDDED.values())]
    )

    with tempfile.TemporaryDirectory() as temporary:
        measure(args, data, weights, Path(temporary))


def measure(args: argparse.Namespace, data: Path, weights: list[Path], folder: Path) -> None:
    """Run the benchmark with the options that `main` parsed."""
    tests = {"people": people(args.pairs, folder), "shapes": shapes(args.pairs),
             "pans": pans(args.pairs), "chairs": chairs(data / "flow")}  # fmt: skip
    videos = sorted((data / "videos").glob("*.*"))
    clips = real(videos[:: max(1, len(videos) // args.clips)])
    estimators = candidates(weights, data, folder, args.device)
    judge = next((c for c in estimators if c.label == "RAFT sintel" and c.dtype == "float32"), None)
    truth: list[np.ndarray] = []
    if judge:
        load = load_estimator(judge.cfg, args.device)
        truth = [load(clip).astype(np.float32) for clip in clips]
    rates = {dtype: peak(getattr(torch, dtype), args.device) for dtype in dtypes(args.device)}
    for dtype, (multiply, convolve) in rates.items():
        print(f"{args.device}, {args.threads} threads, {dtype}: matmul {multiply:.0f}, "
              f"3x3 convolution {convolve:.0f} billion multiply-adds per second")  # fmt: skip

    nothing = {kind: [np.zeros_like(t[1]) for t in some] for kind, some in tests.items() if some}
    zero: dict[str, float] = {}
    for kind, fields in nothing.items():
        zero |= errors(kind, fields, tests[kind])
    if truth:
        zero["real"] = float(np.mean([np.linalg.norm(t, axis=1).mean() for t in truth]))
    columns = list(zero)
    print(f"\n{'endpoint error, px':34}" + "".join(f"{c:>11}" for c in columns)
          + f"{'s/clip':>9}{'clips/s':>9}{'matmul':>8}{'conv':>6}")  # fmt: skip
    print(f"{'zero flow':34}" + "".join(f"{zero[c]:11.2f}" for c in columns))
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    times: dict[tuple[str, str], float] = {}
    rows: list[np.ndarray] = []
    shown = samples(tests, real([p for p in videos if p.name == "kivy_cityCC0.mpg"]))
    for one in estimators:
        estimator = load_estimator(one.cfg, args.device)
        clip = frames[:RAFT_FRAMES] if one.label.startswith("RAFT") else frames
        spent = seconds(lambda: estimator(clip), 2) * (FRAMES - 1) / (len(clip) - 1)  # noqa: B023
        times[one.label, one.dtype] = spent
        found = dict.fromkeys(columns, float("nan"))
        if one.sees:
            for kind, some in tests.items():
                guesses = [enlarge(estimator(f)[0], *flow.shape[:2]) for f, flow, _ in some]
                found |= errors(kind, guesses, some) if some else {}
            if truth:
                gaps = [np.linalg.norm(estimator(c) - t, axis=1).mean()
                        for c, t in zip(clips, truth, strict=True)]  # fmt: skip
                found["real"] = float(np.mean(gaps))
        name = one.label if one.label == "DIS" else f"{one.label}, {one.dtype}"
        line = f"{name:34}" + "".join(f"{found[c]:11.2f}" for c in columns)
        line += f"{spent:9.3f}{1 / spent:9.2f}"
        if one.network:
            rate = work_of(one.network) * (FRAMES - 1) / spent
            line += f"{rate / rates[one.dtype][0]:8.0%}{rate / rates[one.dtype][1]:6.0%}"
        print(line.replace("nan", "  -"), flush=True)
        if args.pictures and one.sees and one.dtype != "bfloat16":
            rows.append(flow_row(estimator, shown, one.label))
    if args.pictures:
        names = ["usual pair", *(["real video"] if len(shown) > 2 else []), "fast pair"]
        sheet = np.vstack([*first_rows(shown), *rows])
        heads = titled(sheet[:, HEAD:], names)
        sheet = np.vstack([np.full((len(heads) - len(sheet), sheet.shape[1], 3), 255, np.uint8),
                           sheet])  # fmt: skip
        sheet[:, HEAD:] = heads
        cv2.imwrite(str(args.pictures), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    best = dtypes(args.device)[-1]
    ours = times["FlowNetS, width 1 (speed)", best]
    public = pair_by_pair(frames, args.device)
    narrow = {label: s for (label, dtype), s in times.items() if dtype == best}
    print(json.dumps({
        "name": f"Flow of a clip, FlowNetS (width 1), {best}, against public code's way",
        "ours": round(1 / ours, 3), "baseline": round(1 / public, 3),
        "ratio": round(public / ours, 2), "unit": "31-frame clips/s at 224 px",
        "seconds_a_clip": {label: round(s, 3) for label, s in narrow.items()},
    }))  # fmt: skip


Sample = tuple[np.ndarray, np.ndarray | None]
"""Two frames uint8 [2,S,S,3] and, where known, their flow [S,S,2]."""


def samples(tests: dict[str, list[Test]], clips: list[np.ndarray]) -> list[Sample]:
    """Return a typical pair of people, a pair of a real video if there is one, and a fast pair."""

    def speed(test: Test) -> float:
        return float(np.linalg.norm(test[1][test[2]], axis=-1).mean())

    ranked = sorted(tests["people"], key=speed)
    usual, fast = ranked[len(ranked) // 2], ranked[-1]
    return [(usual[0], usual[1]), *((clip[:2], None) for clip in clips[:1]), (fast[0], fast[1])]


def first_rows(shown: list[Sample]) -> list[np.ndarray]:
    """Return a row of both frames overlaid, and a row of the true flow."""
    frames = [np.mean(pair, axis=0).astype(np.uint8) for pair, _ in shown]
    known = [np.full_like(pair[0], 225) if flow is None else _paint(flow)
             for pair, flow in shown]  # fmt: skip
    return [_row("both frames", frames), _row("true flow", known)]


def flow_row(estimator: Estimator, shown: list[Sample], label: str) -> np.ndarray:
    """Return an estimator's row of flow pictures."""
    fields = [enlarge(estimator(pair)[0], SIZE, SIZE) for pair, _ in shown]
    return _row(label, [_paint(field) for field in fields])


def _paint(flow: np.ndarray) -> np.ndarray:
    return flow_to_colour(flow.transpose(2, 0, 1), FULL_COLOUR)


def _row(label: str, pictures: list[np.ndarray]) -> np.ndarray:
    """Return pictures side by side, with their label on the left."""
    head = np.full((SIZE, HEAD, 3), 255, np.uint8)
    for line, words in enumerate(label.split(", ")):
        cv2.putText(head, words, (6, 105 + 22 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1,
                    cv2.LINE_AA)  # fmt: skip
    return np.hstack([head, *pictures])


if __name__ == "__main__":
    main()
