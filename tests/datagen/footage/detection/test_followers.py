"""Who is followed, found, lost: with a detector whose people are known."""

import numpy as np
import pytest

from datagen.footage.detection.followers import LOOK, Followers
from datagen.footage.detection.pose_detector import Reading
from datagen.footage.detection.roi import Roi

BODY = np.random.default_rng(0).uniform(-40, 40, (33, 2))
FRAME = np.zeros((4, 4, 3), np.uint8)


class KnownPeople:
    """A detector that knows where people are: a crop reads whoever is nearest its middle."""

    def __init__(self) -> None:
        self.people: list[tuple[float, float]] = []
        self.size = 1.0
        """Of the second person, in sizes of the others."""
        self.hidden: set[int] = set()
        """Whom the detector misses, though a crop would show them."""
        self.found = self.read_crops = 0
        self.views: list[Roi] = []

    def find(self, picture: np.ndarray, frame: Roi) -> list[Roi]:
        self.found += 1
        self.views.append(frame)
        return [Roi(x, y, 250) for i, (x, y) in enumerate(self.people) if i not in self.hidden]

    def read(self, picture: np.ndarray, crop: Roi) -> Reading | None:
        self.read_crops += 1
        near = [p for p in self.people if np.hypot(p[0] - crop.x, p[1] - crop.y) < 80]
        if not near:
            return None
        x, y = min(near, key=lambda p: np.hypot(p[0] - crop.x, p[1] - crop.y))
        size = self.size if self.people.index((x, y)) == 1 else 1.0
        circle = np.array([[x, y], [x, y - 100 * size]])
        return Reading(size * BODY + np.array([x, y]), np.ones(33), circle, np.zeros((33, 3)))


def centres(poses) -> dict[int, float]:
    """Return the x of each slot's person."""
    return {slot: round(float((pose.points[:, :2] - BODY).mean(0)[0]) + 0.5) for slot, pose in
            poses.items()}  # fmt: skip


def test_a_single_person_is_looked_for_now_and_then():
    detector = KnownPeople()
    followers = Followers(detector)  # pyright: ignore[reportArgumentType]
    detector.people = [(200, 100)]
    for _ in range(2 * LOOK):
        assert centres(followers.step(FRAME)) == {0: 200}
    assert detector.found == 2 and detector.read_crops == 2 * LOOK


def test_nobody_is_looked_for_in_every_frame():
    detector = KnownPeople()
    followers = Followers(detector)  # pyright: ignore[reportArgumentType]
    for _ in range(4):
        assert followers.step(FRAME) == {}
    detector.people = [(200, 100)]
    assert centres(followers.step(FRAME)) == {0: 200}
    assert detector.found == 5


def test_looks_go_round_the_parts_of_a_wide_picture():
    detector = KnownPeople()
    followers = Followers(detector)  # pyright: ignore[reportArgumentType]
    detector.people = [(200, 100)]
    wide = np.zeros((90, 160, 3), np.uint8)
    for _ in range(5 * LOOK):
        followers.step(wide)
    first, rest = detector.views[:4], detector.views[4:]
    assert [view.side for view in first] == [160, 90, 90, 90]
    assert [view.x for view in first] == [80, 45, 80, 115]
    assert rest == [*first[1:], first[0]]


def test_whoever_is_lost_is_found_again_in_the_same_frame():
    detector = KnownPeople()
    followers = Followers(detector)  # pyright: ignore[reportArgumentType]
    detector.people = [(200, 100)]
    followers.step(FRAME)
    detector.people = [(600, 100)]  # farther than a crop reaches
    assert centres(followers.step(FRAME)) == {0: 600}


def test_a_newcomer_takes_the_first_free_slot():
    detector = KnownPeople()
    followers = Followers(detector)  # pyright: ignore[reportArgumentType]
    detector.people = [(200, 100), (500, 100)]
    assert centres(followers.step(FRAME)) == {0: 200, 1: 500}
    detector.people = [(500, 100)]
    assert centres(followers.step(FRAME)) == {1: 500}
    detector.people = [(500, 100), (900, 100)]
    for _ in range(LOOK):
        poses = followers.step(FRAME)
    assert centres(poses) == {1: 500, 0: 900}


def test_two_crops_on_one_person_are_one():
    detector = KnownPeople()
    followers = Followers(detector)  # pyright: ignore[reportArgumentType]
    for gap in range(160, -1, -10):  # one walks behind the other, who stands
        detector.people = [(500 - gap, 100), (500, 100)] if gap >= 20 else [(500, 100)]
        poses = followers.step(FRAME)
    assert centres(poses) == {1: 500}  # the one that did not have to move keeps it


def test_a_part_of_a_body_is_nobody():
    detector = KnownPeople()
    followers = Followers(detector)  # pyright: ignore[reportArgumentType]
    detector.people, detector.size = [(200, 100), (200, 131)], 0.2
    assert centres(followers.step(FRAME)) == {0: 200}
    detector.people = [(200, 100), (250, 131)]
    for _ in range(LOOK):
        poses = followers.step(FRAME)
    assert len(poses) == 2


def test_no_more_are_followed_than_asked_for():
    detector = KnownPeople()
    followers = Followers(detector, most=2)  # pyright: ignore[reportArgumentType]
    detector.people = [(200, 100), (500, 100), (800, 100)]
    for _ in range(LOOK + 1):
        assert centres(followers.step(FRAME)) == {0: 200, 1: 500}


def test_a_found_person_starts_with_fresh_filters():
    detector = KnownPeople()
    followers = Followers(detector)  # pyright: ignore[reportArgumentType]
    detector.people = [(200, 100)]
    for _ in range(30):
        followers.step(FRAME)
    detector.people = [(1200, 100)]
    (pose,) = followers.step(FRAME).values()
    assert pose.points[:, :2] + 0.5 == pytest.approx(BODY + np.array([1200, 100]))


def test_who_moves_is_smoothed_by_the_true_times():
    """After a fifth of a second a filter of the same cutoff has let go of the past."""
    behind = []
    for elapsed in (1 / 30, 1 / 5):
        detector = KnownPeople()
        followers = Followers(detector)  # pyright: ignore[reportArgumentType]
        for frame in range(12):
            detector.people = [(200 + 0.01 * frame, 100)]
            (pose,) = followers.step(FRAME, elapsed).values()
        behind.append(200 + 0.11 - 0.5 - float((pose.points[:, :2] - BODY).mean(0)[0]))
    assert behind[0] > 0.03 and behind[1] < 0.8 * behind[0]  # 0.2 s is time enough to arrive
