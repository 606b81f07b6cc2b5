"""Fields of an organization's own about its people: what they are, and what is known of whom.

It owns the questions and the values. Where a field is shown, asked for or exported is decided by
the slices above.
"""
