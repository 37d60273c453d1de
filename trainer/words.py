"""Numbers in sentences."""


def count(number: int, noun: str) -> str:
    """Return a number of things as people say it: 1 shard, 2 shards, 96,000 clips."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
