"""Turns specs and facts into a plan: which jobs are new, what they cost, what is wrong. Pure."""
