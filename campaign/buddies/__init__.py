"""Buddies: nobody has to go alone. People who ask for company and people who offer it.

It owns wishes, introductions and blocks. Nobody is listed anywhere; an organizer sees that there
is an introduction, never what was said. It must not know mailings or lists.
"""
