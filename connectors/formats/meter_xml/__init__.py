"""What the XML meter formats share: ``stream`` and ``runs`` read, ``pending`` keeps, ``settle`` and ``emit`` decide.

Belongs here: what does not depend on which of the formats it is. Does not belong here: names of elements.
"""
