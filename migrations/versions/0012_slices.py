"""an audience is frozen in slices, by several workers side by side

Revision: 0012_slices
Follows: 0011_keys_of_addresses

A mailing that was being frozen is planned anew: who is in it already stays, and nobody comes twice.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_slices"
down_revision = "0011_keys_of_addresses"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_slices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("after", sa.Uuid(), nullable=True),
        sa.Column("last", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("is_fresh", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["mail_batches.id"], name=op.f("fk_mail_slices_batch_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_slices")),
    )
    op.create_index("ix_mail_slices_batch", "mail_slices", ["batch_id", "position"])
    with op.batch_alter_table("messages") as batch_op:
        batch_op.drop_column("frozen_after")
    op.execute("UPDATE messages SET frozen_slot = 0 WHERE state IN ('calculating', 'sending')")


def downgrade() -> None:
    op.drop_table("mail_slices")
    op.add_column("messages", sa.Column("frozen_after", sa.Uuid(), nullable=True))
    op.execute("UPDATE messages SET frozen_slot = 1 WHERE frozen_slot = 0")
