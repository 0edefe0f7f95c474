"""Checks of an installation: devices, versions, and a short self-test."""
