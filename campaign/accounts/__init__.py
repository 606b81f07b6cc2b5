"""People who log in: users, their sessions as rows, passwords, resets, log-in and log-out.

It must not know organizations: which roles a user has is asked one storey up.
"""
