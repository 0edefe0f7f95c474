"""The published models: one row each, under the name that its paper prints.

A row is a `ModelConfig` with the dimensions only. Published weights may need more
(`classifier`, `activation`, ...), which is stored with the weights.
"""

from typing import Any

from vit_jax.config import ModelConfig


def _vit(
    size: str, patch_sizes: tuple[int, ...], **dims: Any
) -> dict[str, ModelConfig]:
    """Returns a row for each patch size of one size of ViT."""
    return {
        f"ViT-{size}/{p}": ModelConfig(family="vit", patch_size=(p, p), **dims)
        for p in patch_sizes
    }


def _hybrid(
    resnet: str, size: str, patch: int, layers: tuple[int, ...], **dims: Any
) -> dict[str, ModelConfig]:
    """Returns the row of a hybrid; ``patch`` counts cells of the feature map."""
    row = ModelConfig(
        family="hybrid", patch_size=(patch, patch), resnet_layers=layers, **dims
    )
    return {f"{resnet}+ViT-{size}": row}


def _mixer(
    size: str,
    patch_sizes: tuple[int, ...],
    hidden_size: int,
    num_layers: int,
    **dims: Any,
) -> dict[str, ModelConfig]:
    """Returns a row for each patch size of one size of Mixer."""
    dims |= {"hidden_size": hidden_size, "num_layers": num_layers}
    return {
        f"Mixer-{size}/{p}": ModelConfig(family="mixer", patch_size=(p, p), **dims)
        for p in patch_sizes
    }


_TI: Any = {"hidden_size": 192, "num_layers": 12, "num_heads": 3, "mlp_dim": 768}
_S: Any = {"hidden_size": 384, "num_layers": 12, "num_heads": 6, "mlp_dim": 1536}
_M: Any = {"hidden_size": 512, "num_layers": 12, "num_heads": 8, "mlp_dim": 2048}
_B: Any = {"hidden_size": 768, "num_layers": 12, "num_heads": 12, "mlp_dim": 3072}
_L: Any = {"hidden_size": 1024, "num_layers": 24, "num_heads": 16, "mlp_dim": 4096}
_H: Any = {"hidden_size": 1280, "num_layers": 32, "num_heads": 16, "mlp_dim": 5120}

VARIANTS: dict[str, ModelConfig] = {
    # Ti and S: Touvron et al. 2021, DeiT (arXiv:2012.12877), table 1; /16 and /32 in
    # Steiner et al. 2022, AugReg (arXiv:2106.10270); S/8 in Caron et al. 2021, DINO
    # (arXiv:2104.14294); S/14 in Oquab et al. 2024, DINOv2 (arXiv:2304.07193).
    **_vit("Ti", (16,), **_TI),
    **_vit("S", (8, 14, 16, 32), **_S),
    # M: Touvron et al. 2022, DeiT III (arXiv:2204.07118), its released models.
    **_vit("M", (16,), **_M),
    # B, L, H: Dosovitskiy et al. 2021 (arXiv:2010.11929), table 1; B/8 in AugReg and
    # DINO; B/14 in DINOv2; L/14 in Radford et al. 2021, CLIP (arXiv:2103.00020).
    **_vit("B", (8, 14, 16, 32), **_B),
    **_vit("L", (14, 16, 32), **_L),
    **_vit("H", (14,), **_H),
    # Alabdulmohsin et al. 2023, SoViT (arXiv:2305.13035); /16 in Tschannen et al. 2025,
    # SigLIP 2 (arXiv:2502.14786).
    **_vit(
        "So400m", (14, 16), hidden_size=1152, num_layers=27, num_heads=16, mlp_dim=4304
    ),
    # Zhai et al. 2022, Scaling Vision Transformers (arXiv:2106.04560).
    **_vit("g", (14,), hidden_size=1408, num_layers=40, num_heads=16, mlp_dim=6144),
    **_vit("G", (14,), hidden_size=1664, num_layers=48, num_heads=16, mlp_dim=8192),
    # Chen et al. 2023, PaLI (arXiv:2209.06794).
    **_vit("e", (14,), hidden_size=1792, num_layers=56, num_heads=16, mlp_dim=15360),
    # Dehghani et al. 2023, ViT-22B (arXiv:2302.05442), table 1. The dimensions alone:
    # its parallel layers and missing biases are not built.
    **_vit("22B", (14,), hidden_size=6144, num_layers=48, num_heads=48, mlp_dim=24576),
    # Dosovitskiy et al. 2021, section 4.1: a ResNet-50 without its last stage, the
    # units of which move to the third, so that a token covers 16 x 16 pixels.
    **_hybrid("R50", "B/16", 1, (3, 4, 9), **_B),
    # AugReg (arXiv:2106.10270). The weights published as R+Ti/16 have one token for
    # 32 x 32 pixels, whatever the name says: the root divides by 4, the patch by 8.
    **_hybrid("R", "Ti/16", 8, (), **_TI),
    **_hybrid("R26", "S/32", 1, (2, 2, 2, 2), **_S),
    **_hybrid("R26", "B/32", 1, (2, 2, 2, 2), **_B),
    **_hybrid("R50", "L/32", 1, (3, 4, 6, 3), **_L),
    # Tolstikhin et al. 2021, MLP-Mixer (arXiv:2105.01601), table 1.
    **_mixer("S", (16, 32), 512, 8, mlp_dim=2048, tokens_mlp_dim=256),
    **_mixer("B", (16, 32), 768, 12, mlp_dim=3072, tokens_mlp_dim=384),
    **_mixer("L", (16, 32), 1024, 24, mlp_dim=4096, tokens_mlp_dim=512),
    **_mixer("H", (14,), 1280, 32, mlp_dim=5120, tokens_mlp_dim=640),
}
