"""How the layers of PyTorch become those of flax: the rules that its formats share."""

from vit_jax.checkpoints.trees import Rule

BLOCK = "Transformer/encoderblock_{i}"
ATTENTION = f"{BLOCK}/MultiHeadDotProductAttention_0"
MAP = "MAPHead_0"
MAP_ATTENTION = f"{MAP}/MultiHeadDotProductAttention_0"
QKV = ("query", "key", "value")


def map_same(theirs: str, ours: str) -> list[Rule]:
    """An array that is the same in both."""
    return [Rule(theirs, (ours,))]


def map_norm(theirs: str, ours: str) -> list[Rule]:
    """A norm: weight and bias, of one axis."""
    return [
        Rule(f"{theirs}.weight", (f"{ours}/scale",)),
        Rule(f"{theirs}.bias", (f"{ours}/bias",)),
    ]


def map_dense(theirs: str, ours: str) -> list[Rule]:
    """A linear layer: weight (out, in)."""
    return [
        Rule(f"{theirs}.weight", (f"{ours}/kernel",), "o i -> i o"),
        Rule(f"{theirs}.bias", (f"{ours}/bias",)),
    ]


def map_conv(theirs: str, ours: str) -> list[Rule]:
    """A convolution: weight (out, in, height, width)."""
    return [
        Rule(f"{theirs}.weight", (f"{ours}/kernel",), "o i h w -> h w i o"),
        Rule(f"{theirs}.bias", (f"{ours}/bias",)),
    ]


def map_heads(
    theirs: str,
    ours: str,
    names: tuple[str, ...],
    weight: str = ".weight",
    bias: str = ".bias",
) -> list[Rule]:
    """Projections to heads; several names share one array."""
    kernels = tuple(f"{ours}/{name}/kernel" for name in names)
    biases = tuple(f"{ours}/{name}/bias" for name in names)
    return [
        Rule(f"{theirs}{weight}", kernels, "(k e) i -> i k e"),
        Rule(f"{theirs}{bias}", biases, "(k e) -> k e"),
    ]


def map_out(theirs: str, ours: str) -> list[Rule]:
    """The projection from heads."""
    return [
        Rule(f"{theirs}.weight", (f"{ours}/out/kernel",), "o (k e) -> k e o"),
        Rule(f"{theirs}.bias", (f"{ours}/out/bias",)),
    ]


def map_mlp(
    theirs: str, ours: str, first: str = "fc1", second: str = "fc2"
) -> list[Rule]:
    """The MLP of a block."""
    return [
        *map_dense(f"{theirs}.{first}", f"{ours}/MlpBlock_0/Dense_0"),
        *map_dense(f"{theirs}.{second}", f"{ours}/MlpBlock_0/Dense_1"),
    ]
