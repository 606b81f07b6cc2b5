"""imports that can be tried, stopped and taken up again; columns that are remembered

Revision: 0016_imports
Follows: 0015_questions
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016_imports"
down_revision = "0015_questions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("source", sa.String(length=80), nullable=False, server_default=""),
        sa.Column("tags", sa.JSON(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("is_trial", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("trial", sa.JSON(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("begun_count", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("imports", column)
    op.create_table(
        "import_mappings",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("header_key", sa.String(length=64), nullable=False),
        sa.Column("mapping", sa.JSON(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_import_mappings_organization_id_organizations"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "header_key", name=op.f("pk_import_mappings")),
    )


def downgrade() -> None:
    op.drop_table("import_mappings")
    with op.batch_alter_table("imports") as batch:
        for name in ("source", "tags", "is_trial", "trial", "begun_at", "begun_count"):
            batch.drop_column(name)
