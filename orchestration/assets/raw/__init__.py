"""Raw assets: one a table that a source system gives, one op a feed. Built from ``orchestration/feeds``."""
