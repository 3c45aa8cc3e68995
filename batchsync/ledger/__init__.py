"""The ledger: the only truth about jobs and credits, and the only room that knows the database."""
