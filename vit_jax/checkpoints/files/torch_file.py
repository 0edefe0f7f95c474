"""PyTorch's .bin and .pth, read by PyTorch itself, where it is installed.

They are pickles: ``weights_only`` lets no code in them run.
"""

from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.checkpoints.files.storage import make_damage_error
from vit_jax.checkpoints.lazy import BFLOAT16, Lazy, Rows
from vit_jax.errors import ConfigError

# Keys under which training programs store the parameters.
_WRAPPERS = ("model_ema", "model", "state_dict", "module", "teacher")


def is_torch_file(start: bytes, names: list[str]) -> bool:
    """Returns whether the first bytes, or the members of a zip file, are PyTorch's."""
    return start[:2] == b"\x80\x02" or any(n.endswith("/data.pkl") for n in names)


def read_torch_file(path: Path) -> dict[str, Lazy]:
    """Returns name -> array of a state dict.

    Raises:
        ConfigError: PyTorch is not installed, or the file is not a state dict.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(
            f"{path} needs PyTorch to be read; get the same weights as .safetensors, or "
            'pip install "vit_jax[torch]"'
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        raise make_damage_error(path, error) from error
    for _ in range(2):
        inner = [state[k] for k in _WRAPPERS if isinstance(state, dict) and k in state]
        state = next((x for x in inner if isinstance(x, dict)), state)
    if not isinstance(state, dict):
        raise ConfigError(f"{path} must hold a state dict, got {type(state).__name__}")
    return {
        str(name): _make_lazy(tensor)
        for name, tensor in state.items()
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
    }


def _make_lazy(tensor: Any) -> Lazy:
    import torch  # pyright: ignore[reportMissingImports]

    is_bfloat16 = tensor.dtype == torch.bfloat16
    dtype = BFLOAT16 if is_bfloat16 else np.dtype(str(tensor.dtype).split(".")[1])

    def read(rows: Rows | None) -> np.ndarray:
        part = tensor.detach() if rows is None else tensor.detach()[slice(*rows)]
        part = part.contiguous()
        if is_bfloat16:
            return part.view(torch.int16).numpy().view(BFLOAT16)
        return part.numpy()

    return Lazy(tuple(tensor.shape), dtype, read)
