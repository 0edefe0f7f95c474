"""Checkpoint formats: tables of names, shapes and configs."""
