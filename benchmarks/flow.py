"""Optical flow: how good and how fast every estimator is, on one machine in one run.

    python -m benchmarks.flow
    python -m benchmarks.flow --weights runs/flow/flownets.pth --clips 3

Endpoint errors (EPE, px at 224) of what is stored, enlarged bilinearly as the trainer does it: on
pairs of embedded people before moving scenes (on and off the person), on pairs of moving shapes,
and, where the data beside the project is there, on the two FlyingChairs pairs and on real clips
against RAFT-sintel. Speed in clips of 31 frames at 224 px a second, and the share of this
machine's own best convolution rate that FlowNetS reaches. FlowNetS at width 1 gets random weights
if none are given: its speed is the same. The last line compares FlowNetS in bfloat16 (where the
processor has it) with float32, the way public code runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from datagen.bodies.library import build_person, read_person
from datagen.bodies.motion import find_motions
from datagen.config import BodiesConfig, FlowConfig
from datagen.flow.estimator import Estimator, load_estimator
from datagen.flow.flo import read_flo
from datagen.flow.flownets import DIV_FLOW, FlowNetS
from datagen.flow.pairs import load_textures, make_pair
from datagen.flow.people import person_pair
from datagen.flow.wheel import paint_flow
from datagen.seeds import generator

SIZE, FRAMES = 224, 32

Test = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""frames uint8 [2,S,S,3], flow float32 [S,S,2] px, mask bool [S,S] of the person or None."""


def people(count: int, folder: Path) -> list[Test]:
    """Return pairs of embedded people, with seeds that no training uses."""
    sources = find_motions(None)
    textures = load_textures()
    tests: list[Test] = []
    chosen = [sources[i] for i in np.linspace(0, len(sources) - 1, 4).astype(int)]
    for number, source in enumerate(chosen):
        path = folder / f"{number}.h5"
        line = build_person(source, BodiesConfig(max_clip_frames=50), 7, path)
        for k in range(count // len(chosen)):
            rng = generator(7, "flow benchmark", number, k)
            start = int(rng.integers(0, line["clips"][0]["frames"] - 1))
            person = read_person(path, 0, start, 2)
            if not person.mask[0].any():
                continue
            first, second, flow, mask = person_pair(
                person.rgb, person.mask, person.flow[0], textures, SIZE, rng
            )
            tests.append((np.stack((first, second)), flow, mask))
    return tests


def shapes(count: int) -> list[Test]:
    """Return pairs of moving shapes."""
    textures = load_textures()
    pairs = [make_pair(textures, SIZE, generator(7, "flow benchmark", k)) for k in range(count)]
    return [(np.stack((first, second)), flow, None) for first, second, flow in pairs]


def chairs(folder: Path) -> list[Test]:
    """Return the FlyingChairs pairs at their own size, 512x384."""
    tests: list[Test] = []
    for path in sorted(folder.glob("*_flow.flo")):
        stem = path.name.removesuffix("_flow.flo")
        images = [np.array(cv2.imread(str(folder / f"{stem}_img{i}.ppm"))) for i in (1, 2)]
        tests.append((np.stack(images)[..., ::-1], read_flo(path), None))
    return tests


def real(folder: Path, count: int) -> list[np.ndarray]:
    """Return clips uint8 [4,S,S,3] from the middles of real videos."""
    clips = []
    for path in sorted(folder.glob("*.*"))[:: max(1, 30 // count)][:count]:
        video = cv2.VideoCapture(str(path))
        video.set(cv2.CAP_PROP_POS_FRAMES, video.get(cv2.CAP_PROP_FRAME_COUNT) // 2)
        frames = [frame for ok, frame in (video.read() for _ in range(4)) if ok]
        if len(frames) == 4:
            side = min(frames[0].shape[:2])
            cut = [cv2.resize(f[:side, :side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
                   for f in frames]  # fmt: skip
            clips.append(np.stack(cut)[..., ::-1])
    return clips


def enlarge(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return stored flow [2,h,w] as [H,W,2], as the trainer enlarges it."""
    whole = flow.transpose(1, 2, 0).astype(np.float32)
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_LINEAR)


def errors(estimator: Estimator, tests: list[Test]) -> dict[str, float]:
    """Return the mean endpoint error, also on and off the person."""
    found: dict[str, list[np.ndarray]] = {"all": [], "on": [], "off": []}
    for frames, flow, mask in tests:
        guess = enlarge(estimator(frames)[0], *flow.shape[:2])
        error = np.linalg.norm(guess - flow, axis=-1)
        found["all"].append(error.ravel())
        if mask is not None:
            found["on"].append(error[mask])
            found["off"].append(error[~mask])
    return {key: float(np.concatenate(value).mean()) for key, value in found.items() if value}


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the shortest of several runs after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def peak(dtype: torch.dtype) -> tuple[float, float]:
    """Return this machine's measured rates of matmul and of 3x3 convolution, Gmul-add/s."""
    a, b = torch.randn(2, 2048, 2048).to(dtype)
    multiply = 2048**3 / seconds(lambda: a @ b, 3) / 1e9
    conv = torch.nn.Conv2d(256, 256, 3, 1, 1, bias=False).to(dtype).eval()
    conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(30, 256, 28, 28).to(dtype).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        convolve = 30 * 28 * 28 * 9 * 256 * 256 / seconds(lambda: conv(x), 3) / 1e9
    return multiply, convolve


def work_of(width: float) -> float:
    """Return FlowNetS's multiply-adds for one pair at 224 px, in billions."""
    total = 0

    def count(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        weights = module.weight.numel()  # type: ignore[union-attr]
        transposed = isinstance(module, torch.nn.ConvTranspose2d)
        pixels = (inputs[0] if transposed else output).shape[2:]
        total += weights * pixels[0] * pixels[1]

    with torch.device("meta"):
        network = FlowNetS(width)
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                module.register_forward_hook(count)
        network(torch.zeros(1, 6, SIZE, SIZE))
    return total / 1e9


def candidates(weights: Path | None, data: Path, folder: Path) -> dict[str, tuple]:
    """Return label → (options, width of FlowNetS or None, whether its flow means anything)."""
    found: dict[str, tuple] = {"dis": (FlowConfig(), None, True)}
    for dtype in ("float32", "bfloat16"):
        if weights:
            state = torch.load(weights, weights_only=True)["state_dict"]
            width = state["conv1.0.weight"].shape[0] / 64
            cfg = FlowConfig(flow="flownets", flow_weights=weights, flow_dtype=dtype)  # type: ignore[arg-type]
            found[f"flownets trained here, width {width:g}, {dtype}"] = (cfg, width, True)
        for width in (1.0, 0.25):
            path = folder / f"random{width}.pth"
            if not path.exists():
                torch.manual_seed(0)
                state = {"state_dict": FlowNetS(width).state_dict(), "div_flow": DIV_FLOW}
                torch.save(state, path)
            cfg = FlowConfig(flow="flownets", flow_weights=path, flow_dtype=dtype)  # type: ignore[arg-type]
            found[f"flownets speed, width {width:g}, {dtype}"] = (cfg, width, False)
    for flow, file in (("raft_small", "raft-small.pth"), ("raft_large", "raft-sintel.pth")):
        if (data / "flow" / file).exists():
            cfg = FlowConfig(flow=flow, flow_weights=data / "flow" / file)  # type: ignore[arg-type]
            found[f"{flow} ({file}), float32"] = (cfg, None, True)
    return found


def main() -> None:
    """Measure, print a line for each estimator, and the one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="FlowNetS trained by datagen.flow.train")
    parser.add_argument("--pairs", type=int, default=16, help="held-out pairs of each kind")
    parser.add_argument("--clips", type=int, default=5, help="real clips")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--pictures", type=Path, help="write the flow pictures here (.png)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = Path(os.environ.get("MOTION_HMR_SHARED_DATA", beside))

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tests = {"people": people(args.pairs, folder), "shapes": shapes(args.pairs),
                 "chairs": chairs(data / "flow")}  # fmt: skip
        clips = real(data / "videos", args.clips)
        estimators = candidates(args.weights, data, folder)
        reference = next((cfg for label, (cfg, _, _) in estimators.items() if "sintel" in label),
                         None)  # fmt: skip
        truth = None
        if reference and clips:
            judge = load_estimator(reference, args.device)
            truth = [judge(clip) for clip in clips]
        for kind, some in tests.items():
            zero = [np.linalg.norm(flow, axis=-1).mean() for _, flow, _ in some]
            if zero:
                print(f"zero flow on {kind}: EPE {np.mean(zero):.2f} px")
        rates = {dtype: peak(getattr(torch, dtype)) for dtype in ("float32", "bfloat16")}
        for dtype, (multiply, convolve) in rates.items():
            print(f"{args.threads} threads, {dtype}: matmul {multiply:.0f}, "
                  f"3x3 convolution {convolve:.0f} billion multiply-adds a second")  # fmt: skip
        rng = np.random.default_rng(0)
        frames = rng.integers(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
        times: dict[str, float] = {}
        rows: list[np.ndarray] = []
        for label, (cfg, width, sees) in estimators.items():
            estimator = load_estimator(cfg, args.device)
            few = FRAMES if cfg.flow in ("dis", "flownets") else 5  # RAFT takes minutes on a CPU
            clip = frames[:few]
            spent = seconds(lambda: estimator(clip), 2) * (FRAMES - 1) / (few - 1)  # noqa: B023
            times[label] = spent
            line = f"{label}: {1 / spent:.2f} clips/s ({spent:.2f} s a clip)"
            if width is not None:
                rate = work_of(width) * (FRAMES - 1) / spent
                line += f", {rate / rates[cfg.flow_dtype][1]:.0%} of the convolution peak"
            for kind, some in tests.items():
                if sees and some:
                    found = errors(estimator, some)
                    line += f"; {kind} " + " ".join(f"{k} {v:.2f}" for k, v in found.items())
            if sees and truth is not None:
                gaps = [np.linalg.norm(estimator(c).astype(float) - t, axis=1).mean()
                        for c, t in zip(clips, truth, strict=True)]  # fmt: skip
                line += f"; real, against RAFT-sintel {np.mean(gaps):.2f}"
            print(line, flush=True)
            if sees and args.pictures:
                rows.append(pictures(estimator, tests, clips))
        if args.pictures:
            cv2.imwrite(str(args.pictures), np.vstack([shown(tests, clips), *rows])[..., ::-1])
    ours = times["flownets speed, width 1, bfloat16"]
    baseline = times["flownets speed, width 1, float32"]
    print(json.dumps({
        "name": "FlowNetS (width 1), bfloat16 against float32",
        "ours": round(1 / ours, 3), "baseline": round(1 / baseline, 3),
        "ratio": round(baseline / ours, 2), "unit": "31-frame clips/s at 224 px",
        "narrow_seconds_a_clip": round(times["flownets speed, width 0.25, bfloat16"], 3),
    }))  # fmt: skip


def _samples(tests: dict[str, list[Test]], clips: list[np.ndarray]) -> list[np.ndarray]:
    """Return frames of a synthetic pair, of the fastest synthetic pair and of real clips."""
    fastest = max(tests["people"], key=lambda test: float(np.abs(test[1]).mean()))
    return [tests["people"][0][0], fastest[0], *(clip[:2] for clip in clips[:3])]


def shown(tests: dict[str, list[Test]], clips: list[np.ndarray]) -> np.ndarray:
    """Return the row of the first frames."""
    return np.hstack([frames[0] for frames in _samples(tests, clips)])


def pictures(
    estimator: Estimator, tests: dict[str, list[Test]], clips: list[np.ndarray]
) -> np.ndarray:
    """Return an estimator's row of flow pictures, 10 px in full colour."""
    fields = [enlarge(estimator(frames)[0], SIZE, SIZE) for frames in _samples(tests, clips)]
    return np.hstack([paint_flow(field, 10) for field in fields])


if __name__ == "__main__":
    main()
