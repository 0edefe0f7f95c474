"""The same images through Hugging Face transformers, with a file written for it."""

import json
from pathlib import Path

import numpy as np

from vit_jax.checkpoints.record import Checkpoint


def run_transformers(
    path: Path, checkpoint: Checkpoint, images: np.ndarray
) -> tuple[str, np.ndarray]:
    """Returns what transformers makes of images [b h w c].

    Raises:
        ValueError: it expects other names than the file has.
    """
    import torch  # pyright: ignore[reportMissingImports]
    import transformers  # pyright: ignore[reportMissingImports]

    torch.set_grad_enabled(False)
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
    output = model.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return "transformers", _select(output, checkpoint).numpy()


def _select(output, checkpoint: Checkpoint):
    """Returns what our model has as its output."""
    ours = checkpoint.model
    if checkpoint.num_classes is not None:
        return output.logits
    # CLIP pools the last norm of the class token.
    if ours.representation_size or ours.classifier == "map" or ours.pre_norm:
        return output.pooler_output
    count = 1 + ours.distillation_token
    return output.last_hidden_state[:, :count].mean(1)
