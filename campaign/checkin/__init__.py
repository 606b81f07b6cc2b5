"""Check-in: who came, and how many. Said they come, signed in and counted are three numbers.

It owns sign-ins, head counts and the answers to "did you come?". It must not know mailings or
lists, which read it.
"""
