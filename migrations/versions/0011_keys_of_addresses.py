"""a mailing's recipients are found by their keys

Revision: 0011_keys_of_addresses
Follows: 0010_lighter_deliveries

The index over the hashes of addresses is kept for single e-mails alone: it cost a third of what
writing a recipient of a mailing costs. What is there already stays in it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_keys_of_addresses"
down_revision = "0010_lighter_deliveries"
branch_labels = None
depends_on = None

SINGLE = sa.text("NOT is_by_address")
OPEN = sa.text("finished_at IS NULL AND content_id IS NOT NULL")
ADDRESS = ("ix_mail_deliveries_address", "mail_deliveries", ["address_hash", "created_at"])


def upgrade() -> None:
    op.add_column(
        "mail_deliveries",
        sa.Column("is_by_address", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.drop_index("ix_mail_deliveries_address", table_name="mail_deliveries")
    op.create_index(*ADDRESS, postgresql_where=SINGLE, sqlite_where=SINGLE)
    op.create_index(
        "ix_mail_batches_open",
        "mail_batches",
        ["id"],
        postgresql_where=OPEN,
        sqlite_where=OPEN,
    )


def downgrade() -> None:
    op.drop_index("ix_mail_batches_open", table_name="mail_batches")
    op.drop_index("ix_mail_deliveries_address", table_name="mail_deliveries")
    op.create_index(*ADDRESS)
    with op.batch_alter_table("mail_deliveries") as batch_op:
        batch_op.drop_column("is_by_address")
