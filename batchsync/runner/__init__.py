"""Takes jobs from the ledger to their end: stages, pacing, budget, stop signals."""
