"""Decoding and cropping on the host."""
