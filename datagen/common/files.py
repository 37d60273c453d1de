"""Reads files and writes them atomically, in a folder or at a URL that fsspec supports.

In a folder: temporary name, flush, rename. At a URL: written locally, then uploaded. An object
store shows an upload only when it is complete; on other servers it is uploaded under a temporary
name and renamed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from datagen.common import temporary
from datagen.common.errors import BadInput, BadMachine

if TYPE_CHECKING:
    from upath import UPath

WHOLE_UPLOADS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"}
"""Protocols with atomic uploads."""
CACHE_VARIABLE = "MOTION_HMR_CACHE"
TOO_MANY = "too many files are open: raise the limit (`ulimit -n 1024`)"
AGAIN = "then run the same command to continue"
NAME_BYTES = 200
"""Most bytes of an input's name; file systems allow 255, and suffixes are appended."""


def place(text: str | Path) -> Path:
    """Return the path of a file or folder; for a URL (s3://bucket/data), an object like Path.

    Raises BadInput for a URL whose protocol is unknown or whose package is not installed.
    """
    text = str(text)
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    if "://" not in text:
        return Path(text)
    from upath import UPath

    try:
        path = UPath(text)
        path.fs  # noqa: B018  # imports the protocol's package
    except (ImportError, ValueError) as error:
        raise unopened(text, error) from None
    return cast("Path", path)


def unopened(text: str, error: Exception) -> BadInput:
    """Return the error for a URL of an unknown protocol, or of one whose package is missing."""
    package = getattr(error.__cause__, "name", "")  # of a ModuleNotFoundError
    remedy = f" (`pip install {package}`)" if package else ""
    return BadInput(f"{text} cannot be opened: {error}{remedy}")


def absolute(path: Path) -> Path:
    """Return the absolute path; a URL is unchanged."""
    return path.expanduser().resolve() if is_local(path) else path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary local path; the file is moved to `path` if the block succeeds.

    A killed writer leaves only a `.tmp` file, which `sweep` removes.

    Raises BadMachine as `writing` does, and BadInput for a name that the file system rejects.
    """
    folder = path.parent if is_local(path) else cache_folder()
    make_folder(folder)
    with writing(folder), temporary.temporary_file(folder, path.name) as unfinished:
        yield unfinished
        if is_local(path):
            with open(unfinished, "rb") as file:
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        else:
            upload(unfinished, path)


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents.

    Raises BadMachine if a file is in the way, the disk is full or the folder is not writable.
    """
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            denied = not os.access(folder, os.W_OK)
    except (FileExistsError, NotADirectoryError):
        taken = next(place for place in (folder, *folder.parents) if place.exists())
        raise BadMachine(
            f"{folder} cannot be created: {taken} is not a folder; name another path"
        ) from None
    except PermissionError:
        denied = True
    if denied:
        raise BadMachine(_denied(folder))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a folder's failures into errors of one sentence with a remedy.

    Raises BadMachine if the disk is full, the folder is not writable or was removed, or no more
    files can be opened; BadInput if a name is longer than the file system allows.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BadMachine(f"no space is left in {folder}: free some space, {AGAIN}") from error
        if error.errno == errno.EROFS:
            raise BadMachine(_denied(folder)) from error
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise BadMachine(f"{TOO_MANY}, {AGAIN}") from error
        if error.errno == errno.ENOENT and not folder.exists():
            raise BadMachine(f"{folder} was removed during the run: restore it, {AGAIN}") from error
        if error.errno == errno.ENAMETOOLONG:
            name = Path(error.filename2 or error.filename or "").name
            raise BadInput(
                f"{folder} does not allow names of {len(os.fsencode(name))} bytes, such as "
                f"{name[:40]}…; rename the input"
            ) from error
        raise


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn failures of a URL's server into BadInput; local errors pass through."""
    try:
        yield
    except Exception as error:  # each protocol's package raises its own
        foreign = type(error).__module__.partition(".")[0] not in ("builtins", "datagen")
        if is_local(folder) or not (foreign or isinstance(error, OSError)):
            raise
        raise BadInput(f"{folder} cannot be read ({error!s:.200})") from None


def _denied(folder: Path) -> str:
    return f"{folder} is not writable: make it writable, {AGAIN}"


def upload(source: Path, path: Path) -> None:
    """Upload a local file to a URL atomically."""
    url = cast("UPath", path)
    try:
        if url.protocol in WHOLE_UPLOADS:
            url.fs.put_file(str(source), url.path)
            return
        unfinished = url.with_name(f".{url.name[:80]}.{secrets.token_hex(12)}.tmp")
        url.fs.makedirs(url.parent.path, exist_ok=True)
        url.fs.put_file(str(source), unfinished.path)
        url.fs.mv(unfinished.path, url.path)
    except (PermissionError, FileNotFoundError) as error:  # no write permission, or no such bucket
        raise BadMachine(
            f"{url.parent} is not writable ({error}): make it writable, {AGAIN}"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON."""
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=1) + "\n")


def sizes(folder: Path) -> dict[str, int]:
    """Return the size of every file in `folder` by name, from one listing; {} if it is missing."""
    if not is_local(folder):
        url = cast("UPath", folder)
        url.fs.invalidate_cache()  # other processes write there
        with suppress(FileNotFoundError):
            found = url.fs.ls(url.path, detail=True)
            files = {one["name"]: one["size"] for one in found if one["type"] == "file"}
            # The page by which an HTTP server lists a folder has names alone.
            unknown = [name for name, size in files.items() if size is None]
            files |= zip(unknown, url.fs.sizes(unknown), strict=True)
            return {name.rpartition("/")[2]: size for name, size in files.items()}
        return {}
    found = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # a temporary file that has disappeared
                if entry.is_file():
                    found[entry.name] = entry.stat().st_size
    return found


def folders_below(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield `folder` and all folders below it with their file names, without hidden ones; links to
    folders are followed, each folder once."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link to a parent
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield parent, [name for name in names if not name.startswith(".")]


def files_below(folder: Path) -> list[Path]:
    """Return all files below a local folder, sorted; links are followed.

    Hidden files and folders are skipped: operating systems leave them everywhere (.DS_Store,
    ._walk.bvh). A link to a file that is found anyway is skipped too: under two names, one person
    or video could end up in two splits.
    """
    found = [Path(parent, name) for parent, names in folders_below(folder) for name in names]
    links = sorted(path for path in found if path.is_symlink())
    files = {os.path.realpath(path): path for path in found if not path.is_symlink()}
    for path in links:
        files.setdefault(os.path.realpath(path), path)
    return sorted(path for path in files.values() if path.is_file())


def is_own(path: Path) -> bool:
    """Return whether a file is a body file beside shards that this program wrote.

    If --out lies inside an input folder, its files must not become inputs.
    """
    named = path.match("body.npz") or path.match("body-*.npz")
    return named and path.with_name("dataset.json").exists()


def read_all(paths: Iterable[Path]) -> list[bytes]:
    """Return the files' contents in order; files at a URL are read in parallel."""
    paths = list(paths)
    if not paths or is_local(paths[0]):
        return [path.read_bytes() for path in paths]
    urls = [cast("UPath", path) for path in paths]
    contents: Any = urls[0].fs.cat([url.path for url in urls])
    return [contents[url.path] for url in urls]


def cache_folder() -> Path:
    """Return the local folder for files copied to or from a URL.

    Raises BadMachine if the default, in the temporary folder, is not private to this user.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    return private_folder(Path(tempfile.gettempdir()) / f"motion-hmr-{os.getuid()}")


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user can read and write, and return it.

    Raises BadMachine if it belongs to another user or is a link: where everybody may write, others
    could have created it on purpose.
    """
    with suppress(FileExistsError):  # a file or a dangling link
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise BadMachine(
            f"{folder} is not a folder that you own, so its files cannot be trusted; remove it"
        )
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


@cache
def cached(path: Path, digest: str) -> Path:
    """Return a local file with the content of `path`, whose SHA-256 is `digest`.

    A URL is downloaded once per machine. The copy is named by its digest, so a replaced file gets
    another copy. Each process hashes the copy before first use and downloads a damaged one again.
    """
    if is_local(path):
        return path
    kept = cache_folder() / f"{digest[:32]}{path.suffix}"
    if not kept.exists() or sha256(kept) != digest:
        url = cast("UPath", path)
        with whole(kept) as unfinished:
            url.fs.get_file(url.path, str(unfinished))
            if sha256(unfinished) != digest:
                raise OSError(f"{path} differs from its SHA-256; make its library again")
    return kept


def sweep(folder: Path) -> None:
    """Remove temporary files of killed writers from `folder`, but none that is being written."""
    temporary.sweep(folder if is_local(folder) else cache_folder())


def shortened(name: str, limit: int = NAME_BYTES) -> str:
    """Return a name of at most `limit` bytes; a longer one is cut and a part of its SHA-256
    added."""
    data = name.encode("utf-8", "surrogateescape")
    if len(data) <= limit:
        return name
    kept = data[: limit - 13].decode("utf-8", "ignore")
    return f"{kept}-{hashlib.sha256(data).hexdigest()[:12]}"


def is_local(path: Path) -> bool:
    """Return whether `path` is in the local file system, not at a URL."""
    return isinstance(path, Path)


def sha256(path: Path) -> str:
    """Return the file's SHA-256, hexadecimal."""
    with path.open("rb") if is_local(path) else _streamed(cast("UPath", path)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # pyright: ignore


def _streamed(url: UPath) -> Any:
    # Of HTTP's servers some send whole files alone: block size 0 asks for no parts.
    return url.fs.open(url.path, "rb", **{"block_size": 0} if "http" in url.fs.protocol else {})
