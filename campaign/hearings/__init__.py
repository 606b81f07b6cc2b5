"""Hearings: who speaks, in which order, and what the body's rules ask of them by when.

It owns testimony slots, drafts and dated tasks of an event of the kind "hearing". It must not
know mailings or lists, which read it.
"""
