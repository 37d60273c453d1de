"""Flow actors: what a task gets from them is what its own estimator would give."""

from types import SimpleNamespace

import numpy as np
import pytest
import ray
import skimage.data

from datagen.cluster.flow_pool import FlowActor, FlowPool, start
from datagen.flow.load import load_estimator
from datagen.flow.options import FlowConfig


@pytest.mark.parametrize("flow", ["pwc", "pwc+dis"])
def test_a_task_gets_its_own_estimators_flow_from_an_actor(
    flow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray is replaced by a call: tests/datagen/cluster/test_faults.py runs actors on Ray."""
    started = []

    def remote(**options: object):
        def handle(actor: type[FlowActor]):
            def build(cfg: FlowConfig, device: str) -> SimpleNamespace:
                started.append((cfg.flow, device, options["num_gpus"]))
                estimate = actor(cfg, "cpu").estimate
                return SimpleNamespace(estimate=SimpleNamespace(remote=estimate))

            return SimpleNamespace(remote=build)

        return handle

    monkeypatch.setattr(ray, "remote", remote)
    monkeypatch.setattr(ray, "put", lambda value: value)
    monkeypatch.setattr(ray, "get", lambda value, timeout: value)
    monkeypatch.setattr("datagen.cluster.threads.pin", lambda: None)
    cfg = FlowConfig(flow=flow)
    photo = skimage.data.coffee()
    frames = np.stack([photo[t : t + 64, 2 * t : 2 * t + 64] for t in range(3)])
    pool = FlowPool((start(cfg, 0.5),), gpus=0.5, refined=cfg.refined)
    assert started == [("pwc", "cuda", 0.5)]  # DIS would keep the GPU waiting
    assert np.array_equal(pool(frames)(), load_estimator(cfg)(frames))
