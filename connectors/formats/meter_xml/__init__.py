"""What the XML meter formats share, in the order in which a file goes through it.

``stream`` and ``runs`` read, ``pending`` keeps, ``settle`` decides, ``emit`` writes; their words are in the
modules ``codes``, ``currencies`` and ``rules``. Belongs here: what does not depend on which of the formats it
is. Does not belong here: names of elements.
"""
