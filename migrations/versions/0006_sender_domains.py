"""what DNS said about senders' domains

Revision: 0006_sender_domains
Follows: 0005_quiet_hours
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0006_sender_domains'
down_revision = '0005_quiet_hours'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('sender_domains',
    sa.Column('domain', sa.String(length=253), nullable=False),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('looked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('verdict', sa.String(length=10), nullable=False),
    sa.Column('findings', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('domain', name=op.f('pk_sender_domains'))
    )


def downgrade() -> None:
    op.drop_table('sender_domains')
