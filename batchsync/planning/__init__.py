"""Turns specs and facts into a plan: which jobs are new, what they cost, what is wrong. Pure."""

from batchsync.planning.plan import KnownJobs, Plan, Uploads, plan
from batchsync.planning.pricing import Price

__all__ = ["KnownJobs", "Plan", "Price", "Uploads", "plan"]
