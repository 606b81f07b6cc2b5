"""mailings in variants: A/B tests, links and letters by variant; who is told when one is paused

Revision: 0009_variants
Follows: 0008_designs
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_variants"
down_revision = "0008_designs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "message_contests",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(length=8), nullable=False),
        sa.Column("measure", sa.String(length=12), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("is_automatic", sa.Boolean(), nullable=False),
        sa.Column("bounds", sa.JSON(), nullable=False),
        sa.Column("frozen_part", sa.Integer(), nullable=False),
        sa.Column("audience_count", sa.Integer(), nullable=False),
        sa.Column("decide_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verdict", sa.String(length=12), nullable=False),
        sa.Column("winner_id", sa.Uuid(), nullable=True),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("rest_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("size > 0", name=op.f("ck_message_contests_size_positive")),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_message_contests_message_id_messages"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_message_contests")),
    )
    op.create_table(
        "message_variants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("letter", sa.String(length=1), nullable=False),
        sa.Column("own_subject", sa.String(length=300), nullable=False),
        sa.Column("own_preheader", sa.String(length=200), nullable=False),
        sa.Column("own_body", sa.Text(), nullable=False),
        sa.Column("own_from_name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("stopped_for", sa.String(length=20), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("forgiven", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("rest_content_id", sa.Uuid(), nullable=True),
        sa.Column("recipient_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["message_contests.message_id"],
            name=op.f("fk_message_variants_message_id_message_contests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_variants")),
        sa.UniqueConstraint("message_id", "letter", name=op.f("uq_message_variants_message_id_letter")),
    )
    with op.batch_alter_table("message_links") as batch_op:
        batch_op.add_column(sa.Column("variant_id", sa.Uuid(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_message_links_variant_id_message_variants"),
            "message_variants",
            ["variant_id"],
            ["id"],
            ondelete="CASCADE",
        )
    with op.batch_alter_table("messages") as batch_op:
        batch_op.add_column(sa.Column("sent_by", sa.Uuid(), nullable=True))
        batch_op.add_column(
            sa.Column("told", sa.JSON(), server_default=sa.text("'{}'"), nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("messages") as batch_op:
        batch_op.drop_column("told")
        batch_op.drop_column("sent_by")
    with op.batch_alter_table("message_links") as batch_op:
        batch_op.drop_constraint(
            batch_op.f("fk_message_links_variant_id_message_variants"), type_="foreignkey"
        )
        batch_op.drop_column("variant_id")
    op.drop_table("message_variants")
    op.drop_table("message_contests")
