"""The report's section on results: videos and pictures that other commands made."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from pathlib import Path

from datagen.common.errors import BadInput, near
from datagen.replay.names import INDEX

KINDS = {
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
}
LARGEST = 30_000_000
"""Largest file in bytes that browsers open when embedded in a page."""
CAPTIONS = {
    "loss": "Error over training steps, on training clips and held-out clips.",
    "skeletons": "Evaluation clips: predicted joints (left orange, right blue), true ones grey.",
}
"""Captions of pictures with a fixed name; others are captioned with their file names."""
OF_AN_OVERLAY = {
    ".mp4": "The predicted body over the video, and rotated beside it.",
    ".png": "Frames, from top to bottom: the whole picture, the detected keypoints, the body over "
    "them, the body rotated.",
}
"""Captions of the files that datagen.overlay writes, by suffix."""


def section(files: Iterable[Path]) -> str:
    """Return the section as HTML; "" without files.

    Raises BadInput for a file that is missing, too large, or neither a picture nor a video.
    """
    shown = "".join(_figure(path) for path in files)
    return f"<h2>Results</h2>{shown}" if shown else ""


def _caption(path: Path) -> str:
    name = f"{path.parent.name}/{path.name}"
    ours = path.with_name(INDEX).exists()  # the folder is one of datagen.overlay
    known = OF_AN_OVERLAY.get(path.suffix.lower()) if ours else CAPTIONS.get(path.stem)
    return f"{known} ({name})" if known else name


def _figure(path: Path) -> str:
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise BadInput(f"--results {path} must be one of {', '.join(KINDS)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"--results {path} cannot be read: {error.strerror}{near(path)}") from error
    if len(data) > LARGEST:
        raise BadInput(f"--results {path} is larger than {LARGEST // 1_000_000} MB")
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    caption = _caption(path)
    if kind.startswith("video"):
        shown = f'<video src="{url}" controls loop muted autoplay playsinline></video>'
    else:
        shown = f'<div class="scroll"><img class="wide" src="{url}" alt="{escape(caption)}"></div>'
    return f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>"
