"""Pure values: jobs, states, credits, faults and backoff. No I/O, no libraries."""
