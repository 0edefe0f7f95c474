"""How long a training step takes: a lower bound, and the compiler's estimate."""

import dataclasses
import math

from jax.sharding import Mesh

from vit_jax.config import Config
from vit_jax.mesh.axes import RULES
from vit_jax.mesh.devices import Chip
from vit_jax.models import count_prefix, find_token_size
from vit_jax.plan.summary import Summary
from vit_jax.training.memory import CountedMemory


@dataclasses.dataclass(frozen=True)
class StepEstimate:
    """Seconds of a training step, and the rates that follow from them.

    Attributes:
      matrix: seconds of the model's matrix products at the chip's peak.
      memory: seconds of reading and writing state and activations once each, at the
        bandwidth of the memory.
      links: seconds of sending the collectives' bytes, at the bandwidth of all links.
      roofline: the largest of ``matrix``, ``memory`` and ``links``: no step is faster.
      compiler: seconds of the cycles that the TPU compiler estimates, at the chip's
        clock; None without an estimate.
      intensity: FLOPs per byte of memory traffic, as ``memory`` counts it.
      step: (least, most) seconds of a step, from ``compiler`` if there is an estimate,
        else from ``matrix`` and ``memory``: all communication is hidden behind
        computation, or none.
      images_per_s: (least, most) images per second, of all devices.
      mfu: (least, most) model FLOPs utilization, in [0, 1].
    """

    matrix: float
    memory: float
    links: float
    roofline: float
    compiler: float | None
    intensity: float
    step: tuple[float, float]
    images_per_s: tuple[float, float]
    mfu: tuple[float, float]


def estimate_step(
    config: Config,
    mesh: Mesh,
    chip: Chip,
    flops_per_image: int,
    memory: CountedMemory,
    summary: Summary | None,
) -> StepEstimate:
    """Predicts a training step on chips of the table.

    Args:
      config: resolved.
      mesh: of the chips.
      chip: from the table.
      flops_per_image: of training, two FLOPs per multiply-add.
      memory: counted, of one device.
      summary: of the compiled program; None: collectives are counted from shapes.
    """
    batch_size, num_devices = config.data.batch_size, mesh.devices.size
    flops = batch_size * flops_per_image / num_devices
    # Parameters and optimizer state are read and written, gradients and activations
    # written and read; activations once per micro-batch.
    state = memory.parameters + memory.moments + memory.gradients
    traffic = 2 * (state + memory.activations * config.train.accum_steps)
    if summary is None:
        sent = count_sent(config, mesh, memory)
    else:
        sent = sum(collective.sent for collective in summary.collectives)
    matrix = flops / chip.peak_flops
    moved = traffic / chip.memory_bandwidth
    links = sent / chip.link_bandwidth
    roofline = max(matrix, moved, links)
    compiler = None
    if summary is not None and summary.cycles and chip.clock:
        compiler = summary.cycles / chip.clock
    arithmetic = compiler or max(matrix, moved)
    step = max(arithmetic, links), arithmetic + links
    rates = batch_size / step[1], batch_size / step[0]
    mfu = [matrix / seconds for seconds in reversed(step)]
    return StepEstimate(
        matrix=matrix,
        memory=moved,
        links=links,
        roofline=roofline,
        compiler=compiler,
        intensity=flops / traffic,
        step=step,
        images_per_s=rates,
        mfu=(mfu[0], mfu[1]),
    )


def count_sent(config: Config, mesh: Mesh, memory: CountedMemory) -> int:
    """Counts the bytes that a device sends in a step, without compiling.

    Over ``data``, gradients are all-reduced. Over ``fsdp``, parameters are all-gathered
    before the forward and the backward pass of each micro-batch, and gradients are
    reduce-scattered (ZeRO stage 3, Rajbhandari et al. 2020, arXiv:1910.02054). Over
    ``tensor``, each layer all-reduces its residual branches twice in the forward and
    twice in the backward pass (Shoeybi et al. 2019, arXiv:1909.08053). All collectives
    use ring algorithms; parameters and gradients are float32.
    """
    data, fsdp, tensor = (mesh.shape[axis] for axis in ("data", "fsdp", "tensor"))
    model, micro_batches = config.model, config.train.accum_steps
    sent = 2 * memory.parameters * (data - 1) / data
    sent += memory.parameters * (fsdp - 1) * (2 * micro_batches + 1)
    if tensor > 1:
        assert model.hidden_size
        assert model.num_layers
        rows = math.prod(mesh.shape[axis] for axis in RULES["batch"])
        sizes = zip(config.data.image_size, find_token_size(model), strict=True)
        tokens = math.prod(side // token for side, token in sizes) + count_prefix(model)
        width = 2 if model.dtype == "bfloat16" else 4
        stream = config.data.batch_size / rows * tokens * model.hidden_size * width
        sent += 4 * model.num_layers * 2 * stream * (tensor - 1) / tensor
    return round(sent)
