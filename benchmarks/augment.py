"""What augmentation costs on the host and on the device, to decide where it belongs.

    python benchmarks/augment.py --output benchmarks/results/augment_cpu.json
    python benchmarks/augment.py --topology=v5e:2x2    # with libtpu, on any machine

Host: microseconds of one CPU for an image of 224x224, by Pillow and NumPy, but
RandAugment by the program itself. Device: microseconds for an image of the jitted
function on the device that there is; for a TPU by its compiler's estimated cycles, of
a batch of 128 on one chip. RandAugment on the device is a lower bound: the look-ups
alone. `--step_images_per_s` gives the share of a training step of so many images.
"""

import argparse
import functools
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from vit_jax.data.augment import color, device, erasing
from vit_jax.data.augment.randaugment import apply_randaugment
from vit_jax.mesh.devices import find_chip
from vit_jax.plan.summary import summarise
from vit_jax.plan.topology import describe_tpu

BATCH, SIDE = 128, 224

Device = Callable[[jax.Array, jax.Array], jax.Array]
Host = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description="Augmentation on host and device.")
    parser.add_argument("--topology", help="a TPU that is not here, such as v5e:2x2")
    parser.add_argument(
        "--step_images_per_s", type=float, help="of the chip, without augmentation"
    )
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
    device = (
        describe_tpu(arguments.topology)[0] if arguments.topology else jax.devices()[0]
    )
    results: dict[str, Any] = {"us_per_image": {}}
    for name, (on_device, on_host) in operations().items():
        row = {"host": measure_host(on_host, images)}
        if arguments.topology:
            row["device"] = estimate(on_device, images, device)
        else:
            row["device"] = measure_device(on_device, images)
        if arguments.step_images_per_s:
            share = row["device"] * arguments.step_images_per_s / 1e6
            row["share_of_a_step"] = round(share, 3)
        results["us_per_image"][name] = row
    results |= {
        "device": f"{device.device_kind}, host {platform.machine()}",
        "versions": {
            name: metadata.version(name) for name in ("jax", "pillow", "numpy")
        },
        "command": f"python benchmarks/augment.py {' '.join(sys.argv[1:])}",
    }
    print(json.dumps(results, indent=2))
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


def operations() -> dict[str, tuple[Device, Host]]:
    return {
        "flip": (
            device.flip_images,
            lambda image, rng: np.ascontiguousarray(image[:, ::-1]),
        ),
        "RandAugment(2, 15)": (
            look_ups,
            functools.partial(apply_randaugment, num_operations=2, magnitude=15.0),
        ),
        "3-Augment": (color.apply_three_augment, pillow_three_augment),
        "color jitter 0.3": (
            functools.partial(color.jitter_color, strength=0.3),
            pillow_color_jitter,
        ),
        "random erasing": (
            functools.partial(erasing.erase_rectangle, probability=1.0),
            numpy_erase,
        ),
    }


def measure_host(function: Host, images: np.ndarray) -> float:
    """Returns the least of three mean CPU times, in microseconds an image."""
    times = []
    for _ in range(3):
        rng = np.random.default_rng(0)
        start = time.process_time()
        for image in images:
            function(image, rng)
        times.append((time.process_time() - start) / len(images) * 1e6)
    return round(min(times), 1)


def measure_device(function: Device, images: np.ndarray) -> float:
    """Returns microseconds an image: wall time of a device, CPU time where it is one."""
    on_cpu = jax.default_backend() == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    compiled = jax.jit(function)
    batch, key = jax.device_put(images), jax.random.key(0)
    jax.block_until_ready(compiled(batch, key))
    times = []
    for _ in range(3 if on_cpu else 20):
        start = clock()
        jax.block_until_ready(compiled(batch, key))
        times.append((clock() - start) / len(images) * 1e6)
    return round(min(times), 1)


def estimate(function: Device, images: np.ndarray, device: Any) -> float:
    """Returns microseconds an image by the compiler's cycles at the chip's clock."""
    sharding = jax.sharding.SingleDeviceSharding(device)
    shape = jax.ShapeDtypeStruct(images.shape, images.dtype, sharding=sharding)
    key = jax.eval_shape(lambda: jax.random.key(0))
    key = jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=sharding)
    text = jax.jit(function).lower(shape, key).compile().as_text()
    summary, chip = summarise(text or ""), find_chip(device.device_kind)
    assert summary.cycles is not None
    assert chip is not None
    assert chip.clock
    return round(summary.cycles / chip.clock / len(images) * 1e6, 1)


def look_ups(images: jax.Array, key: jax.Array) -> jax.Array:
    """The two look-ups that RandAugment needs in each of its two rounds, and no more.

    Each image moves its own way, to the nearest pixel, and changes its values by its own
    table; an accelerator has no branch for images that draw neither.
    """
    for part in range(2):
        shift, scale = jax.random.uniform(
            jax.random.fold_in(key, part), (2, BATCH, 1, 1)
        )
        y, x = (axis.astype(jnp.float32)[None] for axis in jnp.mgrid[:SIDE, :SIDE])
        rows = jnp.clip(jnp.round(y + 0.3 * shift * x), 0, SIDE - 1)
        columns = jnp.clip(jnp.round(x - 0.3 * shift * y), 0, SIDE - 1)
        index = (rows * SIDE + columns).astype(jnp.int32).reshape(BATCH, -1, 1)
        flat = jnp.take_along_axis(images.reshape(BATCH, -1, 3), index, axis=1)
        table = jnp.arange(256, dtype=jnp.float32)[None, :, None] * scale
        table = jnp.broadcast_to(table, (BATCH, 256, 3)).astype(jnp.uint8)
        flat = jnp.take_along_axis(table, flat.astype(jnp.int32), axis=1)
        images = flat.reshape(images.shape)
    return images


def pillow_three_augment(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    picture = Image.fromarray(image)
    changes = (
        lambda: picture.convert("L").convert("RGB"),
        lambda: ImageOps.solarize(picture, 128),
        lambda: picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0))),
    )
    return np.asarray(changes[rng.integers(0, 3)]())


def pillow_color_jitter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    picture = Image.fromarray(image)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = change(picture).enhance(rng.uniform(0.7, 1.3))
    return np.asarray(picture)


def numpy_erase(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = int(np.sqrt(rng.uniform(0.02, 0.33)) * SIDE)
    top, left = rng.integers(0, SIDE - side, 2)
    image = image.copy()
    noise = rng.integers(0, 256, (side, side, 3), np.uint8)
    image[top : top + side, left : left + side] = noise
    return image


if __name__ == "__main__":
    main()
