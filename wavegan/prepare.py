"""Public: turn recordings into checked FLAC files and manifests."""

from wavegan.core.sequences import limited
from wavegan.data.prepare import prepare, write_manifests
from wavegan.data.source import Settings, Source, rates, sources_in

__all__ = ["Settings", "Source", "limited", "prepare", "rates", "sources_in", "write_manifests"]
