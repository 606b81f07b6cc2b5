"""pictures and templates of mass e-mail

Revision: 0008_designs
Follows: 0007_results
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_designs"
down_revision = "0007_results"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pictures",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=4), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("is_animated", sa.Boolean(), nullable=False),
        sa.Column("alt", sa.String(length=300), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pictures")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("uq_pictures_organization_id_name")),
        sa.UniqueConstraint("token", name=op.f("uq_pictures_token")),
    )
    op.create_index(op.f("ix_pictures_organization_id"), "pictures", ["organization_id"])
    op.create_table(
        "picture_files",
        sa.Column("picture_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.String(length=5), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["picture_id"],
            ["pictures.id"],
            name=op.f("fk_picture_files_picture_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("picture_id", "size", name=op.f("pk_picture_files")),
    )
    op.create_table(
        "mail_templates",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("picture_id", sa.Uuid(), nullable=True),
        sa.Column("header", sa.String(length=200), nullable=False),
        sa.Column("footer", sa.Text(), nullable=False),
        sa.Column("accent", sa.String(length=7), nullable=False),
        sa.Column("accent_dark", sa.String(length=7), nullable=False),
        sa.Column("paper", sa.String(length=7), nullable=False),
        sa.Column("paper_dark", sa.String(length=7), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["picture_id"],
            ["pictures.id"],
            name=op.f("fk_mail_templates_picture_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_templates")),
    )
    op.create_index(op.f("ix_mail_templates_organization_id"), "mail_templates", ["organization_id"])
    op.create_index(
        "uq_mail_templates_default",
        "mail_templates",
        ["organization_id"],
        unique=True,
        postgresql_where=sa.text("is_default AND deleted_at IS NULL"),
        sqlite_where=sa.text("is_default AND deleted_at IS NULL"),
    )
    with op.batch_alter_table("messages") as batch_op:
        batch_op.add_column(sa.Column("template_id", sa.Uuid(), nullable=True))
        batch_op.add_column(
            sa.Column("format", sa.String(length=10), server_default="markdown", nullable=False)
        )
        batch_op.add_column(
            sa.Column("tested_mark", sa.String(length=64), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("links_asked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("links_looked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("links_found", sa.JSON(), server_default="{}", nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("messages") as batch_op:
        for name in (
            "links_found",
            "links_looked_at",
            "links_asked_at",
            "tested_mark",
            "format",
            "template_id",
        ):
            batch_op.drop_column(name)
    op.drop_table("mail_templates")
    op.drop_table("picture_files")
    op.drop_table("pictures")
