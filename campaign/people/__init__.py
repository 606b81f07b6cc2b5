"""Supporters of one organization, and what each has consented to, as an append-only ledger.

It owns Person, Consent, ConsentWording, Tag, Note and erasure. It must not know what a person
did: signatures and mailings point here, never the other way.
"""
