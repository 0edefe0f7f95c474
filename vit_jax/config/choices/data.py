"""Choices about data: where images come from, and what is done to each."""

from vit_jax.config.choices.table import Choice, Choices

# Called with (what follows the name and its colon, split, DataConfig); see
# data/sources/source.py.
SOURCES = Choices(
    "source",
    "config.data.source",
    {
        "digits": Choice(
            "data.sources.digits:open_digits",
            "1,797 handwritten digits; nothing to download",
            form="digits",
        ),
        "folder": Choice(
            "data.sources.folders:open_folder",
            "images, in one folder for each class",
            form="folder:DIR",
        ),
        "table": Choice(
            "data.sources.tables:open_table",
            "paths and labels in a CSV, TSV or JSON lines file",
            form="table:FILE",
            suffixes=(".csv", ".tsv", ".jsonl"),
        ),
        "tar": Choice(
            "data.sources.tars:open_tars",
            "tar files, as WebDataset and ImageNet have them",
            form="tar:DIR",
            suffixes=(".tar",),
        ),
        "parquet": Choice(
            "data.sources.parquet:open_parquet",
            "image datasets as Hugging Face stores them",
            form="parquet:DIR",
            suffixes=(".parquet",),
        ),
        "tfds": Choice(
            "data.sources.tfds:open_tfds",
            "a TFDS dataset in ArrayRecord files",
            form="tfds:NAME[/CONFIG][:VERSION]",
        ),
    },
)

# Called with (random generator, size of the image, crop_area, crop_aspect).
TRAIN_CROPS = Choices(
    "training crop",
    "config.data.train_crop",
    {
        "inception": (
            "data.images.crops:sample_box",
            "a random box, sized by crop_area and crop_aspect",
        ),
        "resize": ("data.images.crops:take_whole", "the whole image"),
    },
)

# Called with (image, Preprocessing, out).
EVAL_CROPS = Choices(
    "evaluation crop",
    "config.data.eval_crop",
    {
        "resize": (
            "data.images.crops:resize_whole",
            "the whole image, its shape changed if need be",
        ),
        "center": (
            "data.images.crops:crop_center",
            "the centre, eval_crop_fraction of the tighter side",
        ),
    },
)

# Called with (image, size, out).
INTERPOLATIONS = Choices(
    "interpolation",
    "config.data.interpolation",
    {
        "bilinear": (
            "data.images.crops:resize_bilinear",
            "two by two neighbours whatever the scale, as the original",
        ),
        "area": (
            "data.images.crops:resize_area",
            "the mean of the covered pixels when shrinking, else bilinear",
        ),
        "bilinear_antialias": (
            "data.images.crops:resize_bilinear_antialias",
            "the kernel widens with the scale, as in Pillow and torchvision",
        ),
        "bicubic": (
            "data.images.crops:resize_bicubic",
            "Pillow's, antialiased; most timm and torchvision weights",
        ),
    },
)

# Called with (images, key), inside the training step.
AUGMENTATIONS = Choices(
    "augmentation",
    "config.data.augment",
    {
        "none": ("data.augment.device:keep_images", "nothing"),
        "three": (
            "data.augment.color:apply_three_augment",
            "3-Augment: grayscale, solarization or blur (DeiT III)",
        ),
    },
)
