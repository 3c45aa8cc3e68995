"""Reads a manifest: text to job specs, with every fault in one pass."""

from batchsync.manifest.load import Manifest, load
from batchsync.manifest.starter import starter

__all__ = ["Manifest", "load", "starter"]
