"""Mutated files for every reader: each is refused in a sentence, or read as something that can be.

    .venv/bin/python tests/reliability/fuzz.py --count 100000 --seconds 7200 --keep out/fuzz

Prints a line of JSON: how many files were read, refused, and what went wrong with any. A child
process reads some hundred files and is replaced when it ends, by whatever it ends; a file has
10 seconds of the processor, 2 minutes and 2 GB. `cases.py` defines what counts as garbage.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (
    HERE.parents[1],
    HERE.parent / "fixtures",
    HERE.parent / "datagen/bodies/motion",
    HERE,
):
    sys.path.insert(0, str(folder))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from cases import Case, Reader  # noqa: E402
from mutations import mutate  # noqa: E402
from readers import READERS  # noqa: E402

SECONDS = 10.0
MEMORY = 2 << 30
BATCH = 250
LATE = 120.0
"""Seconds without a file, after which the parent ends its child: a call that hears no signal."""


class TooLong(BaseException):
    """A file took more than SECONDS; no reader catches it by accident."""


def verdict(reader: Reader, path: Path) -> str:
    """Return "read", "refused", or what went wrong and where."""
    from datagen.common.errors import BadInput as DatagenError
    from trainer.data.records import Damaged
    from trainer.errors import BadInput as TrainerError

    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        wrong = reader.garbage(reader.read(path))
        return f"GARBAGE {wrong}" if wrong else "read"
    except (DatagenError, TrainerError, Damaged) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError) or "alloc" in str(cause)[:200]:
                return f"MEMORY {place(cause)}"
            cause = cause.__cause__ or cause.__context__
        return "refused" if len(str(error)) < 2000 else "LONG sentence"
    except TooLong:
        return "HANG"
    except MemoryError as error:
        return f"MEMORY {place(error)}"
    except Exception as error:
        return f"UNCAUGHT {type(error).__name__} {place(error)}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def confirmed(reader: Reader, path: Path) -> str:
    """Return the verdict of a file that seems to want too much memory, with three times of it.

    FFmpeg refuses a size of its own accord with the same words as a system without memory.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    status, peak = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    peak.write_text("5")  # the peak is counted from now on
    before = resident(status)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    try:
        found = verdict(reader, path)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    taken = resident(status) - before
    if taken > MEMORY:
        return f"MEMORY {taken >> 20} MB"
    return "refused" if found.startswith("MEMORY") else found


def resident(status: Path) -> int:
    """Return the most bytes that this process has held at once."""
    return int(status.read_text().split("VmHWM:")[1].split()[0]) << 10


def place(error: BaseException) -> str:
    """Return the innermost line of ours that an error went through."""
    trace, found = error.__traceback__, "?"
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "/datagen/" in name or "/trainer/" in name:
            start = max(name.rfind("/datagen/"), name.rfind("/trainer/")) + 1
            found = f"{name[start:]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def write(folder: Path, case: Case, data: bytes) -> Path:
    """Write a case with its target mutated, alone in a folder; return the target."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in case.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data if name == case.target else content)
    return folder / case.target


def mutation(seed: int, reader: Reader, number: int, cases: list[Case]) -> tuple[Case, bytes]:
    """Return the case and the mutated bytes of a file: a function of seed, reader and number."""
    rng = np.random.default_rng([seed, READERS.index(reader), number])
    case = cases[number % len(cases)]
    try:
        return case, mutate(rng, case.form, case.files[case.target], case.content)
    except Exception:  # an odd array that the format cannot hold
        return case, rng.bytes(300)


def child(pipe: int, seed: int, reader: Reader, numbers: range, folder: Path) -> None:
    """Read files and report (number, peak memory, verdict) of each."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    signal.signal(signal.SIGPROF, too_long)
    held = int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (held + MEMORY, held + 3 * MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cases = reader.cases()
    for number in numbers:
        case, data = mutation(seed, reader, number, cases)
        path = write(folder, case, data)
        os.write(pipe, struct.pack("<ii", number, 0))
        found = verdict(reader, path)
        if found.startswith("MEMORY"):
            found = confirmed(reader, path)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        text = found.encode()[:200]
        os.write(pipe, struct.pack("<ii", number, len(text) + 1) + struct.pack("<i", peak) + text)


def too_long(*_: object) -> None:
    signal.setitimer(signal.ITIMER_PROF, 2)  # again, if the first was caught
    raise TooLong


def batch(seed: int, reader: Reader, numbers: range, folder: Path) -> list[tuple[int, int, str]]:
    """Return (number, peak MB, verdict) of files read in one child; it may end before the last."""
    end, start = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(end)
        with suppress(BaseException):
            child(start, seed, reader, numbers, folder)
        os._exit(0)
    os.close(start)
    found, begun, heard = [], None, time.monotonic()
    import select

    with os.fdopen(end, "rb", buffering=0) as pipe:
        while True:
            if not select.select([pipe], [], [], 1.0)[0]:
                if time.monotonic() - heard > LATE:
                    os.kill(process, signal.SIGKILL)
                continue
            head = pipe.read(8)
            if len(head) < 8:
                break
            heard = time.monotonic()
            number, length = struct.unpack("<ii", head)
            if length == 0:
                begun = number
                continue
            (peak,) = struct.unpack("<i", pipe.read(4))
            found.append((number, peak, pipe.read(length - 1).decode(errors="replace")))
            begun = None
    _, status = os.waitpid(process, 0)
    if begun is not None:
        found.append((begun, 0, f"ENDED by {os.waitstatus_to_exitcode(status)}"))
    return found


def keep(folder: Path, seed: int, reader: Reader, number: int, found: str) -> None:
    """Write the files of a failure, to look at and to try again."""
    case, data = mutation(seed, reader, number, reader.cases())
    name = f"{reader.name}-{number}-" + "".join(c if c.isalnum() else "_" for c in found)[:80]
    write(folder / name, case, data)


def fuzz(
    seed: int,
    count: int,
    seconds: float,
    names: list[str],
    kept: Path | None,
    first: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, object]:
    """Return the figures of `count` files over the readers, or of as many as there was time for."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    readers = [reader for reader in READERS if not names or reader.name in names]
    total = sum(reader.share for reader in readers)
    results, failures = Counter[str](), Counter[str]()
    numbers, peak = {reader.name: first for reader in readers}, 0
    goals = {r.name: first + max(1, round(count * r.share / total)) for r in readers}
    for reader in readers:
        reader.cases()  # made once, before the children
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as place:
        while time.monotonic() - begin < seconds:
            left = [reader for reader in readers if numbers[reader.name] < goals[reader.name]]
            if not left:
                break
            for reader in left:
                start = numbers[reader.name]
                stop = min(start + BATCH, goals[reader.name])
                found = batch(seed, reader, range(start, stop), Path(place, reader.name))
                if not found:
                    raise RuntimeError(f"the reader {reader.name} cannot start")
                numbers[reader.name] = found[-1][0] + 1
                for number, used, text in found:
                    peak = max(peak, used)
                    results["files"] += 1
                    if text in ("read", "refused"):
                        results[text] += 1
                        continue
                    failures[f"{reader.name}: {text}"] += 1
                    if kept and failures[f"{reader.name}: {text}"] <= 3:
                        keep(kept, seed, reader, number, text)
                say(f"{dict(results)} in {time.monotonic() - begin:.0f} s: {dict(failures)}")
                if time.monotonic() - begin > seconds:
                    break
    return {
        "seed": seed, **results, "failed": sum(failures.values()), "readers": len(readers),
        "peak_mb": peak, "seconds": round(time.monotonic() - begin), "failures": dict(failures),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10_000, help="files, over all readers")
    parser.add_argument("--first", type=int, default=0, help="number of each reader's first file")
    parser.add_argument("--seconds", type=float, default=3600.0, help="time limit")
    parser.add_argument("--readers", nargs="*", default=[], help="of these alone")
    parser.add_argument("--log", type=Path, help="file for the figures so far")
    parser.add_argument("--keep", type=Path, help="folder for files that failed")
    args = parser.parse_args()

    def say(text: str) -> None:
        if args.log:
            args.log.write_text(text + "\n")

    found = fuzz(args.seed, args.count, args.seconds, args.readers, args.keep, args.first, say)
    print(json.dumps(found))
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
