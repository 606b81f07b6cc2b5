"""Organizations, who works for them in which role, invitations, and the audit log.

It owns the role matrix and the guard that enforces it before any console view. It must not know
what its members work on.
"""
