"""Operators that torchvision's Python declares shapes for, but its build may lack."""

import importlib


def have_timm() -> bool:
    """Tells whether timm can be imported; torch must have been told of these first."""
    try:
        torch = importlib.import_module("torch")
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float threshold) -> Tensor")
        have_timm.library = library  # pyright: ignore  # it goes with the object
    except (ImportError, RuntimeError):
        pass
    try:
        importlib.import_module("timm")
    except (ImportError, RuntimeError):
        return False
    return True
