"""Damage to shards, a few cases of each kind; `damage.py` tries thousands."""

from tests.reliability import damage


def test_damage_is_found_by_verify_and_by_the_trainer_alone():
    figures = damage.run(count=150, seed=0, seconds=60)
    assert figures["damages"] >= 100 and not figures["missed"], figures
    assert figures["named_by_trainer"]["seed"] == "15/15"
