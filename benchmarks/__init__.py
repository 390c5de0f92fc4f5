"""What GridCRM's speed is measured against: one module a measure, ours and the peer in the same run.

Belongs here: making the input, running both, saying the ratio. Does not belong here: tests, and anything that
judges: a measure prints what it found. ``make bench NAME=nem12``.
"""
