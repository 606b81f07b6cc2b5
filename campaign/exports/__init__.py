"""Supporters handed to somebody who may have them: built by a task, expiring, audited.

It reads everything below. Whom a partner may see is decided here by the consent ledger alone.
"""
