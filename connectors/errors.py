"""The one base class of errors that people read.

Belongs here: the base class. Does not belong here: the errors themselves, which live beside what raises them.
"""


class GridCRMError(Exception):
    """An error with one clear line for the person who can mend it: what happened, where, what to do.

    The message never holds a secret, a personal value or a full record.
    """
