"""an organization's numbers, day by day

Revision: 0014_saved_numbers
Follows: 0013_custom_fields
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_saved_numbers"
down_revision = "0013_custom_fields"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "saved_numbers",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(length=10), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id", "topic", "day", "key", name=op.f("pk_saved_numbers")
        ),
    )


def downgrade() -> None:
    op.drop_table("saved_numbers")
