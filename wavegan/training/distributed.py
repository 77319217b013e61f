"""Many processes as one training, started by torchrun or SLURM. The only Fabric import.

The recipe states the global batch; each process takes its share, gradients are averaged (DistributedDataParallel), and
every process makes the same update. Nothing is scattered or broadcast but that: batches are drawn from (seed, step,
place), so each process draws its own part of what one process would have drawn. Fabric casts nothing: it would give
bfloat16 waveforms to discriminators where there are several processes, and only there.
"""

from __future__ import annotations

import atexit
import gc
import os
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import SLURMEnvironment
from lightning_fabric.strategies import DDPStrategy
from torch import distributed

from wavegan.core.errors import UserError


def connect(accelerator: str) -> Fabric:
    """This process among those that torchrun or SLURM started with it; alone without either.

    Raises:
        UserError: the accelerator isn't there, or the processes don't find each other.
    """
    processes, nodes = launched()
    try:
        if processes == 1:
            return Fabric(accelerator=accelerator, devices=1)
        # Buffers are windows and filterbanks, the same everywhere: copying them would only cost, and would change
        # what a backward pass still needs.
        strategy = DDPStrategy(broadcast_buffers=False)
        fabric = Fabric(accelerator=accelerator, strategy=strategy, devices=processes // nodes, num_nodes=nodes)
        if restarts() and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            _meet_again(fabric.device, nodes)
        fabric.launch()
        atexit.register(_leave)
    except distributed.DistNetworkError as error:
        raise UserError(
            f"The processes of this training don't find each other: {str(error).splitlines()[0]} If the port is in "
            "use, give torchrun another --master-port."
        ) from None
    except (RuntimeError, ValueError) as error:
        raise UserError(f"trainer.accelerator '{accelerator}' can't be used here: {error}") from None
    if fabric.world_size != processes:
        raise UserError(f"{processes} processes were started, but {fabric.world_size} train together.")
    return fabric


def _meet_again(device: torch.device, nodes: int) -> None:
    """Begin the process group of a restart under names of its own; Fabric takes the group that there is.

    torchrun's agent keeps one store through all restarts. In it are the addresses of the processes that have gone, and
    who comes first would call them. A restart's number tells them apart, but each machine counts its own.

    Raises:
        UserError: several machines.
    """
    if nodes > 1:
        raise UserError(
            "Processes on several machines don't find each other again through torchrun's own store: start it as "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 torchrun --rdzv-backend c10d --rdzv-endpoint HOST:PORT ..."
        )
    environment = os.environ
    server = distributed.TCPStore(environment["MASTER_ADDR"], int(environment["MASTER_PORT"]), is_master=False)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=distributed.PrefixStore(f"restart-{restarts()}", server),
        rank=int(environment["RANK"]),
        world_size=int(environment["WORLD_SIZE"]),
        device_id=None if device.type == "cpu" else device,
    )


def _leave() -> None:
    """End the process group while there is an interpreter: a thread of it that then lets go of a tensor would abort."""
    gc.collect()  # what holds the group, such as DistributedDataParallel, keeps its threads
    if distributed.is_initialized():
        distributed.destroy_process_group()


def quickest_precision(accelerator: str) -> Literal["32-true", "bf16-mixed"]:
    """bf16-mixed where the device multiplies in bfloat16; where that is emulated, it is far slower than float32."""
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        quick = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        quick = False
    else:
        quick = torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if quick else "32-true"


def launched() -> tuple[int, int]:
    """How many processes were started together, and on how many machines."""
    environment = os.environ
    if "WORLD_SIZE" in environment:
        processes = int(environment["WORLD_SIZE"])
        return processes, max(processes // int(environment.get("LOCAL_WORLD_SIZE", processes)), 1)
    if SLURMEnvironment.detect() and int(environment.get("SLURM_NTASKS", 1)) > 1:
        return int(environment["SLURM_NTASKS"]), int(environment.get("SLURM_NNODES", 1))
    return 1, 1


def restarts() -> int:
    """How often torchrun has restarted the processes of this machine."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


def restarted() -> bool:
    """Whether torchrun starts this process again, after one of them was lost; of several machines, whether it may: each
    counts its own losses, and not those of the others that it starts again with.
    """
    return restarts() > 0 or (launched()[1] > 1 and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0)


def lost_peer(error: RuntimeError) -> bool:
    """Whether an error of a collective says that another process has gone."""
    signs = ("Connection closed by peer", "Connection reset by peer", "gloo", "NCCL", "Broken pipe", "store")
    return isinstance(error, distributed.DistError) or any(sign in str(error) for sign in signs)
