"""Running the house: start and watch over its processes, check it, fill it with a demo.

It owns no table. It sits above all slices, for a demo touches each.
"""
