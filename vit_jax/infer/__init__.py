"""Evaluation, prediction and features, over few or millions of images."""
