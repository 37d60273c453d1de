"""Settings chosen for a machine; GPUs are simulated."""

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from trainer_fixtures import write_shards

from trainer.common.device import find_device, native_precision, start_ranks
from trainer.data.dataset import open_dataset
from trainer.errors import BadInput
from trainer.training import settings
from trainer.training.options import FitConfig
from trainer.training.settings import choose

GPU = torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch):
    """Simulate a machine with one GPU of 80 GB; the values can be changed."""
    metadata = SimpleNamespace(memory=80e9, native=True, capability=(9, 0))
    cuda = torch.cuda
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "device_count", lambda: 1)
    monkeypatch.setattr(
        cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=metadata.memory)
    )
    monkeypatch.setattr(cuda, "get_device_capability", lambda: metadata.capability)
    monkeypatch.setattr(
        cuda,
        "is_bf16_supported",
        lambda including_emulation=True: metadata.native or including_emulation,
    )
    monkeypatch.setattr(settings.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(settings.Path, "exists", lambda _: True)
    return metadata


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = write_shards(tmp_path_factory.mktemp("toy"), shards=1, clips=1, frames=31, size=224)
    return open_dataset(folder)


def chosen(data, **options):
    return choose(FitConfig(shards=data.folder, **options), data, GPU)


def test_a_gpu_gets_the_papers_network_and_a_batch_that_fits_its_memory(data, gpu):
    settings = chosen(data)
    assert (settings.backbone, settings.image_size, settings.frames) == ("resnet50", 224, 31)
    assert settings.precision == "bf16" and settings.compile and settings.batch_size == 48
    gpu.memory = 24e9
    half, full = chosen(data), chosen(data, precision="fp32")
    # ResNet-50 stores 45 MB per frame for its backward pass in bf16, 88 MB in float32.
    assert half.batch_size == 12 and half.batch_size * 31 * 45e6 < 20e9
    assert full.batch_size == 6 and full.batch_size * 31 * 88e6 < 20e9
    adversary = chosen(data, inputs="rgb", dann_shards=data.folder)  # as many real frames again
    assert adversary.batch_size == 6


def test_emulated_bf16_is_not_chosen(data, gpu):
    gpu.native = False
    assert native_precision(GPU) == "fp32"


def test_the_cnn_is_compiled_if_possible(data, gpu, monkeypatch):
    assert not chosen(data, sync_bn=True).compile
    gpu.capability = (6, 1)
    assert not chosen(data).compile
    gpu.capability = (8, 0)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(settings.shutil, "which", lambda name: None)
    assert not chosen(data).compile and chosen(data, compile=True).compile


def test_missing_hardware_is_named(data, gpu, monkeypatch):
    with pytest.raises(BadInput, match="rank 3 where torch sees 1 GPU;"):
        find_device("cuda", 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(BadInput, match="torch sees no GPU"):
        start_ranks("cuda")
    with pytest.raises(BadInput, match="--sync-bn needs GPUs"):
        choose(FitConfig(shards=data.folder, sync_bn=True), data, torch.device("cpu"))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the options")
def test_kept_memory_causes_no_new_page_faults():
    script = """
import resource, torch
from trainer.common.device import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(1 << 24).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
keep_memory(torch.device("cpu"))
print(before, min(faults() for _ in range(5)))  # the heap may grow once more by a small amount
"""
    # The kernel may map a library right after the heap, which then cannot grow; hardly ten times.
    for _ in range(10):
        run = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        before, after = map(int, run.stdout.split())
        if after < before / 10:
            break
    assert before > 20 and after < before / 10  # 64 MB: 16,384 pages, or 32 huge ones
