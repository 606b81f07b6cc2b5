"""quiet hours, and mailings spread over hours

Revision: 0005_quiet_hours
Follows: 0004_ladders
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_quiet_hours"
down_revision = "0004_ladders"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("organizations") as batch_op:
        for name in ("quiet_from", "quiet_until"):
            batch_op.add_column(
                sa.Column(name, sa.String(length=5), server_default="", nullable=False)
            )
    with op.batch_alter_table("messages") as batch_op:
        batch_op.add_column(sa.Column("per_hour", sa.Integer(), nullable=True))
        batch_op.add_column(
            sa.Column("ignores_quiet", sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("messages") as batch_op:
        batch_op.drop_column("ignores_quiet")
        batch_op.drop_column("per_hour")
    with op.batch_alter_table("organizations") as batch_op:
        batch_op.drop_column("quiet_until")
        batch_op.drop_column("quiet_from")
