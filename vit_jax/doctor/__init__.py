"""Checks of an installation, and what it can do."""
