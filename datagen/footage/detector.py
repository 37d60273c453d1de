"""The 2D detector that needs no network and no licence: MediaPipe's pose model (Apache-2.0).

Its wheel holds the model, but needs numpy 1 and Python 3.9 to 3.12, which this program need not
run on. So it lives in an environment of its own, made once, and is called as a script.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from datagen.common.errors import BadInput, BadMachine
from datagen.common.files import make_folder, whole
from datagen.footage.frames import frame_size, frame_times, read_frames
from datagen.words import count

PACKAGES = ("mediapipe==0.10.21", "numpy<2")
PYTHONS = ("3.12", "3.11", "3.10", "3.9")
"""Versions of Python that the wheel is built for, newest first."""
SCRIPT = Path(__file__).with_name("mediapipe_script.py")


def environment(folder: Path) -> Path:
    """Return the Python of the detector's environment, which is made if it does not stand.

    Raises:
        BadInput: the folder holds something else, which is left as it is.
        BadMachine: there is no Python of the versions needed, or pip cannot install the packages.
    """
    python = folder / "bin" / "python"
    if (folder / "whole").exists():
        return python
    unfinished = folder / "unfinished"
    if folder.exists() and not unfinished.exists():
        raise BadInput(
            f"--detector-env {folder} exists and was not made here; name a new folder, or, if it "
            f"is an environment with {' and '.join(PACKAGES)}, put an empty file `whole` into it"
        )
    base = find_python()
    print(f"Making the detector's environment in {folder} ({', '.join(PACKAGES)}; once, 600 MB)")
    shutil.rmtree(folder, ignore_errors=True)  # what a stopped run left of it
    folder.mkdir(parents=True)
    unfinished.touch()
    for step in (
        [base, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES],
    ):
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise BadMachine(
                f"{' '.join(step[:4])} … failed ({lines[-1] if lines else done.returncode}); mend "
                f"that, or make an environment with {' and '.join(PACKAGES)} yourself, put an "
                "empty file `whole` into it and name it with --detector-env"
            )
    unfinished.rename(folder / "whole")
    return python


def find_python() -> str:
    """Return a Python that MediaPipe's wheel is built for: this one, or one on the PATH."""
    if f"{sys.version_info[0]}.{sys.version_info[1]}" in PYTHONS:
        return sys.executable
    for version in PYTHONS:
        if found := shutil.which(f"python{version}"):
            return found
    raise BadMachine(
        f"MediaPipe needs Python {PYTHONS[-1]} to {PYTHONS[0]}, this is "
        f"{sys.version_info[0]}.{sys.version_info[1]} and the PATH has none; install python3.12, "
        "or detect keypoints elsewhere and give them with --keypoints"
    )


def detect(video: Path, python: Path, out: Path) -> int:
    """Write the keypoints of every frame of a video as our own .npz; return the number of frames.

    Frames are decoded here and piped, one at a time, so that both programs mean the same frames.

    Raises:
        BadInput: the video does not decode.
        BadMachine: the detector does not run.
    """
    frames = len(frame_times(video))
    width, height = frame_size(video)
    with whole(out) as temporary, tempfile.TemporaryFile() as said:
        result = temporary.with_suffix(".npz.tmp.npz")
        process = subprocess.Popen(
            [str(python), str(SCRIPT), str(result), str(width), str(height)],
            stdin=subprocess.PIPE, stdout=said, stderr=said,
        )  # fmt: skip
        try:
            assert process.stdin is not None
            for frame in read_frames(video, range(frames)):
                process.stdin.write(frame.tobytes())
            process.stdin.close()
        except BrokenPipeError:
            pass  # it died; its last words tell why
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
        said.seek(0)
        words = said.read().decode(errors="replace").strip().splitlines()
        if process.returncode or not result.exists():
            raise BadMachine(
                f"the detector {python} failed ({words[-1] if words else process.returncode}); "
                f"remove {python.parents[1]} to have it made anew"
            )
        result.rename(temporary)
    return frames


def detections(
    videos: dict[str, Path], folder: Path, env: Path
) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the keypoint file of every video, detecting what is missing, and why some have none.

    Files lie in `folder` as <name>-<bytes of the video>.npz, so the same video is not looked at
    twice. A video that does not decode is left to the ingestion, which names it.
    """
    reasons: dict[str, str] = {}
    found = {name: folder / f"{name}-{path.stat().st_size}.npz" for name, path in videos.items()}
    missing = [name for name, file in found.items() if not file.exists()]
    if not missing:
        return found, reasons
    python = environment(env.expanduser())
    make_folder(folder)
    for name in missing:
        print(f"Detecting the person of {videos[name]}", flush=True)
        try:
            frames = detect(videos[name], python, found[name])
        except BadInput as error:
            reasons[name] = str(error)
            continue
        print(f"  {count(frames, 'frame')} → {found[name]}")
    return found, reasons
