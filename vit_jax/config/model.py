"""The model section of a config."""

import dataclasses

Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model. After ``models.resolve_model`` no dimension is None."""

    variant: str | None = None  # "ViT-B/16"; dimensions given explicitly override it
    patch_size: Pair | None = None  # (height, width) in pixels
    hidden_size: int | None = None
    num_layers: int | None = None
    num_heads: int | None = None
    mlp_dim: int | None = None
    classifier: str = "token"
    representation_size: int | None = None  # width of the tanh pre-logits; None: none
    posemb: str = "learned"
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    stochastic_depth_rate: float = 0.0
    stochastic_depth_rescale: bool = True  # divide a kept branch by its probability
    head_bias_init: float = 0.0
    dtype: str = "float32"  # of the computation; parameters stay float32
    family: str | None = None  # vit | hybrid | mixer; None: the variant's, else vit
    # Where published models differ from the original, whose values are the defaults.
    activation: str = "gelu_tanh"  # gelu (erf): timm, DeiT; quick_gelu: CLIP; swiglu
    layer_norm_epsilon: float = 1e-6  # 1e-5: CLIP; 1e-12: Hugging Face's own ViT
    patch_bias: bool = True  # of the patch embedding; CLIP has none
    posemb_prefix: bool = True  # rows for class token and registers; DeiT III: none
    num_registers: int = 0  # tokens without output (arXiv:2309.16588); DINOv2: 4
    distillation_token: bool = False  # with its own head; DeiT (arXiv:2012.12877)
    pre_norm: bool = False  # a LayerNorm before the blocks; CLIP (arXiv:2103.00020)
    fc_norm: bool = False  # the last LayerNorm follows the pooling; timm, MAE
    qk_norm: bool = False  # LayerNorm of queries and keys (arXiv:2302.05442)
    layer_scale_init: float | None = None  # None: none; CaiT (arXiv:2103.17239)
    # Hybrids: bottleneck units per stage, after the root; () is the root alone.
    resnet_layers: tuple[int, ...] | None = None
    resnet_width_factor: float = 1.0  # times 64 channels in the root
    tokens_mlp_dim: int | None = None  # Mixer: width of the MLP over the patches
    # How it is computed, not what: a checkpoint can be resumed with any of these.
    scan: bool = False  # compile one layer, not l; parameters are stacked
    remat: str = "none"  # what the backward pass computes again
    attention: str = "xla"  # cudnn: NVIDIA's fused kernel, in bfloat16 on their GPUs


# The last three fields at values that every device supports.
PLAIN = {"scan": False, "remat": "none", "attention": "xla"}

# What a run chooses for itself, whatever its weights were trained with: the arrays do not
# depend on it, nor what a trained model is meant to compute.
RUN_FIELDS = (
    "dropout_rate",
    "attention_dropout_rate",
    "stochastic_depth_rate",
    "stochastic_depth_rescale",
    "head_bias_init",
    "dtype",
    *PLAIN,
)
