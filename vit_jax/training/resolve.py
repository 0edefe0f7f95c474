"""A run's config with nothing left open: the dimensions of its model."""

import contextlib
import dataclasses

from vit_jax import models, weights
from vit_jax.checkpoints.open import OpenOnce
from vit_jax.config import RUN_FIELDS, Config, ModelConfig
from vit_jax.errors import ConfigError
from vit_jax.storage import bucket

_DEFAULTS = ModelConfig()


def resolve_config(
    config: Config,
    saved: ModelConfig | None = None,
    start: OpenOnce | None = None,
) -> Config:
    """Fills in the model's dimensions and checks that they fit the images.

    A model of which neither variant nor width is given is that of the checkpoint that
    the run starts from, but for what the config does give.

    Args:
      config: of the run.
      saved: the model of the run that it resumes. What that once started from may be
        gone.
      start: the checkpoint that the run starts from, where the caller uses it too;
        None: it is opened here, if it is asked for its model.

    Raises:
      ConfigError: an unknown variant, a classifier with an answer for each patch, an
        image size that the patch does not divide, or a checkpoint that is asked for its
        model and cannot be had.
    """
    model = config.model
    if config.init.checkpoint and model.variant is None and model.hidden_size is None:
        start = start or OpenOnce(config.init.checkpoint)
        model = _with_choices(saved or _find_model(start), chosen=model)
    model = models.resolve_model(model)
    if model.classifier.endswith("unpooled"):
        raise ConfigError(
            "config.model.classifier must be token, gap or map to be trained, got "
            f'"{model.classifier}": labels are of images, not of patches; use gap'
        )
    models.check_image_size(model, config.data.image_size)
    return dataclasses.replace(config, model=model)


def _find_model(start: OpenOnce) -> ModelConfig:
    there = None
    if not bucket.find_location(start.name_or_path).exists():
        with contextlib.suppress(ConfigError):  # raised again when it is opened
            # Known before anything is fetched.
            there = weights.describe_published(str(start.name_or_path)).model
    there = there or start().model
    # A new head starts at zero: behind the old tanh it would only learn slower, and the
    # original leaves that out too.
    return dataclasses.replace(there, representation_size=None)


def _with_choices(model: ModelConfig, chosen: ModelConfig) -> ModelConfig:
    given = {
        name: value
        for name, value in vars(chosen).items()
        if name in RUN_FIELDS or value != getattr(_DEFAULTS, name)
    }
    return dataclasses.replace(model, **given)
