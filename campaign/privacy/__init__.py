"""What we hold about somebody, in their own hands: see, change, download, withdraw, erase.

It sits above all slices that hold something, so that they need not know of each other. It owns
no table; the consent ledger and the erasure journal are `people`'s.
"""
