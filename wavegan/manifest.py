"""Public: read, write and split manifests."""

from wavegan.data.manifest import Utterance, read, split, write

__all__ = ["Utterance", "read", "split", "write"]
