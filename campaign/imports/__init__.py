"""Bringing in people from a file: what its columns hold, its rows one by one, and a report.

It owns imports. Who a row speaks of is decided by `people`, whose lists and fields it fills.
"""
