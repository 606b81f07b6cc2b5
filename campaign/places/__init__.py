"""Districts with their boundaries, and which of them a postal code lies in, with the share.

Installation-wide facts, no tenant's property. It must not know who lives there.
"""
