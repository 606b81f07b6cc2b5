"""The organizer's home: what needs somebody today, from the queries of the slices below.

It owns no table.
"""
