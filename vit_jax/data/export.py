"""A split written as PNG files, one folder per class: to look at, or to train on."""

import os
from pathlib import Path

from vit_jax.config import DataConfig
from vit_jax.data.images.decode import decode
from vit_jax.data.sources.registry import make_source
from vit_jax.errors import ConfigError


def export_images(
    source: str,
    output: str | Path,
    split: str = "test",
    data_dir: str | None = None,
) -> int:
    """Writes ``OUTPUT/CLASS/INDEX.png`` for every image; returns how many.

    Args:
      source: as ``data.source`` in a config.
      output: a folder; made if need be.
      split: a split string, such as ``test[:8]``.
      data_dir: the folder of TFDS datasets.

    Raises:
      ConfigError: no such source or split, several labels per image, or the folder
        cannot be written to.
    """
    from PIL import Image

    # An export reads bytes: sizes play no part.
    data = DataConfig(source=source, data_dir=data_dir, image_size=(1, 1), batch_size=1)
    images = make_source(data, split)
    if images.multi_label:
        raise ConfigError(
            "images must have one label each to be sorted into folders, got several in "
            f"{source}"
        )
    digits = len(str(len(images) - 1))
    try:
        for i in range(len(images)):
            example = images[i]
            label = example["label"]
            name = images.class_names[label] if images.class_names else str(label)
            folder = Path(output) / name.replace(os.sep, "_")
            folder.mkdir(parents=True, exist_ok=True)
            pixels = decode(example["image"], name=example["name"])
            Image.fromarray(pixels).save(folder / f"{i:0{digits}}.png")
    except OSError as error:
        raise ConfigError(
            f"output {output} cannot be written to: {error.strerror}; name another "
            "folder"
        ) from error
    return len(images)
