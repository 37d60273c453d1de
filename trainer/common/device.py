"""The device, its ranks and precision, and settings that depend on them."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist

from trainer.common.cli import count
from trainer.errors import BadInput

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Data types of the mixed precisions."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of a torchrun."""

    rank: int = 0
    local: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0


def start_ranks(device: str) -> Ranks:
    """Return this process's rank; join the process group if started by torchrun."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks()
    ranks = Ranks(int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0")), world)
    cuda = find_device(device, ranks.local).type == "cuda"
    if not dist.is_initialized():
        # If DDP imports this after the group exists, its functions' defaults keep the group alive
        # past destroy_process_group; gloo's threads may then abort a rank as it ends.
        import torch.distributed.nn.functional  # noqa: F401

        dist.init_process_group("nccl" if cuda else "gloo")
    return ranks


def find_device(device: str, local: int = 0) -> torch.device:
    """Return the device to use; BadInput for cuda where there is none."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        if not torch.cuda.is_available():
            raise BadInput("--device cuda was asked for, but torch sees no GPU; use --device cpu.")
        if local >= torch.cuda.device_count():
            raise BadInput(
                f"torchrun started rank {local} where torch sees "
                f"{count(torch.cuda.device_count(), 'GPU')}; "
                "lower --nproc-per-node."
            )
        torch.cuda.set_device(local)
        return torch.device("cuda", local)
    return torch.device("cpu")


def native_precision(device: torch.device) -> str:
    """Return bf16 if the hardware supports it natively, else fp32."""
    if device.type == "cuda":  # before Ampere torch only emulates it, slowly
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bf16" if supported else "fp32"


def set_precision(precision: str, device: torch.device) -> None:
    """Set the precision of a GPU's float32 convolutions and LSTMs, and let cuDNN benchmark kernels.

    Matrix products stay float32: only the head and the losses have some, which are small and need
    millimetre precision.
    """
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = precision != "fp32"
        torch.backends.cudnn.benchmark = True  # every step has the same shapes


def keep_memory(device: torch.device) -> None:
    """Let glibc keep memory that a step on a CPU frees, instead of returning it to the kernel.

    By default it maps each large tensor again, and the kernel clears its pages one by one, which
    takes more than half of a step of ResNet-50 at 224 px. The heap grows by a third (7.8 GB instead
    of 5.8).
    """
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, mmap_max = -1, -4  # constants of malloc.h; the values mean never and none
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(trim_threshold, -1)
    mallopt(mmap_max, 0)


def autocast(device: torch.device, precision: str) -> Callable[[], torch.autocast]:
    """Return a factory of the autocast context of a precision (disabled for fp32 and tf32)."""
    dtype = DTYPES.get(precision)
    return lambda: torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)
