"""batchsync: bulk lip-sync through the Magic Hour API, resumable and accounted for to the credit."""

__version__ = "0.1.0"
