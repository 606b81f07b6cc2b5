"""The public pages that gather from every slice: the front page and a campaign's page.

It owns no table and changes nothing. A campaign's page shows petitions, and petitions hang off
campaigns, not the other way round: so the page stands above both.
"""
