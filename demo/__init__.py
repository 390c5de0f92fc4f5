"""A utility that does not exist: its systems, its data with known truth, and the summary of a demo run.

Belongs here: everything simulated. Does not belong here: anything the product needs in production.
"""
