"""Lazy, bounded readers and writers of array files."""
