"""recipients of a mailing that cost half as much to write

Revision: 0010_lighter_deliveries
Follows: 0009_variants

Keys become UUIDs (of an address's hash the first half), and the two foreign keys go: each was
looked up anew for every recipient of a mailing, all of whom have the same.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_lighter_deliveries"
down_revision = "0009_variants"
branch_labels = None
depends_on = None

FOREIGN = {"batch_id": "mail_batches", "chunk_id": "mail_chunks"}


def upgrade() -> None:
    op.execute("UPDATE mail_deliveries SET unique_key = substr(unique_key, 1, 32)")
    with op.batch_alter_table("mail_deliveries") as batch_op:
        for column in FOREIGN:
            batch_op.drop_constraint(f"fk_mail_deliveries_{column}", type_="foreignkey")
        batch_op.alter_column("chunk_id", existing_type=sa.Uuid(), nullable=False)
        batch_op.alter_column(
            "unique_key",
            existing_type=sa.String(length=80),
            type_=sa.Uuid(),
            existing_nullable=False,
            postgresql_using="unique_key::uuid",
        )


def downgrade() -> None:
    with op.batch_alter_table("mail_deliveries") as batch_op:
        batch_op.alter_column(
            "unique_key",
            existing_type=sa.Uuid(),
            type_=sa.String(length=80),
            existing_nullable=False,
            postgresql_using="replace(unique_key::text, '-', '')",
        )
        batch_op.alter_column("chunk_id", existing_type=sa.Uuid(), nullable=True)
        for column, table in FOREIGN.items():
            batch_op.create_foreign_key(
                f"fk_mail_deliveries_{column}", table, [column], ["id"]
            )
