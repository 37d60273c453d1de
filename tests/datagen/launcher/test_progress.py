"""The run's one bar: what it shows, and how it foresees the rest."""

import itertools

import pytest

from datagen.cluster.outcome import Outcome
from datagen.launcher import progress as room
from datagen.launcher.progress import Progress


def outcomes(count: int, failed: int = 0):
    return [Outcome(None, line=None if i < failed else {}) for i in range(count)]  # type: ignore


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still unless a test turns it."""
    now = [100.0]
    monkeypatch.setattr(room.time, "perf_counter", lambda: now[0])
    return now


def test_the_rest_is_foreseen_at_each_stages_own_pace(seconds: list[float]) -> None:
    def slow(items, each):
        for item in items:
            seconds[0] += each
            yield item

    with Progress(shards=10, clips=8, workers=2) as progress:
        assert progress.seconds_left() == pytest.approx(10 * 8 * room.GUESS["clips"] / 2)
        progress.expect(people=4)
        list(progress.follow(slow(outcomes(4), 3.0), "people"))
        shards = progress.follow(slow(outcomes(10, failed=1), 2.0), "shards")
        for _ in itertools.islice(shards, 5):
            pass
        assert progress.seconds_left() == pytest.approx(5 * 2.0)
        list(shards)
        assert progress.seconds_left() == 0


def test_the_bar_names_all_it_counts(seconds: list[float], capsys) -> None:
    def shards():
        for outcome in outcomes(2, failed=1):
            seconds[0] += 4.0
            yield outcome

    with Progress(shards=2, clips=8, workers=1) as progress:
        progress.expect(people=3)
        list(progress.follow(outcomes(3), "people"))
        list(progress.follow(shards(), "shards"))
    lines = capsys.readouterr().err.replace("\n", "\r").strip("\r").split("\r")
    last = lines[-1]
    assert lines.count(last) == 1
    for text in (
        "people 3/3",
        "shards 2/2",
        "8 clips composed now at 1.0 clips/s",
        "00:08 spent",
        "1 failed",
    ):
        assert text in last
    assert not any(text in last for text in ("scenes", "left", "%"))


def test_the_bar_never_moves_backwards(seconds: list[float], capsys) -> None:
    """Stages that are slower than assumed, and tasks that are added on the way, only stop it."""

    def slow(number: int, each: float):
        for outcome in outcomes(number):
            seconds[0] += each
            yield outcome

    with Progress(shards=2, clips=8, workers=1) as progress:
        progress._bar.mininterval = 0  # draw every step
        progress.expect(people=2, scenes=2)
        list(progress.follow(slow(2, 1.0), "people"))
        list(progress.follow(slow(2, 30.0), "scenes"))
        progress.expect(scenes=9)  # bad inputs are replaced
        list(progress.follow(slow(9, 30.0), "scenes"))
        list(progress.follow(slow(2, 60.0), "shards"))
    lines = capsys.readouterr().err.replace("\n", "\r").strip("\r").split("\r")
    filled = [line.split("|")[1].count("█") for line in lines if line.count("|") == 2]
    assert len(filled) > 10 and filled == sorted(filled) and filled[-1] == 20
    assert all("scenes" in line for line in lines if "people" in line)  # no total appears later
