"""Mass e-mail as organizers know it: compose, choose an audience, schedule, watch, report.

It freezes an audience into the outbox of `mail/` and releases it; how an e-mail leaves is not
its business.
"""
