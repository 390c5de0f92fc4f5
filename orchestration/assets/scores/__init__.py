"""Score assets: one a score, built from the registry in ``orchestration/scoring``."""
