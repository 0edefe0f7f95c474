"""Choices about a model: its parts, and how they are computed."""

from vit_jax.config.choices.table import Choices

# Each a `models.family.Family`.
FAMILIES = Choices(
    "family",
    "config.model.family",
    {
        "vit": ("models.vit:FAMILY", "Vision Transformer (arXiv:2010.11929)"),
        "hybrid": ("models.resnet:FAMILY", "a ViT on the features of a ResNet"),
        "mixer": ("models.mixer:FAMILY", "MLP-Mixer (arXiv:2105.01601)"),
    },
)

# Each a `models.posemb.PositionKind`.
POSEMBS = Choices(
    "position embedding",
    "config.model.posemb",
    {
        "learned": ("models.posemb:LEARNED", "added to all tokens; ViT"),
        "learned2d": (
            "models.posemb:LEARNED2D",
            "rows and columns, added to the patches; ViT, appendix D.4",
        ),
        "sincos2d": (
            "models.posemb:SINCOS2D",
            "fixed, added to the patches; MoCo v3 and big_vision",
        ),
        "relative": (
            "models.posemb:RELATIVE",
            "a bias of the attention; ViT, appendix D.4",
        ),
        "rope2d": (
            "models.posemb:ROPE2D",
            "rotates queries and keys; RoPE-ViT (arXiv:2403.13298)",
        ),
        "none": ("models.posemb:NONE", "no position embedding"),
    },
)

# Each a `models.heads.Pooling`.
CLASSIFIERS = Choices(
    "classifier",
    "config.model.classifier",
    {
        "token": ("models.heads:TOKEN", "the class token"),
        "gap": ("models.heads:GAP", "the mean of the patches"),
        "map": ("models.heads:MAP", "attention of a learned probe to the patches"),
        "unpooled": (
            "models.heads:UNPOOLED",
            "logits of every patch; not for training",
        ),
        "token_unpooled": (
            "models.heads:TOKEN_UNPOOLED",
            "logits of the class token and every patch; not for training",
        ),
    },
)

# Each a `models.mlp.Activation`. The three GELUs differ by about 1e-3 at most, which is
# enough to spoil a comparison.
ACTIVATIONS = Choices(
    "activation",
    "config.model.activation",
    {
        "gelu_tanh": (
            "models.mlp:GELU_TANH",
            "GELU by tanh; the original and big_vision",
        ),
        "gelu": ("models.mlp:GELU", "GELU by erf; timm, DeiT and Hugging Face"),
        "quick_gelu": ("models.mlp:QUICK_GELU", "x sigmoid(1.702 x); OpenAI's CLIP"),
        "swiglu": ("models.mlp:SWIGLU", "gated SiLU (arXiv:2002.05202); DINOv2"),
    },
)

# Each a policy of `jax.checkpoint`; models/layers.py has the measured costs.
REMAT = Choices(
    "remat policy",
    "config.model.remat",
    {
        "none": (None, "keep all activations of a layer for its backward pass"),
        "dots": ("models.layers:keep_products", "keep the results of plain products"),
        "half": (
            "models.layers:keep_nothing",
            "keep everything in every second layer; not with scan",
        ),
        "full": ("models.layers:keep_nothing", "keep the inputs of layers alone"),
    },
)

# Called with (q, k, v, bias, dropout_rate, dropout_rng, lengths); see
# `models.attention.attend`.
ATTENTIONS = Choices(
    "attention",
    "config.model.attention",
    {
        "xla": ("models.attention:attend_with_xla", "compiled by XLA; on all devices"),
        "cudnn": (
            "models.attention:attend_with_cudnn",
            "NVIDIA's fused kernel; in bfloat16 or float16 on their GPUs",
        ),
    },
)

DTYPES = Choices(
    "dtype",
    "config.model.dtype",
    {
        "float32": (None, "full precision"),
        "bfloat16": (None, "half the memory; fast on TPUs and recent NVIDIA GPUs"),
        "float16": (None, "for older GPUs; a smaller range than bfloat16"),
    },
)
