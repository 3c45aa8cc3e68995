"""Turns specs and facts into a plan: which jobs are new, what they cost, what is wrong. Pure."""

from batchsync.planning.forecast import Forecast, forecast
from batchsync.planning.plan import KnownJobs, Plan, Uploads, plan
from batchsync.planning.pricing import Price

__all__ = ["Forecast", "KnownJobs", "Plan", "Price", "Uploads", "forecast", "plan"]
