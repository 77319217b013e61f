"""Many processes as one training, started by torchrun or SLURM. The only Fabric import, and only for several processes.

The recipe states the global batch; each process takes its share, gradients are averaged (DistributedDataParallel), and
every process makes the same update. Nothing else is scattered or broadcast: batches are drawn from (seed, step, place),
so each process draws its own part of what one process would have drawn. Fabric casts nothing: it would give bfloat16
waveforms to discriminators with several processes, and only then.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn

from wavegan.core.errors import UserError, one_line

Optimizers = list[torch.optim.Optimizer]


class Processes:
    """A single process: collective operations are identities. ``Connected`` is the same for several."""

    rank, world_size = 0, 1

    def __init__(self, device: torch.device):
        self.device = device

    def setup(self, module: nn.Module, method: str, optimizers: Optimizers) -> tuple[Any, Optimizers]:
        """The module on the device, callable as itself and by ``method``, and its optimizers."""
        return module.to(self.device), optimizers

    def no_sync(self, module: Any, enabled: bool) -> contextlib.AbstractContextManager:
        """Leave out the averaging of gradients, of all but the last of several passes."""
        return contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean over all processes."""
        return tensor

    def maximum(self, number: int, flag: bool) -> tuple[int, bool]:
        """The largest number of any process, and True if any process has the flag."""
        return number, flag

    def broadcast(self, value: Any) -> Any:
        """The value of the first process."""
        return value

    def barrier(self) -> None:
        """Wait for the other processes."""


class Connected(Processes):
    """Several processes, connected by Fabric."""

    def __init__(self, fabric: Any):
        super().__init__(fabric.device)
        self.fabric, self.rank, self.world_size = fabric, fabric.global_rank, fabric.world_size

    def setup(self, module: nn.Module, method: str, optimizers: Optimizers) -> tuple[Any, Optimizers]:
        wrapped, *optimizers = self.fabric.setup(module, *optimizers)
        wrapped.mark_forward_method(method)
        return wrapped, optimizers

    def no_sync(self, module: Any, enabled: bool) -> contextlib.AbstractContextManager:
        return self.fabric.no_backward_sync(module, enabled=enabled)

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def mean(self, tensor: Tensor) -> Tensor:
        return self.fabric.all_reduce(tensor)

    def maximum(self, number: int, flag: bool) -> tuple[int, bool]:
        numbers = torch.tensor([number, int(flag)], device=self.device)
        number, flag = self.fabric.all_reduce(numbers, reduce_op="max").tolist()
        return number, bool(flag)

    def broadcast(self, value: Any) -> Any:
        return self.fabric.broadcast(value)

    def barrier(self) -> None:
        self.fabric.barrier()


def connect(accelerator: str) -> Processes:
    """Connect this process with those that torchrun or SLURM started with it.

    Raises:
        UserError: the accelerator isn't there, or the processes don't find each other.
    """
    processes, nodes = launched()
    if processes == 1:
        return Processes(choose_device(accelerator))
    try:
        fabric = new_fabric(accelerator, processes, nodes)
        if restarts() and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            _meet_again(fabric.device, nodes)
        fabric.launch()
        atexit.register(_leave)
    except distributed.DistNetworkError as error:
        raise UserError(
            f"The processes of this training don't find each other: {one_line(error)}. If the port is in use, give "
            "torchrun another --master-port."
        ) from None
    except (RuntimeError, ValueError) as error:
        raise UserError(f"trainer.accelerator '{accelerator}' can't be used here: {error}") from None
    if fabric.world_size != processes:
        raise UserError(f"{processes} processes were started, but {fabric.world_size} train together.")
    return Connected(fabric)


def new_fabric(accelerator: str, processes: int, nodes: int) -> Any:
    """Fabric for several processes, not launched yet."""
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    # Buffers are windows and filterbanks, the same everywhere: copying them would only cost, and would change tensors
    # that a backward pass still needs.
    strategy = DDPStrategy(broadcast_buffers=False)
    return Fabric(accelerator=accelerator, strategy=strategy, devices=processes // nodes, num_nodes=nodes)


def choose_device(accelerator: str) -> torch.device:
    """The device of a single process for "auto", "cpu", "gpu" or "mps".

    Raises:
        UserError: this machine has no such device.
    """
    devices = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    allowed = {"auto": ("cuda", "mps", "cpu"), "gpu": ("cuda", "mps"), "mps": ("mps",), "cpu": ("cpu",)}[accelerator]
    for name in allowed:
        if devices[name]():
            return torch.device(name, 0) if name == "cuda" else torch.device(name)
    raise UserError(f"trainer.accelerator '{accelerator}' can't be used here: this machine has no such device.")


def check_batch(global_batch_size: int, world_size: int, accumulate: int) -> None:
    """Refuse a global batch that processes and passes can't share equally.

    Raises:
        UserError: says what it should be a multiple of.
    """
    if global_batch_size % (world_size * accumulate):
        raise UserError(
            f"data.global_batch_size {global_batch_size} can't be shared by {world_size} processes with {accumulate} "
            f"passes each: use a multiple of {world_size * accumulate}."
        )


def _meet_again(device: torch.device, nodes: int) -> None:
    """Start the process group of a restart under names of its own; Fabric uses an existing group.

    torchrun's agent keeps one store through all restarts. It has the addresses of processes that are gone, and the
    first new process would connect to them. The restart's number tells them apart, but each machine counts its own.

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
    """End the process group before the interpreter does: one of its threads that frees a tensor later would abort."""
    gc.collect()  # objects that hold the group, such as DistributedDataParallel, keep its threads alive
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
    """Number of processes started together, and of machines."""
    environment = os.environ
    if "WORLD_SIZE" in environment:
        processes = int(environment["WORLD_SIZE"])
        return processes, max(processes // int(environment.get("LOCAL_WORLD_SIZE", processes)), 1)
    if int(environment.get("SLURM_NTASKS", 1)) > 1 and _started_by_srun():
        return int(environment["SLURM_NTASKS"]), int(environment.get("SLURM_NNODES", 1))
    return 1, 1


def _started_by_srun() -> bool:
    from lightning_fabric.plugins.environments import SLURMEnvironment

    return SLURMEnvironment.detect()


def restarts() -> int:
    """Number of times that torchrun has restarted the processes of this machine."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


def restarted() -> bool:
    """Return True if torchrun restarted this process after another one was lost; with several machines, if it may have:
    each counts only the restarts that its own processes caused.
    """
    return restarts() > 0 or (launched()[1] > 1 and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0)


def lost_peer(error: RuntimeError) -> bool:
    """Return True if an error of a collective operation says that another process has gone."""
    signs = ("Connection closed by peer", "Connection reset by peer", "gloo", "NCCL", "Broken pipe", "TCPStore", "c10d")
    return isinstance(error, distributed.DistError) or any(sign in str(error) for sign in signs)
