"""Charts of the report: every number is in them."""

import re

import numpy as np

from datagen.report import charts
from datagen.report.histogram import Histogram


def test_charts_say_their_numbers():
    html = charts.bars({"a": 30, "b": 10}, even=True)
    assert "75%" in html and "25%" in html and "width:100.00%" in html and "left:66.67%" in html
    assert charts.number(12_345) == "12.3 k" and charts.size(3.2e9) == "3.2 GB"
    few = charts.bars({"b": 2, "a": 997, "c": 1}, limit=1)
    assert "2 others" in few and "0.3%" in few and few.count("<b ") == 1
    assert charts.duration(90) == "90 s" and charts.duration(3 * 86400) == "3.0 days"


def test_a_drawn_histogram_keeps_every_value():
    values = Histogram(np.linspace(0, 1, 401))
    for value in np.random.default_rng(0).uniform(0.2, 0.9, 500):
        values.add(value)
    html = charts.histogram(values)
    counts = [int(n) for n in re.findall(r": (\d+)\"", html)]
    assert sum(counts) == 500 and len(counts) <= 24
    lone = Histogram(np.linspace(0, 1, 401))
    lone.add(1.0)
    assert ': 1"' in charts.histogram(lone) and "mean 1 " in charts.histogram(lone)


def test_the_rose_points_where_people_face():
    # Only the third bin (facing the picture's right): its petal lies right of the middle.
    html = charts.rose([0, 0, 1, 0, 0, 0, 0, 0])
    petals = re.findall(r"M100 100L([\d.]+) ([\d.]+)A\S+ \S+ 0 0 0 ([\d.]+) ([\d.]+)Z", html)
    x1, y1, x2, y2 = map(float, petals[2])
    assert x1 > 160 and x2 > 160 and y1 > 100 > y2
