"""Reads a data set from a folder or any URL that fsspec supports (s3://, https://, …)."""

from __future__ import annotations

import io
import json
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import fsspec
import numpy as np

from datagen.common import pictures
from datagen.common.errors import BadInput
from datagen.common.files import unopened
from datagen.common.npz import open_npz, read_npy
from datagen.common.record import Line
from datagen.output import tars
from datagen.output.layout import Layout, shard_name
from datagen.output.manifest import parsed
from datagen.output.selection import select
from datagen.output.shard import key

AHEAD = 1 << 20  # bytes to read ahead: about one clip
LIMIT = 1e6
"""Pixels, metres or radians; larger numbers are damage."""
REPAIR = "run python -m datagen.verify --repair"
MISSING = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True)
class StoredClip:
    """One clip as stored in its shard; arrays as in `datagen.clips.compose.Clip`, T frames."""

    key: str
    flow: np.ndarray
    labels: dict[str, np.ndarray]
    meta: Line
    frames: np.ndarray | None
    """uint8 [T,S,S,3] RGB; None if the data set was made with --no-rgb."""
    size: int
    """Side S of the crop, pixels."""


class DataSetReader:
    """Reads a data set's manifests line by line and single clips of its tars by byte ranges."""

    def __init__(self, url: str) -> None:
        """`url`: a folder, its URL, or some of its shards as a brace pattern or a tar.

        Raises BadInput for a URL whose protocol is unknown or whose package is not installed.
        """
        self.url = url
        self.chosen = select(url)
        try:
            self.files, self.shards = fsspec.url_to_fs(self.chosen.folder)
        except (ImportError, ValueError) as error:
            raise unopened(url, error) from None
        self.shards = self.shards.rstrip("/")
        beside = posixpath.basename(self.shards) == "shards"
        self.root = posixpath.dirname(self.shards) if beside else self.shards

    @property
    def name(self) -> str:
        """The data set's name: the last non-empty folder of its URL."""
        return posixpath.basename(self.root) or posixpath.basename(self.shards) or self.url

    @property
    def local(self) -> bool:
        return "file" in np.atleast_1d(self.files.protocol).tolist()

    @cached_property
    def dataset(self) -> Line:
        """The content of dataset.json. Raises BadInput if it is missing or unreadable."""
        path = f"{self.shards}/dataset.json"
        try:
            content = json.loads(self.files.cat_file(path))
        except MISSING:
            raise BadInput(
                f"{self.url} holds no dataset.json: it is not a folder of shards; "
                "make one with python -m datagen.launch, or give the folder with the tars in it"
            ) from None
        except (ValueError, UnicodeDecodeError) as error:
            raise BadInput(f"{self.url}: dataset.json is damaged ({error}); {REPAIR}") from None
        except OSError as error:
            raise BadInput(f"{self.url} cannot be read ({error})") from None
        if not isinstance(content, dict):
            raise BadInput(f"{self.url}: dataset.json is damaged (not an object); {REPAIR}")
        return content

    def lines(self, name: str) -> Iterator[Line]:
        """Yield manifests/`name`.jsonl line by line; nothing if the file does not exist.

        From shards.jsonl, only the selected shards. Damaged lines and an incomplete last line are
        skipped, as the writer does.
        """
        try:
            file = self.files.open(f"{self.root}/manifests/{name}.jsonl", "rb")
        except MISSING:
            return
        with file:
            for text in file:
                line = parsed(text) if text.endswith(b"\n") else None
                if line is not None and (name != "shards" or self._chosen(line)):
                    yield line

    def _chosen(self, line: Line) -> bool:
        number = line.get("shard")
        return isinstance(number, int) and self.chosen.holds(number)

    def latest(self, name: str, field: str) -> Iterator[Line]:
        """Yield the newest line for each value of `field`, in the file's order.

        Reads the file twice, to hold only the positions of the newest lines in memory.
        """
        newest: dict[object, int] = {}
        for place, line in enumerate(self.lines(name)):
            if isinstance(line.get(field), int | str):
                newest[line[field]] = place
        places = set(newest.values())
        for place, line in enumerate(self.lines(name)):
            if place in places:
                yield line

    def records(self, shard: int, count: int) -> Iterator[StoredClip]:
        """Yield the first `count` clips of a shard, without reading the rest of the tar.

        Clips are independent draws, so the first ones are a fair sample.

        Raises BadInput if the shard is missing or damaged.
        """
        path = f"{self.shards}/{shard_name(shard)}"
        wanted = {key(shard, clip) for clip in range(count)}
        try:
            length = int(self.files.size(path) or 0)
            with self._opened(path) as file:
                name, members = "", {}
                for member in tars.members(file, length):
                    first, _, field = member.name.partition(".")
                    if first != name and members:
                        yield self._decode(name, members)
                        members = {}
                    name = first
                    if name not in wanted:
                        break
                    if field in members:
                        raise ValueError(f"record {name} has two {field}")
                    file.seek(member.offset_data)
                    members[field] = file.read(member.size)
                if members:
                    yield self._decode(name, members)
        except (OSError, tarfile.TarError, ValueError, KeyError, RecursionError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(
                f"{path} cannot be read ({error}); run python -m datagen.verify"
            ) from error

    @contextmanager
    def _opened(self, path: str) -> Iterator[IO[bytes]]:
        """Yield a shard's file, read by ranges; of an HTTP server without them, such as Python's
        `http.server`, all of it."""
        if "http" in self.files.protocol:
            start = self.files.cat_file(path, start=0, end=2)
            if len(start) > 2:
                yield io.BytesIO(start)
                return
        with self.files.open(path, "rb", block_size=AHEAD, cache_type="readahead") as file:
            yield file

    def record(self, name: str) -> StoredClip:
        """Return the clip with a key such as 000123_0042. Raises BadInput if it does not exist."""
        shard, _, clip = name.partition("_")
        if not (shard.isdigit() and clip.isdigit()):
            raise BadInput(f"{name} is not a clip's key; keys look like 000123_0042")
        for record in self.records(int(shard), int(clip) + 1):
            if record.key == name:
                return record
        raise BadInput(f"{self.url} holds no clip {name}")

    def _decode(self, name: str, members: dict[str, bytes]) -> StoredClip:
        with open_npz(members["labels.npz"]) as arrays:
            labels = {field: arrays.read(field) for field in sorted(arrays.names)}
        frames, size = None, int(self.dataset["image_size"])
        if "rgb.jpg" in members:
            strip = pictures.decode(members["rgb.jpg"])
            frames = strip[..., ::-1].reshape(-1, size, size, 3)
        flow = read_npy(members["flow.npy"])
        for field, array in {**labels, "flow": flow}.items():
            if not float(np.abs(array).max(initial=0)) < LIMIT:
                raise ValueError(f"{field} of {name} has NaN, infinite or absurd numbers")
        return StoredClip(name, flow, labels, json.loads(members["meta.json"]), frames, size)

    @property
    def layout(self) -> Layout:
        """The folders of a local data set. Raises BadInput for a remote one."""
        if not self.local:
            raise BadInput(f"{self.url} is remote: give a local copy of its library with --library")
        return Layout(Path(self.shards))
