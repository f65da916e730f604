"""Runs the migrations over the connection, and inside the transaction, that `Ledger.open` hands over."""

from alembic import context

from everfit.tasks.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
