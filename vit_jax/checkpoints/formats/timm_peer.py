"""The same images through timm, with a file that was written for it."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax import models
from vit_jax.checkpoints.files.safetensors import read_safetensors
from vit_jax.checkpoints.formats.timm_config import list_timm_arguments
from vit_jax.checkpoints.record import Checkpoint
from vit_jax.config import ModelConfig

Result = tuple[str, np.ndarray] | None


def run_timm(path: Path, checkpoint: Checkpoint, images: np.ndarray) -> Result:
    """Returns what timm makes of images [b h w c] with the arrays of its own format.

    None: it has no such model; of a hybrid, its ResNet differs.
    """
    make = models.find_row(checkpoint.model, _MAKERS, "the model")
    if make is None:
        return None
    theirs = _make(make, checkpoint, images)
    theirs.load_state_dict(_read_state(path), strict=True)
    return "timm", theirs(_to_pixels(images)).numpy()


def run_timm_npz(path: Path, checkpoint: Checkpoint, images: np.ndarray) -> Result:
    """Returns what timm makes of images [b h w c] with an .npz; of ViTs only.

    None: it has no loader for the file, drops the pre-logits or lacks the positions.
    """
    model = checkpoint.model
    is_known = model.posemb != "sincos2d" and not model.representation_size
    make = models.find_row(model, _NPZ_MAKERS, "the model")
    if make is None or not is_known:
        return None
    theirs = _make(make, checkpoint, images)
    theirs.load_pretrained(str(path))
    return "timm", theirs(_to_pixels(images)).numpy()


def _make(make: Any, checkpoint: Checkpoint, images: np.ndarray) -> Any:
    import torch  # pyright: ignore[reportMissingImports]
    from torch import nn  # pyright: ignore[reportMissingImports]

    torch.set_grad_enabled(False)
    model = checkpoint.model
    arguments = list_timm_arguments(model, (images.shape[1], images.shape[2]))
    arguments["num_classes"] = checkpoint.num_classes or 0
    norm = functools.partial(nn.LayerNorm, eps=model.layer_norm_epsilon)
    return make(model, arguments | {"norm_layer": norm}).eval()


def _make_vit(model: ModelConfig, arguments: dict[str, Any]) -> Any:
    from timm.layers import SwiGLUPacked  # pyright: ignore[reportMissingImports]
    from timm.models import (  # pyright: ignore[reportMissingImports]
        deit,
        vision_transformer,
    )
    from torch import nn  # pyright: ignore[reportMissingImports]

    kind = vision_transformer.VisionTransformer
    if model.distillation_token:
        kind = deit.VisionTransformerDistilled
    if model.activation == "swiglu":
        arguments |= {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU}
    return kind(qkv_bias=True, **arguments)


def _make_mixer(model: ModelConfig, arguments: dict[str, Any]) -> Any:
    from timm.models import mlp_mixer  # pyright: ignore[reportMissingImports]
    from torch import nn  # pyright: ignore[reportMissingImports]

    arguments["act_layer"] = functools.partial(nn.GELU, approximate="tanh")
    arguments["img_size"] = arguments["img_size"][0]
    return mlp_mixer.MlpMixer(**arguments)


# None: timm has no such model, or no loader for its files.
_MAKERS = {"vit": _make_vit, "hybrid": None, "mixer": _make_mixer}
_NPZ_MAKERS = {"vit": _make_vit, "hybrid": None, "mixer": None}


def _read_state(path: Path) -> dict[str, Any]:
    import torch  # pyright: ignore[reportMissingImports]

    file = path / "model.safetensors" if path.is_dir() else path
    tensors, _ = read_safetensors(file)
    return {
        name: torch.from_numpy(np.asarray(tensor, np.float32))
        for name, tensor in tensors.items()
    }


def _to_pixels(images: np.ndarray) -> Any:
    import torch  # pyright: ignore[reportMissingImports]

    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
