"""Petitions and signatures: from the public form to a confirmed, counted name.

It owns the petition's text and state, signatures, counts by delta, moderation and invalidation.
It must not know mailings or exports, which read it.
"""
