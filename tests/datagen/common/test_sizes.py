"""Claimed sizes, in both programs: they share no code, so the same is asked of both."""

import pytest

from datagen.common import sizes as ours
from trainer.common import sizes as theirs


@pytest.mark.parametrize("sizes", [ours, theirs])
@pytest.mark.parametrize(
    "shape", [(-1,), (3, -2), (2**62, 4), (2**40, 0), (True,), (2.0,), ("3",), (None,), (101,)]
)
def test_sizes_that_cannot_be_meant_are_refused(sizes, shape) -> None:
    with pytest.raises(ValueError, match="poses"):
        sizes.checked_count("poses", shape, most=100)


@pytest.mark.parametrize("sizes", [ours, theirs])
def test_sizes_that_can_be_meant_are_counted(sizes) -> None:
    assert sizes.checked_count("poses", (4, 25), most=100) == 100
    assert sizes.checked_count("poses", (), most=1) == 1
    assert sizes.checked_count("poses", (0, 7), most=100) == 0


@pytest.mark.parametrize("sizes", [ours, theirs])
def test_what_deflate_cannot_hold_is_refused(sizes) -> None:
    import zlib

    zeros = zlib.compress(bytes(10_000_000), 9)
    assert sizes.checked_unpacked("poses", 10_000_000, len(zeros)) == 10_000_000
    with pytest.raises(ValueError, match="poses"):
        sizes.checked_unpacked("poses", 20_000_000, len(zeros))
    with pytest.raises(ValueError, match="poses"):
        sizes.checked_unpacked("poses", -1, 10)
