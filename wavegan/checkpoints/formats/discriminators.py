"""Published discriminators, to fine-tune against: HiFi-GAN's and BigVGAN's do_* files."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from wavegan.checkpoints.formats import weights
from wavegan.core.errors import UserError
from wavegan.core.tensors import check_tensors
from wavegan.models.discriminators import Discriminators
from wavegan.models.discriminators.period import PeriodDiscriminator
from wavegan.models.discriminators.scale import ScaleDiscriminator

PERIODS = (2, 3, 5, 7, 11)
WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
SPECTRAL_NORM = {
    "weight_orig": "parametrizations.weight.original",
    "weight_u": "parametrizations.weight.0._u",
    "weight_v": "parametrizations.weight.0._v",  # a singular vector, not a direction
}


def read_discriminators(path: Path, discriminators: Discriminators) -> dict[str, Tensor]:
    """The weights, by our names, of those members of ``discriminators`` that the file has.

    Raises:
        UserError: not such a file, or it has none of them, or other sizes.
    """
    state = weights.load(path, str(path))
    parts = {name: state.get(name) for name in ("mpd", "msd")} if isinstance(state, dict) else {}
    tensors = {
        f"{part}.{name.removeprefix('module.')}": tensor
        for part, members in parts.items()
        if isinstance(members, dict)
        for name, tensor in members.items()
        if isinstance(name, str) and isinstance(tensor, Tensor)
    }
    weights_of_members = {}
    for i, member in enumerate(discriminators.members):
        prefix = _prefix(member)
        renamed = _renamed({n: t.float() for n, t in tensors.items() if n.startswith(prefix)}, prefix)
        if renamed:
            check_tensors(member, renamed, path)
            weights_of_members |= {f"members.{i}.{name}": tensor for name, tensor in renamed.items()}
    if not weights_of_members:
        raise UserError(
            f"{path} has none of the recipe's discriminators. Give a do_* file of HiFi-GAN; it has 'period' of the "
            "periods 2, 3, 5, 7, 11, and 'scale'."
        )
    return weights_of_members


def _prefix(member: nn.Module) -> str:
    """The prefix of a member's tensors in the file."""
    if isinstance(member, PeriodDiscriminator) and member.period in PERIODS:
        return f"mpd.discriminators.{PERIODS.index(member.period)}."
    return f"msd.discriminators.{member.poolings}." if isinstance(member, ScaleDiscriminator) else "none."


def _renamed(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Our names and shapes: the periods' (k, 1) kernels are 1-D here."""
    renamed = {}
    for name, tensor in tensors.items():
        stem, _, kind = name.rpartition(".")
        norm = SPECTRAL_NORM if f"{stem}.weight_orig" in tensors else WEIGHT_NORM
        flat = tensor.squeeze(-1) if tensor.dim() == 4 and tensor.shape[-1] == 1 else tensor
        renamed[f"{stem.removeprefix(prefix)}.{norm.get(kind, kind)}"] = flat
    return renamed
