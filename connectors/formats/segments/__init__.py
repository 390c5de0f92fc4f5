"""Segment text: EDIFACT and X12 as segments, elements and components, by position instead of by string.

Belongs here: what the two families of interchange share: splitting (``scan``), bounded blocks of a stream
(``stream``), values that hold from one segment on (``trail``), control totals of an envelope (``envelope``),
the account of a block (``account``) and times (``times``). Does not belong here: what a segment means; that
is ``mscons`` and ``x12``.
"""
