"""The cluster files against Ray's own schema, and what they say against what the code needs."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = ("cluster.yaml", "cluster-aws.yaml")


@pytest.mark.parametrize("name", FILES)
def test_ray_accepts_the_cluster_file(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(yaml.safe_load((ROOT / name).read_text())))


@pytest.mark.parametrize("name", FILES)
def test_a_misspelt_key_would_be_refused(name: str) -> None:
    from ray.autoscaler._private.util import validate_config

    config = yaml.safe_load((ROOT / name).read_text())
    with pytest.raises(Exception, match="setup_comands"):
        validate_config({**config, "setup_comands": []})


def test_the_cloud_has_spot_workers_and_a_head_that_does_no_tasks() -> None:
    types = yaml.safe_load((ROOT / "cluster-aws.yaml").read_text())["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    for name in ("workers", "flow"):
        assert types[name]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert types[name]["min_workers"] == 0
