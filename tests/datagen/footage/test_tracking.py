"""Who is who: two people who cross, with and without clothes, and whom to follow."""

import numpy as np
import pytest

from datagen.footage.tracking import GAP, choose, link, place_of, unlike

BODY = np.concatenate(
    [np.random.default_rng(0).uniform([-20, -60], [20, 60], (14, 2)), np.ones((14, 1))], 1
)
RED, BLUE = np.array([50.0, 60, 40]), np.array([40.0, 10, -50])


def at(x: float, y: float = 200) -> np.ndarray:
    return BODY + np.array([x, y, 0])


def crossing(hidden: int, seed: int):
    """Return detections [T,2,14,3], looks [T,2,3] and the true x of red and blue [T,2].

    Both come to one place, stay for ten frames and go on: red to the right, blue to the left. Of
    the ten frames red is `hidden` in so many. Detections are in random order.
    """
    t = np.arange(60)
    way = 4.0 * (np.minimum(t - 25, 0) + np.maximum(t - 34, 0))
    truth = np.stack([220 + way, 220 - way], 1)
    rng = np.random.default_rng(seed)
    people, looks = np.zeros((60, 2, 14, 3), np.float32), np.full((60, 2, 3), np.nan)
    for k in t:
        for who, slot in enumerate(rng.permutation(2)):
            if who == 1 or not 35 - hidden <= k < 35:
                people[k, slot] = at(truth[k, who] + rng.normal(0, 0.5))
                looks[k, slot] = (RED, BLUE)[who] + rng.normal(0, 4, 3)
    return people, looks, truth


def places(track: np.ndarray) -> np.ndarray:
    """Return x of a track, NaN where it is missed."""
    x = track[..., 0].mean(1) - BODY[:, 0].mean()
    return np.where(track[..., 2].any(1), x, np.nan)


def kept(tracks: list[np.ndarray], truth: np.ndarray) -> bool:
    """Return whether each of two tracks is one person's throughout."""
    off = [np.nanmax(np.abs(places(track)[:, None] - truth), axis=0) for track in tracks]
    return len(off) == 2 and bool((np.min(off, axis=1) < 3).all())


@pytest.mark.parametrize("hidden", [0, 4, 10])
def test_clothes_tell_who_is_who_after_a_crossing(hidden):
    for seed in range(8):
        people, looks, truth = crossing(hidden, seed)
        tracks = link(people, looks)
        assert kept(tracks, truth)
        assert sorted(int(track[..., 2].any(1).sum()) for track in tracks) == [60 - hidden, 60]


def test_positions_alone_do_not():
    outcomes = [
        kept(link(people), truth) for people, _, truth in (crossing(10, seed) for seed in range(8))
    ]
    assert not all(outcomes)


def test_positions_suffice_where_people_keep_apart():
    frames = 40
    people = np.stack([np.stack([at(100 + 2 * t), at(400 - 2 * t, 210)]) for t in range(frames)])
    people[::2] = people[::2, ::-1]
    one, other = (places(track) for track in link(people.astype(np.float32)))
    assert np.abs(np.diff(one)).max() < 3 and np.abs(np.diff(other)).max() < 3


def test_somebody_in_other_clothes_after_a_gap_is_somebody_else():
    people, looks = np.zeros((30, 1, 14, 3), np.float32), np.full((30, 1, 3), np.nan)
    people[:10, 0], looks[:10, 0] = at(100), RED
    people[15:, 0], looks[15:, 0] = at(104), BLUE
    assert [int(track[..., 2].any(1).sum()) for track in link(people, looks)] == [15, 10]
    assert len(link(people)) == 1  # without clothes it may as well be the same
    looks[15:] = RED + 10  # as it may in another light
    assert len(link(people, looks)) == 1


def test_a_long_absence_ends_a_track():
    people = np.zeros((GAP + 22, 1, 14, 3), np.float32)
    people[:10, 0] = people[10 + GAP :, 0] = at(100)
    assert len(link(people)) == 2
    people[10 + GAP - 1, 0] = at(100)
    assert len(link(people)) == 1


def test_how_unlike_clothes_are():
    nan = np.full(3, np.nan)
    assert unlike(np.r_[RED, BLUE], np.r_[RED, BLUE]) == 0
    assert unlike(np.r_[RED, BLUE], np.r_[RED, RED]) == 1
    assert unlike(np.r_[nan, RED], np.r_[BLUE, RED + np.array([0, 0, 10])]) == pytest.approx(0.25)
    assert unlike(np.r_[nan, RED], np.r_[BLUE, nan]) == 0
    assert unlike(nan[:1], nan[:1]) == 0


def standing(*spans: tuple[float, int, int]) -> list[np.ndarray]:
    """Return tracks of people who stand at x from one frame to before another."""
    tracks = []
    for x, first, end in spans:
        track = np.zeros((50, 14, 3), np.float32)
        track[first:end] = at(x)
        tracks.append(track)
    return tracks


def test_a_person_is_chosen_by_size_rank_or_place():
    tracks = standing((100, 0, 50), (300, 10, 50), (500, 20, 50), (900, 0, 3))
    assert list(choose(tracks, "all", 8)) == [0, 1, 2]
    assert list(choose(tracks, "largest", 8)) == [0]
    assert list(choose(tracks, "2", 8)) == [2]
    assert list(choose(tracks, "3", 8)) == [] == list(choose(tracks, "5", 8))
    assert list(choose(tracks, "302,195.5", 8)) == [1]
    assert list(choose(tracks, "700,200", 8)) == [] == list(choose(tracks, "900,200", 8))


def test_a_place_means_who_is_there_first_and_nearest():
    first, later, beside = standing((100, 5, 50), (104, 0, 50), (112, 0, 50))
    assert list(choose([first, later, beside], "103,200", 8)) == [1]
    assert list(choose([first, later, beside], "111,200", 8)) == [2]


@pytest.mark.parametrize(
    ("text", "place"),
    [("3,4", (3, 4)), ("0.5,12", (0.5, 12)), ("3", None), ("3,4,5", None), ("-1,4", None),
     ("all", None), ("3, 4", None), ("a,b", None)],
)  # fmt: skip
def test_places_are_two_numbers(text, place):
    assert place_of(text) == place


def test_slow_video_lets_people_go_further_from_frame_to_frame():
    """At 1 frame a second a walker is somewhere else each time, and nobody else."""
    people = np.zeros((8, 1, 14, 3), np.float32)
    for t in range(8):
        people[t, 0] = at(100 + 90 * t)
    assert len(link(people)) > 1  # at 30 a second that would be no walk
    (track,) = link(people, times=np.arange(8.0))
    assert track[..., 2].all()


@pytest.mark.parametrize(("both", "away", "tracks"), [(2, 5, 1), (5, 5, 2), (2, 60, 2)])
def test_a_person_detected_twice_for_a_moment_stays_one(both: int, away: float, tracks: int):
    """A detector finds the person anew, 5 px off, two frames before it loses her."""
    people = np.zeros((40, 2, 14, 3), np.float32)
    for t in range(40):
        if t < 20:
            people[t, 0] = at(100 + t)
        if t >= 20 - both:
            people[t, 1] = at(100 + t + away)
    found = link(people)
    assert len(found) == tracks
    if tracks == 1:
        assert found[0][..., 2].any(1).all()
        assert np.allclose(places(found[0])[20:], np.arange(20, 40) + 105, atol=1e-3)


def test_somebody_in_other_clothes_is_not_joined():
    people, looks = np.zeros((40, 2, 14, 3), np.float32), np.full((40, 2, 3), np.nan)
    for t in range(40):
        if t < 20:
            people[t, 0], looks[t, 0] = at(100), RED
        if t >= 18:
            people[t, 1], looks[t, 1] = at(105), BLUE
    assert len(link(people, looks)) == 2
