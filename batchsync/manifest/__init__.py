"""Reads a manifest: text to job specs, with every fault in one pass."""
