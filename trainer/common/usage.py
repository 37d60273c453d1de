"""Command-line help texts, and usage errors in one sentence each.

Both programs have a copy of this module; tests/test_help.py keeps the copies equal.
"""

from __future__ import annotations

import difflib
import inspect
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from trainer.errors import BadInput

_KINDS = {"INT": "a whole number", "FLOAT": "a number", "STR": "a value", "PATH": "a path"}


def fill_help(options: Any) -> None:
    """Give tyro each field's docstring as one paragraph, including those of nested dataclasses.

    By default, tyro (1.0.17) prints docstrings with the line breaks of the source, and
    `{None}|PATH … (default: None)` for an optional option.
    """
    import tyro
    from docstring_parser import parse_from_object

    kinds = filter(is_dataclass, reversed(options.__mro__))
    params = (param for kind in kinds for param in parse_from_object(kind).params)
    texts = {param.arg_name: param.description for param in params}
    hints, plain = get_type_hints(options, include_extras=True), get_type_hints(options)
    own = dict(inspect.get_annotations(options))
    for option in fields(options):
        paragraph = " ".join((texts.get(option.name) or "").split())
        option.metadata = MappingProxyType({"help": paragraph})
        hint = hints[option.name]
        bare = plain[option.name]
        parts = [part for part in (bare, *get_args(bare)) if is_dataclass(part)]
        for part in parts:
            fill_help(part)
        if not parts and not any(hasattr(part, "help_behavior_hint") for part in get_args(hint)):
            shown = tyro.conf.arg(metavar=_metavar(hint), help_behavior_hint=_default)
            own[option.name] = Annotated[hint, shown]
    options.__annotations__ = own


def _default(value: str) -> str:
    return f"(default: {value})" if value not in ("", "None") else "(optional)"


def _metavar(hint: Any) -> str | None:
    """Return the placeholder of an optional option's value; None if tyro's own is fine."""
    if get_origin(hint) not in (Union, UnionType) or NoneType not in get_args(hint):
        return None
    words = []
    for part in get_args(hint):
        own = [
            data.metavar for data in getattr(part, "__metadata__", ()) if hasattr(data, "metavar")
        ]
        if own:
            words += own
        elif get_origin(part) is Literal:
            words.append(f"{{{','.join(map(str, get_args(part)))}}}")
        elif part is bool:
            words.append("{True,False}")
        elif part in (Path, str, int, float):
            words.append(part.__name__.upper())
        elif part is not NoneType:
            return None
    return "|".join(words)


@contextmanager
def mistakes(options: type, args: Sequence[str]) -> Iterator[None]:
    """Raise BadInput with one sentence instead of tyro's multi-line box.

    The hook is not part of tyro's public interface; versions without it print the box.
    """
    import tyro

    errors = getattr(tyro, "_errors", None)
    hook = getattr(errors, "on_parse_error", None)

    def refuse(event: Any) -> None:
        if sentence := _sentence(event, names_of(options), args):
            raise BadInput(f"{sentence}; see {event.prog} --help")

    try:
        with hook(refuse) if hook else nullcontext():
            yield
    except SystemExit:  # of --help
        _flush()
        raise
    except BrokenPipeError:
        _flush()
        raise SystemExit(0) from None


def _flush() -> None:
    """Write out what has been printed, or drop it if its reader is gone, as of `--help | head`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def names_of(options: Any) -> list[str]:
    """Return the option names of a dataclass, of nested ones and of its subcommands."""
    found = []
    for name, hint in get_type_hints(options, include_extras=True).items():
        parts = [hint, *get_args(hint)]
        parts += [inner for part in parts for inner in get_args(part)]
        groups = [part for part in parts if isinstance(part, type) and is_dataclass(part)]
        found += [part.name for part in parts if type(part).__name__ == "_SubcommandConfig"]
        found += [word for group in groups for word in names_of(group)]
        if not groups:
            found.append(f"--{name.replace('_', '-')}")
    return found


def _sentence(event: Any, names: Sequence[str], args: Sequence[str]) -> str:
    """Return the usage error of a command line; "" for an unknown kind of error."""
    kind = type(event).__name__
    unknown = getattr(event, "tokens", None) or getattr(event, "unrecognized_tokens", None)
    if unknown:
        word = unknown[0].partition("=")[0]
        near = difflib.get_close_matches(word, names, n=1)
        what = "there is no option" if word.startswith("-") else "unexpected argument"
        return f"{what} {word}" + (f" (do you mean {near[0]}?)" if near else "")
    if kind == "MissingArgs":
        missing = [_name(context.arg) for context in event.missing_arguments]
        return f"{' and '.join(missing)} must be given{_saved_options(args)}"
    if kind == "MissingSubcommand":
        known = list(event.subcommand_spec.parser_from_name)
        return f"give one of {', '.join(known)} first"
    if kind == "InvalidChoice":
        choices = [choice for choice in event.choices if choice != "None"]
        return f"{_name(event.argument)} must be {_either(choices)}, not {event.value}"
    if kind == "BadValue" and event.reason == "too_few_values":
        return f"{_name(event.argument)} needs {_values(event.argument)}"
    if kind == "InstantiationFailure" and event.argument is not None:
        given = _given(event.argument, args)
        return f"{_name(event.argument)} takes {_values(event.argument)}, not {given}"
    return ""


def _saved_options(args: Sequence[str]) -> str:
    """Return ", or --config RUN/config.json" if a run is to be resumed, which has its options."""
    line = " ".join(args)
    run = re.search(r"--resume[ =](\S*/)?[^/\s]+\.pt", line)
    return f", or --config {run[1] or ''}config.json" if run and "--config" not in line else ""


def _name(argument: Any) -> str:
    if argument.is_positional():
        return argument.field.intern_name.upper()
    return argument.lowered.name_or_flags[-1]


def _values(argument: Any) -> str:
    """Return the kind of value that an option takes, in words."""
    shown = str(argument.lowered.metavar or "STR").replace("{None}|", "")
    words = re.sub(r"[\[\]]|\.\.\.", "", shown).split()
    kinds = [_KINDS.get(word, word) for word in words]
    return f"{kinds[0]} or several" if "..." in shown else " and ".join(kinds)


def _given(argument: Any, args: Sequence[str]) -> str:
    """Return the command-line words given to an option."""
    for place, word in enumerate(args):
        name, equals, value = word.partition("=")
        if name in argument.lowered.name_or_flags:
            rest = [value] if equals else args[place + 1 :]
            ends = (i for i, other in enumerate(rest) if i and other.startswith("--"))
            return " ".join(rest[: next(ends, len(rest))])
    return "what was given"


def _either(choices: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))
