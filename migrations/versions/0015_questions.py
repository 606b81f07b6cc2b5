"""an organization's own fields in the forms of petitions and events

Revision: 0015_questions
Follows: 0014_saved_numbers
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015_questions"
down_revision = "0014_saved_numbers"
branch_labels = None
depends_on = None

NEW = (
    ("petitions", "field_ids", "[]"),
    ("events", "field_ids", "[]"),
    ("signatures", "answers", "{}"),
    ("rsvps", "answers", "{}"),
)


def upgrade() -> None:
    for table, column, empty in NEW:
        op.add_column(
            table,
            sa.Column(column, sa.JSON(), nullable=False, server_default=sa.text(f"'{empty}'")),
        )


def downgrade() -> None:
    for table, column, _empty in reversed(NEW):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)
