"""Reads local media files: size, content digest, duration, frame rate."""

from batchsync.media.facts import UnusableFile, facts, gather

__all__ = ["UnusableFile", "facts", "gather"]
