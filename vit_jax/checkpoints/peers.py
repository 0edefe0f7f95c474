"""The same images through the library that a file was written for."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.checkpoints.files.safetensors import read_safetensors
from vit_jax.checkpoints.formats import timm_config
from vit_jax.config import ModelConfig
from vit_jax.errors import ConfigError


def run_peer(
    path: Path, file_format: str, model: ModelConfig, num_classes: int | None,
    images: np.ndarray,
) -> tuple[str, np.ndarray] | None:  # fmt: skip
    """Returns the name of a library that reads the file, and its logits.

    None if there is no such library, or it is not installed here.

    Args:
        path: of the file or folder that was written.
        file_format: of it.
        model: resolved.
        num_classes: None: there is no head.
        images: [b h w c], float32.

    Raises:
        ConfigError: the library refuses the file.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]

        if file_format == "huggingface":
            import transformers  # pyright: ignore[reportMissingImports]  # noqa: F401
        else:
            import timm  # pyright: ignore[reportMissingImports]  # noqa: F401
    except (ImportError, RuntimeError):  # torchvision's, where versions do not fit
        return None
    torch.set_grad_enabled(False)
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    size = (images.shape[1], images.shape[2])
    try:
        if file_format == "huggingface":
            return "transformers", _transformers(path, model, num_classes, pixels)
        if file_format == "google" or model.family == "hybrid":
            return None  # timm does not read linen's names, and its ResNet differs
        if file_format != "timm" and model.family == "mixer":
            return None  # it has no loader for these files of its own
        if file_format != "timm" and (
            model.representation_size or model.posemb == "sincos2d"
        ):
            return None  # timm drops the one and has not the other
        return "timm", _timm(path, file_format, model, num_classes, size, pixels)
    except ImportError:  # transformers finds out late what it lacks
        return None
    except Exception as error:  # they raise many kinds
        raise ConfigError(f"{path} is not read by its own library: {error}") from error


def _timm(
    path: Path,
    file_format: str,
    model: ModelConfig,
    num_classes: int | None,
    size: tuple[int, int],
    pixels: Any,
) -> np.ndarray:
    from timm.models import (  # pyright: ignore[reportMissingImports]
        deit,
        mlp_mixer,
        vision_transformer,
    )

    made = timm_config.arguments(model, size) | _not_json(model)
    kind = vision_transformer.VisionTransformer
    if model.distillation_token:
        kind = deit.VisionTransformerDistilled
    if model.family == "mixer":
        kind, made["img_size"] = mlp_mixer.MlpMixer, size[0]
    theirs = kind(num_classes=num_classes or 0, **made).eval()
    if file_format == "timm":
        theirs.load_state_dict(_state(path), strict=True)
    else:
        theirs.load_pretrained(str(path))
    return theirs(pixels).numpy()


def _not_json(model: ModelConfig) -> dict[str, Any]:
    from timm.layers import SwiGLUPacked  # pyright: ignore[reportMissingImports]
    from torch import nn  # pyright: ignore[reportMissingImports]

    norm = functools.partial(nn.LayerNorm, eps=model.layer_norm_epsilon)
    if model.family == "mixer":
        return {
            "norm_layer": norm,
            "act_layer": functools.partial(nn.GELU, approximate="tanh"),
        }
    swiglu = {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU}
    return {
        "norm_layer": norm,
        "qkv_bias": True,
        **(swiglu if model.activation == "swiglu" else {}),
    }


def _state(path: Path) -> dict[str, Any]:
    import torch  # pyright: ignore[reportMissingImports]

    file = path / "model.safetensors" if path.is_dir() else path
    tensors, _ = read_safetensors(file)
    return {
        name: torch.from_numpy(np.asarray(tensor, np.float32))
        for name, tensor in tensors.items()
    }


def _transformers(
    path: Path, ours: ModelConfig, num_classes: int | None, pixels: Any
) -> np.ndarray:
    import json

    import transformers  # pyright: ignore[reportMissingImports]

    folder = path if path.is_dir() else path.parent
    config = json.loads((folder / "config.json").read_bytes())
    kind = getattr(transformers, config["architectures"][0])
    model, info = kind.from_pretrained(
        folder, local_files_only=True, output_loading_info=True
    )
    wrong = {*info["missing_keys"], *info["unexpected_keys"]}
    # Only for training; and an untrained pooler where a ViTModel is asked for features.
    wrong = {
        name for name in wrong if "mask_token" not in name and "pooler" not in name
    }
    if wrong:
        raise ValueError(f"other names than {sorted(wrong)[:4]} were expected")
    output = model.eval()(pixels)
    if num_classes is not None:
        return output.logits.numpy()
    if ours.representation_size or ours.classifier == "map":
        return output.pooler_output.numpy()
    if ours.pre_norm:  # CLIP: the last norm of the class token
        return output.pooler_output.numpy()
    count = 1 + ours.distillation_token
    return output.last_hidden_state[:, :count].mean(1).numpy()
