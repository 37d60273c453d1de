"""Docstrings of options as `--help` should print them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

from docstring_parser import parse_from_object


def fill(options: Any) -> None:
    """Give tyro the docstring of each field of a dataclass, and of those in it, as one paragraph.

    Left to itself it prints an indented docstring with the line breaks of the source (1.0.17).
    """
    kinds = filter(is_dataclass, reversed(options.__mro__))
    params = (param for kind in kinds for param in parse_from_object(kind).params)
    told = {param.arg_name: param.description for param in params}
    for option in fields(options):
        paragraph = " ".join((told.get(option.name) or "").split())
        option.metadata = MappingProxyType({"help": paragraph})
    for hint in get_type_hints(options).values():
        for part in filter(is_dataclass, (hint, *get_args(hint))):
            fill(part)
