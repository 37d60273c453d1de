"""The outcome of a task: a manifest line, or the reason why there is none."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any, Protocol

from datagen.common.errors import BadInput, BadMachine

TRIES = 3  # attempts at a task whose worker died or that failed through no fault of its input
RECYCLE = 16  # tasks after which a worker process is replaced, because OpenGL drivers leak memory
GRACE = 10.0  # seconds for tasks to end when the run is stopped


class Task(Protocol):
    """A pure, picklable piece of work with a name."""

    @property
    def name(self) -> str: ...

    def __call__(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Outcome:
    """The result of one attempt at a task; exactly one of `line` and `reason` is set."""

    task: Task
    line: dict[str, Any] | None = None
    reason: str = ""
    trace: str = ""
    bad_input: bool = False
    """Whether the input is at fault, so that retrying cannot help."""
    bad_machine: bool = False
    """Whether the machine is at fault, so that no task of this kind can succeed on it."""

    @property
    def worth_retrying(self) -> bool:
        return self.line is None and not self.bad_input and not self.bad_machine


def attempt(task: Task) -> Outcome:
    """Run the task in this process; any exception becomes the outcome's reason.

    Only here are all exceptions caught: a failed task is listed in the quarantine and must not end
    the run.
    """
    try:
        return Outcome(task, line=task())
    except BadInput as error:
        return Outcome(task, reason=str(error), bad_input=True)
    except BadMachine as error:
        return Outcome(task, reason=str(error), bad_machine=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return Outcome(task, reason=reason, trace=traceback.format_exc())
