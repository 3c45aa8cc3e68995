"""Alembic's environment: runs on the connection that the ledger hands over, in that connection's transaction."""

from alembic import context

from batchsync.ledger.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
