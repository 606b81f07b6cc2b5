"""Static lists, and segments: rules that answer "who?".

It reads people, petitions and campaigns below. It must not know what a mailing does with an
audience.
"""
