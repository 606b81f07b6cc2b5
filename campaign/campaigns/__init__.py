"""Campaigns, their clinics with a status history, milestones, and the coalition's partnerships.

It owns what a campaign says in public. It must not know petitions or mailings: they hang off it.
"""
