"""The cluster files against Ray's own schema, and what they say against what the code needs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
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


@pytest.mark.parametrize("name", FILES)
def test_a_stock_image_has_all_that_the_setup_calls(name: str) -> None:
    setup = yaml.safe_load((ROOT / name).read_text())["setup_commands"]
    assert "bash setup.sh" in setup[0] and "make" not in setup[0]


def test_the_head_may_start_its_workers() -> None:
    auth = yaml.safe_load((ROOT / "cluster.yaml").read_text())["auth"]
    assert set(auth) == {"ssh_user", "ssh_private_key"}  # Ray copies the key to the head
    types = yaml.safe_load((ROOT / "cluster-aws.yaml").read_text())["available_node_types"]
    configs = [kind["node_config"] for kind in types.values()]
    assert all({"ImageId", "IamInstanceProfile"} <= set(config) for config in configs)
    assert len({config["IamInstanceProfile"]["Name"] for config in configs}) == 2


@pytest.mark.parametrize("named", ["python3", "python3.x"])
def test_setup_names_the_venv_of_the_python_chosen(tmp_path: Path, named: str) -> None:
    """On a machine without apt-get, whose Python comes without venv."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "dirname", "cat", "rm", "id"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    python = tools / named
    python.write_text(f'#!/bin/bash\n[ "$1" != -m ] && exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    shutil.copy(ROOT / "setup.sh", tmp_path)
    done = subprocess.run(
        ["bash", "setup.sh"], cwd=tmp_path, env={"PATH": str(tools), "PYTHON": named},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    version = "3" if named == "python3" else f"3.{sys.version_info[1]}"
    assert done.returncode == 1
    assert done.stderr.endswith(f"run: sudo apt-get install -y python{version}-venv\n")


def test_the_cloud_has_spot_workers_and_a_head_that_does_no_tasks() -> None:
    types = yaml.safe_load((ROOT / "cluster-aws.yaml").read_text())["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    for name in ("workers", "flow"):
        assert types[name]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert types[name]["min_workers"] == 0
