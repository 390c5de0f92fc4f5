"""Sending assets: one a destination, built from ``orchestration/pushes``."""
