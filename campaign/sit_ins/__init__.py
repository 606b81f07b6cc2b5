"""Sit-ins: the briefing that everybody reads first, and the list of those who risk arrest.

It owns acknowledgements and the list, which the legal role alone sees and which goes after the
event. It must not know mailings or lists.
"""
