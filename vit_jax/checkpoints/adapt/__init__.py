"""Fitting a checkpoint to another head, grid or scaling of images."""
