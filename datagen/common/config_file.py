"""--config FILE: a command's options from a TOML, YAML or JSON file.

Both programs have a copy of this module; tests/test_structure.py keeps the copies equal.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from datagen.common.errors import BadInput, near

FLAG = "--config"
_HELP = """
With --config FILE, options are read from a .toml, .yaml or .json file (including a config.json that
a run wrote), under the names listed here; options on the command line take precedence. Paths in the
file are relative to the current folder.
"""


def described(options: type, text: str) -> str:
    """Return a command's description with that of --config, unless it has subcommands."""
    parts = (part for hint in get_type_hints(options).values() for part in get_args(hint))
    text = text.replace("\n\n    ", "\n    ")  # tyro breaks the line before an indented one again
    return text if any(map(is_dataclass, parts)) else text + _HELP


def expand(options: type, args: list[str], *, prefixes: bool) -> list[str]:
    """Return a command line with `--config FILE` replaced by the file's options.

    The file's options come first, so options on the command line take precedence. With `prefixes`,
    an option of a nested dataclass is `--group.name`, otherwise `--name`. Raises BadInput for a
    file that cannot be used.
    """
    rest, found, files = list(args), [], []
    while rest:
        word, *rest = rest
        if word == FLAG:
            if not rest:
                raise BadInput(f"{FLAG} needs a file")
            word, rest = f"{FLAG}={rest[0]}", rest[1:]
        (files if word.startswith(f"{FLAG}=") else found).append(word.removeprefix(f"{FLAG}="))
    return [
        word
        for file in files
        for name, value in _leaves(_read(Path(file).expanduser()), "")
        for word in _words(file, name, value, _flags(options, prefixes))
    ] + found


def _read(path: Path) -> dict[str, Any]:
    """Return a file's options; a launch's config.json has them under "options"."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = f"does not exist{near(path)}" if not path.exists() else f"cannot be read: {error}"
        raise BadInput(f"{FLAG} {path} {why}") from error
    kind = path.suffix.lower()
    if kind not in (".toml", ".yaml", ".yml", ".json"):
        raise BadInput(f"{FLAG} {path} is not a .toml, .yaml or .json file")
    try:
        content = _parse(text, kind)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{FLAG} {path} is not {kind[1:].upper()}: {reason}") from error
    if isinstance(content, dict) and isinstance(content.get("options"), dict):
        content = content["options"]
    if not isinstance(content, dict):
        raise BadInput(f"{FLAG} {path} holds a {type(content).__name__} instead of options")
    return content


def _parse(text: str, kind: str) -> Any:
    if kind == ".toml":
        return tomllib.loads(text)
    if kind == ".json":
        return json.loads(text)
    import yaml

    try:
        # Aliases can expand a few lines to gigabytes, and options do not need them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ValueError("it has an alias (*name); write the value again")
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(error) from error


def _leaves(content: dict[str, Any], group: str) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{group}{name}.")
        else:
            yield f"{group}{name}".replace("-", "_"), value


def _flags(options: type, prefixes: bool, group: str = "") -> dict[str, str]:
    """Return each option's command-line flag, by `group.name` and by the name after `--`."""
    found: dict[str, str] = {}
    hints = get_type_hints(options)
    for option in fields(options):
        if is_dataclass(hints[option.name]):
            found |= _flags(hints[option.name], prefixes, f"{group}{option.name}.")
        else:
            own = f"{group}{option.name}"
            flag = (own if prefixes else option.name).replace("_", "-")
            found |= {own: flag, flag.replace("-", "_"): flag}
    return found


def _words(file: str, name: str, value: Any, flags: dict[str, str]) -> list[str]:
    """Return an option as command-line words, which the parser will check."""
    flag = flags.get(name)
    if flag is None:
        near = difflib.get_close_matches(name, flags, n=1)
        hint = f"; do you mean {near[0]}?" if near else ""
        raise BadInput(f"{FLAG} {file}: there is no option {name}{hint}")
    if isinstance(value, bool):
        group, dot, last = flag.rpartition(".")
        return [f"--{flag}" if value else f"--{group}{dot}no-{last}"]
    if isinstance(value, list | tuple):
        if any(isinstance(part, dict | list) for part in value):
            raise BadInput(f"{FLAG} {file}: {name} must be a list of plain values")
        return [f"--{flag}", *map(str, value)]
    return [f"--{flag}={value}"]
