"""Dagster definitions, pure scores and identity, and the command line."""
