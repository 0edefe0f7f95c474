"""Dataset presets: splits, steps of fine-tuning and numbers of classes of the papers' data.

`total_steps` are those of Dosovitskiy et al. 2021, table 4. The original keeps the last
percent or two of a training split for choosing the learning rate. `num_classes` is what
the data must have.
"""

from typing import Any

Preset = dict[str, Any]

DATASETS: dict[str, Preset] = {
    "cifar10": {
        "data": {"source": "tfds:cifar10", "train_split": "train[:98%]"},
        "total_steps": 10_000,
        "num_classes": 10,
    },
    "cifar100": {
        "data": {"source": "tfds:cifar100", "train_split": "train[:98%]"},
        "total_steps": 10_000,
        "num_classes": 100,
    },
    "imagenet2012": {
        "data": {
            "source": "tfds:imagenet2012",
            "train_split": "train[:99%]",
            "eval_split": "validation",
        },
        "total_steps": 20_000,
        "num_classes": 1000,
    },
    # TFDS has no ImageNet-21k. image-net.org gives a tar file for each synset, which
    # are read as they are: 21,841 in fall 2011 (the papers' weights have 21,843
    # classes), 19,167 in winter 2021. Steps: 90 epochs of 14.2 M at batch 4096.
    "imagenet21k": {
        "data": {
            "source": "tar:imagenet21k",
            "train_split": "train+test[1%:]",
            "eval_split": "test[:1%]",
        },
        "total_steps": 312_000,
        "num_classes": 21_843,
    },
    # Ridnik et al. 2021, "ImageNet-21K Pretraining for the Masses": winter 2021 without
    # classes of few images, resized. Name its two folders train and val.
    "imagenet21k_p": {
        "data": {"source": "folder:imagenet21k_p", "eval_split": "val"},
        "total_steps": 243_000,  # 90 epochs of 11.1 M at batch 4096
        "num_classes": 10_450,
    },
    "oxford_iiit_pet": {
        "data": {"source": "tfds:oxford_iiit_pet", "train_split": "train[:90%]"},
        "total_steps": 500,
        "num_classes": 37,
    },
    "oxford_flowers102": {
        "data": {"source": "tfds:oxford_flowers102", "train_split": "train"},
        "total_steps": 500,
        "num_classes": 102,
    },
    # One's own images: add --config.data.source=folder:DIR
    "folder": {"data": {"train_split": "train"}, "total_steps": 500},
    # No download, for a first look.
    "digits": {
        "data": {"source": "digits", "flip": False},
        "total_steps": 500,
        "num_classes": 10,
    },
}


def _vtab(
    source: str,
    num_classes: int,
    train_split: str,
    eval_split: str = "test",
    label: str | None = None,
) -> Preset:
    # VTAB looks at whole images, neither cropped nor mirrored (its appendix).
    data = {
        "source": f"tfds:{source}",
        "train_split": train_split,
        "eval_split": eval_split,
        "train_crop": "resize",
        "flip": False,
        "label": label,
    }
    return {"data": data, "total_steps": 2500, "num_classes": num_classes}


_VALIDATION = "train[:800]+validation[:200]"

# Zhai et al. 2019, table 2: 800 images to train on and 200 to validate with, both of
# which the final runs train on. Where a dataset has no validation split, VTAB takes it
# off the end of the training split, which is where the second slice begins.
DATASETS |= {
    "vtab/caltech101": _vtab("caltech101", 102, "train[:800]+train[2754:2954]"),
    "vtab/cifar100": _vtab("cifar100", 100, "train[:800]+train[45000:45200]"),
    "vtab/dtd": _vtab("dtd", 47, _VALIDATION),
    "vtab/flowers102": _vtab("oxford_flowers102", 102, _VALIDATION),
    "vtab/pets": _vtab("oxford_iiit_pet", 37, "train[:800]+train[2944:3144]"),
    "vtab/sun397": _vtab("sun397/tfds", 397, _VALIDATION),
    "vtab/svhn": _vtab("svhn_cropped", 10, "train[:800]+train[65931:66131]"),
    "vtab/patch_camelyon": _vtab("patch_camelyon", 2, _VALIDATION),
    "vtab/eurosat": _vtab(
        "eurosat/rgb", 10, "train[:800]+train[16200:16400]", "train[21600:]"
    ),
    "vtab/resisc45": _vtab(
        "resisc45", 45, "train[:800]+train[18900:19100]", "train[25200:]"
    ),
    "vtab/retinopathy": _vtab(
        "diabetic_retinopathy_detection/btgraham-300", 5, _VALIDATION
    ),
    "vtab/clevr_count": _vtab(
        "clevr", 8, "train[:800]+train[63000:63200]", "validation", "count_all"
    ),
    "vtab/clevr_distance": _vtab(
        "clevr", 6, "train[:800]+train[63000:63200]", "validation",
        "closest_object_distance",
    ),
    "vtab/dmlab": _vtab("dmlab", 6, _VALIDATION),
    "vtab/kitti": _vtab("kitti", 4, _VALIDATION, label="closest_vehicle_distance"),
    "vtab/dsprites_location": _vtab(
        "dsprites", 16, "train[:800]+train[589824:590024]", "train[663552:]",
        "x_position_16",
    ),
    "vtab/dsprites_orientation": _vtab(
        "dsprites", 16, "train[:800]+train[589824:590024]", "train[663552:]",
        "orientation_16",
    ),
    "vtab/smallnorb_azimuth": _vtab(
        "smallnorb", 18, "train[:800]+test[:200]", "test[50%:]", "label_azimuth"
    ),
    "vtab/smallnorb_elevation": _vtab(
        "smallnorb", 9, "train[:800]+test[:200]", "test[50%:]", "label_elevation"
    ),
}  # fmt: skip
