"""manifests/quarantine.jsonl: the inputs and shards that could not be made, with reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from datagen.cluster.outcome import Outcome, Task
from datagen.common.errors import BadMachine
from datagen.common.record import Line
from datagen.output.manifest import Manifest


class Quarantine:
    """The file's lines; a run appends one for every task that failed permanently."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest = Manifest(path)

    def watch(
        self,
        outcomes: Iterable[Outcome],
        kind: str,
        details: Callable[[Task], Line] = lambda task: {},
    ) -> Iterator[Outcome]:
        """Yield the outcomes; write the line of a failed one before yielding it.

        kind: what the tasks make, recorded in the line. details: further fields of the line.

        Raises:
            BadMachine: no task of this kind can succeed on this machine.
        """
        for outcome in outcomes:
            if outcome.bad_machine:
                raise BadMachine(outcome.reason)
            if outcome.line is None:
                task = outcome.task
                self.add(kind, task.name, outcome.reason, outcome.trace, **details(task))
            yield outcome

    def add(self, kind: str, name: str, reason: str, trace: str = "", **details: Any) -> None:
        """Append a line."""
        line = {"kind": kind, "name": name, "reason": reason, "traceback": trace}
        self._manifest.append({**line, **details})
