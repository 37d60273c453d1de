"""manifests/config.json: the launcher's options, including paths, so that `verify --repair` can run
the same command again. It is not stored beside the shards, because those may be published."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from datagen.common import checksum
from datagen.common.errors import BadInput, BadOption
from datagen.common.files import place, write_json
from datagen.launcher.config import LaunchConfig
from datagen.launcher.identity import FORMER_OPTIONS, identity
from datagen.output import fingerprint
from datagen.output.layout import Layout

Options = TypeVar("Options")


def write(layout: Layout, cfg: LaunchConfig, known: dict[str, Any] | None = None) -> None:
    """Write the options atomically; `known`: the identity, if already known."""
    options = _plain(dataclasses.asdict(cfg))
    found = fingerprint.digest(known or identity(cfg))
    write_json(layout.config, checksum.added({"fingerprint": found, "options": options}))


def read(layout: Layout) -> LaunchConfig:
    """Return the options of the data set's last run.

    Raises BadInput if they are missing, damaged or from another version of this program, or if the
    inputs that they name have changed.
    """
    try:
        content = json.loads(layout.config.read_text())
        if not checksum.holds(content):
            raise ValueError("it differs from its checksum")
        backgrounds = content["options"]["backgrounds"]
        if backgrounds["videos"] is not None:  # the behaviour before the option existed
            backgrounds.setdefault("video_rate", "stored")
        _refuse_code(content["options"])
        cfg = _filled(LaunchConfig, content["options"])
        if fingerprint.digest(identity(cfg)) == content["fingerprint"]:
            return cfg
        problem = "names inputs that have changed since"
    except FileNotFoundError:
        problem = "is missing"
    except (BadOption, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        problem = f"cannot be used ({error!s:.200})"
    raise BadInput(
        f"{layout.config} {problem}, so it cannot be used to repair the shards; delete the damaged "
        "ones and run the original command again, with its options"
    )


def _refuse_code(options: dict[str, Any]) -> None:
    """Raise ValueError if options read from a file name code, because it would be executed."""
    for stage, name in (("backgrounds", "scenes"), ("flow", "flow")):
        if ":" in str(options[stage].get(name)):
            word = options[stage][name]
            raise ValueError(f"--{name} {word} is code, which only the command line may name")


def library(layout: Layout) -> Path | None:
    """Return the shared library of the last run; None if it had none, or if config.json is missing
    or damaged."""
    try:
        content = json.loads(layout.config.read_text())
        found = content["options"]["output"]["library"] if checksum.holds(content) else None
        return None if found is None else place(str(found))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return str(value) if hasattr(value, "joinpath") else value  # a Path, or a URL


def _filled(kind: type[Options], content: dict[str, Any], stage: str = "") -> Options:
    hints = typing.get_type_hints(kind)
    content = _current(content, FORMER_OPTIONS.get(stage, {}))
    if unknown := sorted(content.keys() - hints.keys()):
        raise ValueError(f"there is no option {', '.join(unknown)}")
    return kind(**{name: _value(name, hints[name], value) for name, value in content.items()})


def _current(content: dict[str, Any], former: dict[str, Any]) -> dict[str, Any]:
    """Return options without removed ones that have the value that is now fixed."""
    return {n: value for n, value in content.items() if n not in former or former[n] != value}


def _value(name: str, hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return _filled(typing.cast(type, hint), value, name)
    if typing.get_origin(hint) is tuple:
        value = value if isinstance(value, list) else [value]  # --stride used to be one number
        return tuple(_value(name, get_args(hint)[0], part) for part in value)  # JSON has lists
    kinds = (hint, *get_args(hint))
    literals = (kind for kind in kinds if typing.get_origin(kind) is Literal)
    words = {word for kind in literals for word in get_args(kind)}
    if value is None or value in words or Path not in kinds:
        return value
    return place(value)
