"""Command lines: run a command, report missing packages, word counts and paths.

Imports nothing outside the standard library until a command runs, so that it can name missing
packages.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, NoReturn, TypeVar, get_type_hints

from trainer.errors import BadInput, Stopped, disk_fault

PACKAGES = frozenset(
    (
        "docstring_parser",
        "fsspec",
        "jaxtyping",
        "matplotlib",
        "numpy",
        "PIL",
        "safetensors",
        "scipy",
        "torch",
        "tqdm",
        "tyro",
        "webdataset",
        "xxhash",
        "yaml",
    )
)
"""Import names of the trainer's dependencies in pyproject.toml."""

Config = TypeVar("Config")


def run(config: type[Config], main: Callable[[Config], object], description: str) -> None:
    """Parse the command line into config, run main, and print bad input without a traceback.

    As in datagen, status 2 means that a file or value of the user's is wrong.
    """
    import tyro

    from trainer.common import config_file, usage

    module = sys.modules["__main__"].__spec__
    try:
        if {"-h", "--help"} & set(sys.argv[1:]):
            usage.fill_help(config)
            config = in_groups(config)
        prog = f"python -m {module.name}" if module else None
        args = config_file.expand(config, sys.argv[1:], prefixes=True)
        refuse_empty(args)
        text = config_file.described(config, description)
        with usage.mistakes(config, args):
            parsed = tyro.cli(config, prog=prog, description=text, args=args)
        main(parsed)
    except BadInput as error:
        _refuse(str(error))
    except (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        if not error.filename:
            raise
        _refuse(f"{error.filename}: {error.strerror}; name another path")
    except (OSError, RuntimeError) as error:
        where = getattr(error, "filename", None) or "the folder of the results"
        if not (sentence := disk_fault(error, where)):
            raise
        _refuse(sentence)
    except Stopped as stop:
        if str(stop):  # only one of several ranks prints it
            print(stop, file=sys.stderr)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)


def refuse_empty(words: Sequence[str]) -> None:
    """Raise BadInput for an empty value, which would be read as the working directory.

    A shell passes an empty value for a variable that is not set.
    """
    for before, word in zip(("", *words), words, strict=False):
        name, equals, value = word.partition("=")
        if not equals or not name.startswith("--"):
            name, value = before if before.startswith("--") else "an argument", word
        if not value.strip():
            raise BadInput(f"{name} is empty; give a value, or omit it")


def in_groups(config: type[Config]) -> type[Config]:
    """Return a dataclass that --help shows in groups, with the same options.

    `HELP_GROUPS` of the config names each group's first field. The class is only for --help, which
    ends the program, as it reads the options of a group into a nested dataclass.
    """
    import tyro

    starts, hints = getattr(config, "HELP_GROUPS", {}), get_type_hints(config, include_extras=True)
    if not starts:
        return config
    title, groups, nested = "", {}, []
    for option in fields(config):  # type: ignore[arg-type]
        title = starts.get(option.name, title)
        known = field(
            default=option.default, default_factory=option.default_factory, kw_only=True,
            metadata=option.metadata,
        )  # fmt: skip  # type: ignore[call-overload]
        member = (option.name, hints[option.name], known)
        (nested if is_dataclass(member[1]) else groups.setdefault(title, [])).append(member)
    parts: list[Any] = []
    for name, members in groups.items():
        group: Any = make_dataclass(name, members, frozen=True, kw_only=True)
        group.__doc__ = " "  # or tyro shows the signature
        part = Annotated[group, tyro.conf.OmitArgPrefixes]  # type: ignore[valid-type]
        parts.append((name, part, field(kw_only=True)))
    return make_dataclass(config.__name__, [*parts, *nested], frozen=True, kw_only=True)


def report_missing_packages() -> None:
    """From now on, end the program with status 2 and one sentence if a package is missing.

    Installs an exception hook; all other errors, including failed imports caused by bugs, are
    reported as before.
    """
    sys.excepthook = _report


def missing_package(error: BaseException) -> str:
    """Return a sentence about an import that failed for a missing dependency, else ""."""
    if not isinstance(error, ModuleNotFoundError) or error.name not in PACKAGES:
        return ""
    return (
        f"{sys.executable} does not have the package {error.name}; run `make setup` once and "
        "`source .venv/bin/activate` in every new terminal, or, in the folder of the project, "
        "`pip install .`"
    )


def count(number: int, noun: str) -> str:
    """Return a number of things in words: 1 shard, 2 shards, 96,000 clips."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def quoted(path: Path | str) -> str:
    """Return a path or URL quoted for a shell."""
    return shlex.quote(str(path))


def _refuse(reason: str) -> NoReturn:
    print(f"error: {reason}", file=sys.stderr)
    sys.exit(2)


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if sentence := missing_package(error):
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)
    sys.__excepthook__(kind, error, trace)
