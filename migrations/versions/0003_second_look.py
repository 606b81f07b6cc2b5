"""a second look at mailings

Revision: 0003_second_look
Follows: 0002_events
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_second_look"
down_revision = "0002_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("organizations") as batch_op:
        batch_op.add_column(sa.Column("second_look_above", sa.Integer(), nullable=True))
    with op.batch_alter_table("messages") as batch_op:
        batch_op.add_column(sa.Column("look_asked_by", sa.Uuid(), nullable=True))
        batch_op.add_column(
            sa.Column("look_asked_at", sa.DateTime(timezone=True), nullable=True)
        )
        batch_op.add_column(
            sa.Column("look_mark", sa.String(length=64), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("look_note", sa.String(length=1000), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("agreed_by", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("agreed_mark", sa.String(length=64), server_default="", nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("messages") as batch_op:
        for name in (
            "agreed_mark",
            "agreed_at",
            "agreed_by",
            "look_note",
            "look_mark",
            "look_asked_at",
            "look_asked_by",
        ):
            batch_op.drop_column(name)
    with op.batch_alter_table("organizations") as batch_op:
        batch_op.drop_column("second_look_above")
