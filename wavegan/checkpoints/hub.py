"""Where a model is: in the package, in a folder, another project's file, or on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

from torch import nn

from wavegan.checkpoints import native
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError

PRETRAINED = Path(__file__).parents[1] / "pretrained"
# What is fetched from a repository, and nothing else: settings, statistics, generators' weights. None of it is run:
# weights are read as plain tensors.
WANTED = ["config.json", "config_v*.json", "config.y*ml", "hyperparams.yaml", "stats.h5", "stats.npy", "*.nemo"]
WANTED += ["*.safetensors", "*.ckpt", "*.pth", "generator*", "g_*", "*generator*.pt", "pytorch_model.bin"]
WANTED += ["checkpoint-*steps.pkl"]
UNWANTED = ["*discriminator*", "*optim*", "do_*", "*msteps.pt"]  # the last: BigVGAN's earlier ones, beside the final


def list_pretrained() -> list[str]:
    """Names of the models inside the package."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{native.CONFIG}"))


def find_checkpoint(name: str | Path) -> Path:
    """Where a model lies on this machine: embedded, by name; a path; or USER/REPOSITORY on the Hub, fetched now.

    Raises:
        UserError: none of them, or a repository that can't be fetched.
    """
    text = str(name)
    if text in list_pretrained():
        return PRETRAINED / text
    if text and os.path.exists(name):  # Path.exists raises where the name is too long
        return Path(name)
    missing = f"No model or checkpoint folder '{text}'. Models in the package: {', '.join(list_pretrained())}."
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?", text) or isinstance(name, Path):
        raise UserError(missing)
    return _download(text, missing)


def load(name: str | Path) -> tuple[nn.Module, CheckpointConfig]:
    """The generator of a model, ready to play, and its contents; names and paths are those of ``find_checkpoint``.

    Raises:
        UserError: as ``find_checkpoint``; or a checkpoint that is damaged, incomplete or of another format.
    """
    path = find_checkpoint(name)
    folder = path.parent if path.name in (native.CONFIG, native.GENERATOR) else path
    if native.is_checkpoint(folder):
        return native.load_generator(folder)
    from wavegan.checkpoints import formats

    repository = "" if os.path.exists(name) else str(name).partition("@")[0].rpartition("/")[2]
    return formats.load_foreign(path, name=repository)  # the folder it was fetched into is called by its commit


def _download(name: str, missing: str) -> Path:
    if find_spec("huggingface_hub") is None:
        raise UserError(f"{missing} For a repository of the Hugging Face Hub: pip install 'wavegan[hub]'.")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        folder = huggingface_hub.snapshot_download(
            repository, revision=revision or None, allow_patterns=WANTED, ignore_patterns=UNWANTED
        )
    except HFValidationError:
        raise UserError(missing) from None
    except LocalEntryNotFoundError:
        raise UserError(f"{missing} The Hugging Face Hub can't be reached, and '{name}' isn't in its cache.") from None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        reason = {401: "it doesn't exist or is private", 403: "access is refused", 404: "it doesn't exist"}.get(status)
        raise UserError(f"{missing} Nor on the Hugging Face Hub: {reason or f'it answers {status}'}.") from None
    except Exception as error:  # whichever library carries HTTP, and whatever it meets: the disk, a proxy, a cut line
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"The repository '{name}' can't be fetched from the Hugging Face Hub ({reason}).") from None
    if not Path(folder).is_dir() or not any(Path(folder).iterdir()):
        raise UserError(f"The repository '{name}' holds no vocoder: no settings, no weights that we know.")
    return Path(folder)
