"""Some patches of each image enter the blocks: what masked pre-training encodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.tiny import IMAGES, tiny
from vit_jax import models
from vit_jax.config.choices import POSEMBS, Choice
from vit_jax.errors import ConfigError
from vit_jax.models import posemb
from vit_jax.models.init import init_params

MODEL = models.build_model(tiny(num_registers=2), None)  # the class token's features
PARAMS = init_params(MODEL, IMAGES[1:3], seed=0)
IMAGE = jax.random.normal(jax.random.key(1), IMAGES, jnp.float32)


@jax.jit
def encode(images: jax.Array, keep: jax.Array) -> jax.Array:
    return MODEL.apply({"params": PARAMS}, images, train=False, keep_tokens=keep)


def test_all_of_them_are_the_whole_image_in_any_order():
    whole = MODEL.apply({"params": PARAMS}, IMAGE, train=False)
    order = jnp.stack([jnp.arange(9), jnp.arange(9)[::-1]])
    np.testing.assert_allclose(encode(IMAGE, order), whole, atol=1e-5)


def test_what_is_dropped_has_no_part_in_it():
    keep = jnp.asarray([[0, 4, 5], [8, 1, 2]])
    kept = encode(IMAGE, keep)
    changed = np.array(IMAGE)
    changed[0, 16:] = 7.0  # patches 6, 7 and 8
    changed[1, 8:16] = 7.0  # patches 3, 4 and 5
    np.testing.assert_array_equal(encode(jnp.asarray(changed), keep), kept)
    changed[1, 16:, 16:] = 7.0  # patch 8
    found = encode(jnp.asarray(changed), keep)
    np.testing.assert_array_equal(found[0], kept[0])
    assert np.abs(found[1] - kept[1]).max() > 1e-3


@pytest.fixture
def both(monkeypatch):
    """A position embedding that is added to the tokens and acts in the attention, too."""
    kind = posemb.LEARNED._replace(make_angles=posemb.ROPE2D.make_angles)
    monkeypatch.setitem(POSEMBS._rows, "both", Choice(kind, ""))


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("kind", ["rope2d", "relative", "both"])
def test_positions_in_the_attention_are_refused(kind):
    model = models.build_model(tiny(posemb=kind), None)
    keep = jnp.zeros((2, 1), jnp.int32)
    with pytest.raises(ConfigError, match=rf'must be added to .*got "{kind}"'):
        jax.eval_shape(
            lambda: model.init(jax.random.key(0), IMAGE, train=False, keep_tokens=keep)
        )
