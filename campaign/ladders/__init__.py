"""Ladders: what happens to somebody, step by step, after something they did.

It finds who takes the first step by reading the slices below, and acts through their services;
an e-mail it sends is a delivery of `mail/` like any other. It must not know how a petition is
signed, nor be known by it: nothing of a ladder stands in the way of a signature.
"""
