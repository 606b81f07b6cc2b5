"""Static lists, segments (rules that answer "who?"), and imports.

It reads people, petitions and campaigns below. It must not know what a mailing does with an
audience.
"""
