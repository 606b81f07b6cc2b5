"""An organization's numbers over time: how many people, from where, on which lists.

It saves counts day by day, for who leaves is in no row any more. It holds nobody's name or id.
"""
