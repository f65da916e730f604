"""Runs the migrations over the connection, and inside the transaction, that `Ledger.open` hands over."""

from alembic import context

from everfit.tasks.ledger.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,  # MLflow, too, may keep its tables in this database, and Alembic's own name
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
