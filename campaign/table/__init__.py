"""The table of people: what is asked of it, its columns and order, and what is done to many at once.

It owns the choice of columns and the changes of many people with their way back. It writes tags and
lists through the slices below, and knows nothing of files.
"""
