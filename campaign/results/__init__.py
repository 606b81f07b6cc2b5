"""What a mass e-mail did: its report, how it went over time, mailings side by side, and writing
again to those who did not act.

It reads the rows of the outbox, the links, signatures and answers, and keeps none of its own.
Nothing in it is about a single person: the rule for small numbers is in `web/few.py`.
"""
