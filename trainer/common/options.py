"""How the options of every command refuse a value and are spelled."""

from __future__ import annotations

from trainer.errors import BadInput


def require(ok: bool, rule: str) -> None:
    """Raise BadInput(rule) unless ok: the one way configs refuse a value."""
    if not ok:
        raise BadInput(rule)


def flag(name: str, on: bool = True) -> str:
    """Return a field's name as an option of the command line: --batch-size; off: --no-flip."""
    return f"--{'' if on else 'no-'}{name.replace('_', '-')}"


def at_least(config: object, least: int, *names: str) -> None:
    """Raise BadInput if one of these fields is set and less."""
    for name in names:
        value = getattr(config, name)
        rule = f"{flag(name)} must be at least {least}, got {value}"
        require(value is None or value >= least, rule)
