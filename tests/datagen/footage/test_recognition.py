"""Layouts are known by where a real person's points lie, and what is no person's is refused."""

import numpy as np
import pytest
from keypoint_orders import ORDERS, in_order, real_points

from datagen.common.errors import BadInput
from datagen.footage.keypoints import evaluation_points
from datagen.footage.layouts import layout_of
from datagen.footage.recognition import recognise

LIMBS = evaluation_points(in_order(real_points(), "openpose25b"), layout_of("openpose25b"))[:, :12]


def known(points: np.ndarray, asked: str | None = None) -> str:
    return recognise(points[:, None], asked, "FILE", 0.05).name


@pytest.mark.parametrize("layout", ORDERS)
class TestRealPerson:
    def test_each_order_is_known(self, layout, capsys):
        points = in_order(real_points(), layout)
        found = layout_of(known(points))
        assert (evaluation_points(points, found, 0.1)[:, :12] == LIMBS).all()
        usual = layout in ("limbs", "evaluation", "coco17", "openpose18", "openpose25")
        alone = layout in ("halpe26", "halpe136", "wholebody133", "mpii16", "mediapipe33")
        assert ("is read as" in capsys.readouterr().out) == (not usual and not alone)

    def test_y_first_is_asked_about(self, layout):
        points = in_order(real_points(), layout)[..., [1, 0, 2]]
        with pytest.raises(BadInput, match=f"--layout {layout}-yx"):
            known(points)
        found = layout_of(known(points, f"{layout}-yx"))
        assert (evaluation_points(points, found, 0.1)[:, :12] == LIMBS).all()

    def test_another_order_is_no_person(self, layout):
        points = in_order(real_points(), layout)
        used = sorted(ORDERS[layout])
        points[:, used] = points[:, np.roll(used, 5)]
        with pytest.raises(BadInput, match="not look like a person"):
            known(points)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("coco17", "h36m17"), ("crowdpose14", "evaluation"), ("aic14", "crowdpose14"),
     ("limbs", "coco12"), ("openpose25", "openpose25b"), ("openpose18", "coco18")],
)  # fmt: skip
def test_the_wrong_layout_is_refused_by_the_right_ones_name(right, wrong):
    for a, b in ((right, wrong), (wrong, right)):
        with pytest.raises(BadInput, match=f"not look like {b} but like {a}; pass --layout {a}"):
            known(in_order(real_points(), a), b)
        assert known(in_order(real_points(), a), a) == a


class TestPosture:
    def upside_down(self, frames: int) -> np.ndarray:
        points = in_order(real_points(), "coco17")
        points[:frames, :, :2] = 1000 - points[:frames, :, :2]
        return points

    def test_a_somersault_is_no_reason(self):
        assert known(self.upside_down(20)) == "coco17"

    def test_most_frames_upside_down_are_asked_about(self):
        points = self.upside_down(30)
        with pytest.raises(BadInput, match="shoulders below the hips"):
            known(points)
        assert known(points, "coco17") == "coco17"

    def test_half_of_the_body_is_enough_to_go_by_the_count(self):
        points = in_order(real_points(), "coco17")
        points[:, 7:] = 0
        assert known(points) == "coco17"
        points[:, 11:] = in_order(real_points(), "coco17")[:, 11:]  # no arms
        assert known(points) == "coco17"

    def test_one_frame_is_enough(self):
        for layout in ("coco17", "h36m17", "openpose25", "openpose25b"):
            assert known(in_order(real_points(), layout)[30:31]) == layout


def test_noise_is_no_person():
    points = np.random.default_rng(0).uniform(0, 500, (40, 26, 3))
    points[..., 2] = 1
    with pytest.raises(BadInput, match="not look like a person"):
        known(points)
