"""From shards to batches. `from trainer.data import clips` reads them in programs of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.data.iterable import clips

__all__ = ["clips"]


def __getattr__(name: str) -> Any:
    """Import torch and the reader only when `clips` is asked for."""
    if name == "clips":
        from trainer.data.iterable import clips

        return clips
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
