"""How a mass e-mail looks: pictures, templates, blocks, and the markup of a letter.

It may read petitions and events, which a block shows. Who gets a letter, when, and whether it
is frozen is the business of `mailings` and `ladders`, which it must not know.
"""
