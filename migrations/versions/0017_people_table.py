"""the table of people: columns, changes of many at once, exports with chosen columns

Revision: 0017_people_table
Follows: 0016_imports
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import campaign.db

revision = "0017_people_table"
down_revision = "0016_imports"
branch_labels = None
depends_on = None

LIVING = {
    "ix_people_organization_id_id": ["id"],
    "ix_people_organization_id_search": ["search_key", "id"],
    "ix_people_organization_id_postal_code": ["postal_code", "id"],
    "ix_people_organization_id_district_id": ["district_id", "id"],
    "ix_people_organization_id_source": ["source", "id"],
}
BESIDE = ["language", "source", "postal_code", "district_id", "created_at"]


def upgrade() -> None:
    op.create_table(
        "chosen_columns",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.String(length=10), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_chosen_columns_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_chosen_columns_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "user_id", "organization_id", "place", name=op.f("pk_chosen_columns")
        ),
    )
    op.create_table(
        "many_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("act", sa.String(length=10), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("target_name", sa.String(length=120), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("people_count", sa.Integer(), nullable=False),
        sa.Column("done_count", sa.Integer(), nullable=False),
        sa.Column("changed_count", sa.Integer(), nullable=False),
        sa.Column("lease_until", campaign.db.Instant(timezone=True), nullable=True),
        sa.Column("frozen_at", campaign.db.Instant(timezone=True), nullable=True),
        sa.Column("finished_at", campaign.db.Instant(timezone=True), nullable=True),
        sa.Column("created_at", campaign.db.Instant(timezone=True), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_many_changes")),
    )
    op.create_index(
        op.f("ix_many_changes_organization_id"), "many_changes", ["organization_id"], unique=False
    )
    op.create_index(op.f("ix_many_changes_state"), "many_changes", ["state"], unique=False)
    op.create_table(
        "change_pieces",
        sa.Column("change_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("people", campaign.db.IdsType(), nullable=False),
        sa.Column("changed", campaign.db.IdsType(), nullable=True),
        sa.Column("is_undone", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["change_id"],
            ["many_changes.id"],
            name=op.f("fk_change_pieces_change_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("change_id", "number", name=op.f("pk_change_pieces")),
    )
    op.create_table(
        "exported_pieces",
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_id", sa.Uuid(), nullable=False),
        sa.Column("last_id", sa.Uuid(), nullable=False),
        sa.Column("people", campaign.db.IdsType(), nullable=False),
        sa.ForeignKeyConstraint(
            ["export_id"],
            ["exports.id"],
            name=op.f("fk_exported_pieces_export_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("export_id", "number", name=op.f("pk_exported_pieces")),
    )
    op.create_index(
        "ix_exported_pieces_between", "exported_pieces", ["first_id", "last_id"], unique=False
    )
    op.add_column("exports", sa.Column("columns", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column(
        "exports",
        sa.Column("is_sensitive", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    for name, columns in LIVING.items():
        op.drop_index(name, table_name="people")
        op.create_index(
            name,
            "people",
            ["organization_id", *columns],
            unique=False,
            postgresql_where=sa.text("erased_at IS NULL"),
            sqlite_where=sa.text("erased_at IS NULL"),
            postgresql_include=BESIDE if name == "ix_people_organization_id_id" else (),
        )
    op.create_index(
        "ix_signatures_signers",
        "signatures",
        ["organization_id", "petition_id", "person_id"],
        unique=False,
        postgresql_where=sa.text("state = 'confirmed' AND person_id IS NOT NULL"),
        sqlite_where=sa.text("state = 'confirmed' AND person_id IS NOT NULL"),
    )
    op.create_index(
        "ix_people_without_email",
        "people",
        ["organization_id", "id"],
        unique=False,
        postgresql_where=sa.text("email_key IS NULL"),
        sqlite_where=sa.text("email_key IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_people_without_email", table_name="people")
    op.drop_index("ix_signatures_signers", table_name="signatures")
    for name, columns in LIVING.items():
        op.drop_index(name, table_name="people")
        op.create_index(name, "people", ["organization_id", *columns], unique=False)
    with op.batch_alter_table("exports") as batch:
        batch.drop_column("is_sensitive")
        batch.drop_column("columns")
    op.drop_table("exported_pieces")
    op.drop_table("change_pieces")
    op.drop_table("many_changes")
    op.drop_table("chosen_columns")
