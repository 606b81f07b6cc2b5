"""what a message asked and who it went to, for segments; clicks by the quarter of an hour

Revision: 0007_results
Follows: 0006_sender_domains
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision = '0007_results'
down_revision = '0006_sender_domains'
branch_labels = None
depends_on = None

PLACE = re.compile(r'https?://[^/]+/([pec])/([a-z0-9-]{1,80})/?(?:[?#]|$)')


def upgrade() -> None:
    op.create_table('mailed_messages',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('organization_id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=300), nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mailed_messages'))
    )
    op.create_index('ix_mailed_messages_organization', 'mailed_messages', ['organization_id', 'sent_at'], unique=False)
    op.create_table('mailed_asks',
    sa.Column('message_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.String(length=10), nullable=False),
    sa.Column('thing_id', sa.Uuid(), nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['mailed_messages.id'], name=op.f('fk_mailed_asks_message_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('message_id', 'kind', 'thing_id', name=op.f('pk_mailed_asks'))
    )
    op.create_table('message_link_clicks',
    sa.Column('link_id', sa.Uuid(), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['link_id'], ['message_links.id'], name=op.f('fk_message_link_clicks_link_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('link_id', 'since', name=op.f('pk_message_link_clicks'))
    )
    _remember_what_went_out()


def _remember_what_went_out() -> None:
    """The messages of before, with the petitions, events and campaigns their links lead to. Their
    clicks were not counted by time: of those only the sum is known."""
    db = op.get_bind()
    db.execute(sa.text(
        "INSERT INTO mailed_messages (id, organization_id, name, sent_at) "
        "SELECT id, organization_id, CASE WHEN name <> '' THEN name ELSE subject END, started_at "
        "FROM messages WHERE state IN ('sending', 'paused', 'stopped', 'sent') "
        "AND started_at IS NOT NULL AND deleted_at IS NULL"
    ))
    links = db.execute(sa.text(
        "SELECT m.id, m.organization_id, l.words FROM message_links l "
        "JOIN mailed_messages m ON m.id = l.message_id"
    )).all()
    asks = set()
    for message_id, organization_id, url in links:
        place = PLACE.match(url)
        if place is None:
            continue
        table, kind = {
            'p': ('petitions', 'petition'), 'e': ('events', 'event'), 'c': ('campaigns', 'campaign')
        }[place[1]]
        thing_id = db.execute(
            sa.text(f"SELECT id FROM {table} WHERE slug = :slug AND organization_id = :owner"),
            {'slug': place[2], 'owner': organization_id},
        ).scalar()
        if thing_id is not None:
            asks.add((message_id, kind, thing_id))
    for message_id, kind, thing_id in asks:
        db.execute(
            sa.text("INSERT INTO mailed_asks (message_id, kind, thing_id) VALUES (:m, :k, :t)"),
            {'m': message_id, 'k': kind, 't': thing_id},
        )


def downgrade() -> None:
    op.drop_table('message_link_clicks')
    op.drop_table('mailed_asks')
    op.drop_index('ix_mailed_messages_organization', table_name='mailed_messages')
    op.drop_table('mailed_messages')
