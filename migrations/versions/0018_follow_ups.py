"""follow-ups by hand: whose they are, and who asked

Revision: 0018_follow_ups
Follows: 0017_people_table
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_follow_ups"
down_revision = "0017_people_table"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("follow_ups") as batch:
        batch.add_column(sa.Column("assignee_id", sa.Uuid(), nullable=True))
        batch.add_column(sa.Column("asked_by", sa.Uuid(), nullable=True))
        batch.create_foreign_key(
            op.f("fk_follow_ups_assignee_id_users"), "users", ["assignee_id"], ["id"]
        )


def downgrade() -> None:
    with op.batch_alter_table("follow_ups") as batch:
        batch.drop_constraint(op.f("fk_follow_ups_assignee_id_users"), type_="foreignkey")
        batch.drop_column("asked_by")
        batch.drop_column("assignee_id")
