"""What all HTML shares: extensions, access marks, forms and fields, headers, languages, errors.

It knows nothing of any slice: who is asking comes in as an `Actor` that a guard above has set.
"""
