"""fields of an organization's own about people

Revision: 0013_custom_fields
Follows: 0012_slices
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_custom_fields"
down_revision = "0012_slices"
branch_labels = None
depends_on = None


def ordered(length: int) -> sa.String:
    """Text ordered by its bytes on every database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "custom_fields",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=60), nullable=False),
        sa.Column("name", sa.JSON(), nullable=False),
        sa.Column("hint", sa.JSON(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("choices", sa.JSON(), nullable=False),
        sa.Column("is_sensitive", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_fields")),
        sa.UniqueConstraint(
            "organization_id", "key", name=op.f("uq_custom_fields_organization_id_key")
        ),
    )
    op.create_index(
        op.f("ix_custom_fields_organization_id"), "custom_fields", ["organization_id"]
    )
    op.create_table(
        "person_fields",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("field_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("text_key", ordered(500), nullable=False),
        sa.Column("number", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["field_id"],
            ["custom_fields.id"],
            name=op.f("fk_person_fields_field_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.id"],
            name=op.f("fk_person_fields_person_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("person_id", "field_id", name=op.f("pk_person_fields")),
    )
    op.create_index(
        "ix_person_fields_text", "person_fields", ["field_id", "text_key", "person_id"]
    )
    for column in ("number", "day"):
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_person_fields_{column}",
            "person_fields",
            ["field_id", column, "person_id"],
            postgresql_where=there,
            sqlite_where=there,
        )


def downgrade() -> None:
    op.drop_table("person_fields")
    op.drop_table("custom_fields")
