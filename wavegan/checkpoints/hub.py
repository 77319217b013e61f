"""Finding a model: in the package, in a folder, in another project's file, or on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

from torch import nn

from wavegan.checkpoints import native
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError, one_line

PRETRAINED = Path(__file__).parents[1] / "pretrained"
# The only files fetched from a repository: settings, statistics, generators' weights. None of them is run: weights are
# loaded as plain tensors.
WANTED = ["config.json", "config_v*.json", "config.y*ml", "hyperparams.yaml", "stats.h5", "stats.npy", "*.nemo"]
WANTED += ["*.safetensors", "*.ckpt", "*.pth", "generator*", "g_*", "*generator*.pt", "pytorch_model.bin"]
WANTED += ["checkpoint-*steps.pkl"]
UNWANTED = ["*discriminator*", "*optim*", "do_*", "*msteps.pt"]  # the last: BigVGAN's earlier ones, beside the final


def list_pretrained() -> list[str]:
    """Names of the models inside the package."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{native.CONFIG}"))


def find_checkpoint(name: str | Path) -> Path:
    """The local path of a model: embedded, by name; a path; or USER/REPOSITORY on the Hub, which is fetched.

    Raises:
        UserError: none of them, or the repository can't be fetched.
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
    """Load the generator of a model for inference, and its configuration; ``name`` as in ``find_checkpoint``.

    Raises:
        UserError: as ``find_checkpoint``; or the checkpoint is damaged, incomplete or of an unknown format.
    """
    path = find_checkpoint(name)
    folder = path.parent if path.name in (native.CONFIG, native.GENERATOR) else path
    if native.is_checkpoint(folder):
        return native.load_generator(folder)
    from wavegan.checkpoints import formats

    repository = "" if os.path.exists(name) else str(name).partition("@")[0].rpartition("/")[2]
    return formats.load_foreign(path, name=repository)  # the fetched folder has the name of its commit


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
        raise UserError(f"{missing} Nor on the Hugging Face Hub: {reason or f'status {status}'}.") from None
    except Exception as error:  # of the HTTP library, which may change: a full disk, a proxy, a lost connection
        reason = one_line(error)
        raise UserError(f"The repository '{name}' can't be fetched from the Hugging Face Hub ({reason}).") from None
    if not Path(folder).is_dir() or not any(Path(folder).iterdir()):
        raise UserError(f"The repository '{name}' has no settings or weights of a known format.")
    return Path(folder)
