"""Pure I/O: transports, legacy formats, ingestion and activation.

Belongs here: everything that talks to a system outside or turns bytes into tables. Does not belong here:
Dagster, scores, anything that knows what a customer is worth. Nothing in this package imports ``dagster``,
``orchestration`` or ``demo``; a lint rule and a test hold that.
"""
