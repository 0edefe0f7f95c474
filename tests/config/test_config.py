"""The typed boundary: what is read, what is refused and in which words."""

import ast
import dataclasses
import json
import re
from pathlib import Path

import jax
import pytest

from vit_jax import models
from vit_jax.config import Config
from vit_jax.config.durations import resolve_steps
from vit_jax.config.file import load_config
from vit_jax.config.typed import from_dict
from vit_jax.errors import ConfigError
from vit_jax.models.init import init_params
from vit_jax.training.resolve import resolve_config
from vit_jax.weights.published import WEIGHTS

ROOT = Path(__file__).parent.parent.parent
RECIPES = sorted(
    p for p in (ROOT / "configs").glob("*.py") if p.stem not in ("common", "datasets")
)
DIGITS = str(ROOT / "configs" / "digits.py")


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_resolves_and_traces(path):
    config = resolve_config(load_config(str(path)))
    assert config.name == path.stem
    model = models.build_model(config.model, 10)
    params = jax.eval_shape(lambda: init_params(model, config.data.image_size, 0))
    assert params["head"]["kernel"].shape[-1] == 10
    assert resolve_steps(config, num_examples=50_000).total > 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_opens_with_paper_command_cost_and_result(path):
    header = ast.get_docstring(ast.parse(path.read_text()))
    assert header
    for word in ("Paper", "Command", "Cost", "Expected result"):
        assert re.search(rf"^{word}: \S", header, re.MULTILINE), f"{word} is missing"
    command = re.search(r"^Command: (.*)", header, re.MULTILINE)
    assert command
    assert f"--config=configs/{path.name}" in command[1]
    assert not re.search(r"tbd|todo|unknown|\?\?", header, re.IGNORECASE)


def test_recipes_do_not_import_jax():
    for path in (ROOT / "configs").glob("*.py"):
        names = re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(), re.MULTILINE)
        assert set(names) <= {"ml_collections", "configs", "typing"}, path


def test_every_field_is_read():
    # A key that nobody reads is an error; the same holds for our own fields.
    def walk(node):
        yield node
        for child in ast.iter_child_nodes(node):
            name = getattr(child, "name", None) or ""
            if name != "__post_init__" and not name.startswith("_check"):
                yield from walk(child)  # to check is not to use

    files = [path.read_text() for path in (ROOT / "vit_jax").rglob("*.py")]
    nodes = [node for text in files for node in walk(ast.parse(text))]
    read = {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    said = {n.value for n in nodes if isinstance(n, ast.Constant)}
    for section in dataclasses.fields(Config):
        fields = (
            dataclasses.fields(section.type)
            if dataclasses.is_dataclass(section.type)
            else [section]
        )
        for field in fields:
            # Durations are read by their stem, a model's options by their name.
            stem = re.sub(r"_(steps|epochs|examples|percent)$", "", field.name)
            assert field.name in read or {field.name, stem} & said, field.name


def test_overrides_are_typed():
    config = load_config(
        DIGITS,
        [
            "--config.seed=7",
            "--config.data.image_size=(16,24)",
            "--config.optim.learning_rate=1",
            "--config.data.flip=True",
            "--config.model.representation_size=48",
            '--config.optim.learning_rate_multipliers=(("head/.*",1.0),(".*",0.0))',
        ],
    )
    assert config.seed == 7
    assert config.data.image_size == (16, 24)
    assert config.optim.learning_rate == 1.0
    assert config.data.flip is True
    assert config.model.representation_size == 48
    assert config.optim.learning_rate_multipliers == (("head/.*", 1.0), (".*", 0.0))


def test_a_duration_typed_in_one_unit_replaces_the_files_other():
    config = load_config(DIGITS, ["--config.train.total_steps=5"])
    assert (config.train.total_steps, config.train.total_epochs) == (5, None)


def test_none_unsets_what_the_file_sets():
    unset = ["--config.model.variant=None", "--config.model.patch_size=None"]
    model = load_config(str(ROOT / "configs" / "vit_b16.py"), unset).model
    assert (model.variant, model.patch_size) == (None, None)
    with pytest.raises(ConfigError, match=r"config\.seed must have a value, got None"):
        load_config(DIGITS, ["--config.seed=None"])


@pytest.mark.parametrize("size", ["24", "(24,24)"])
def test_one_number_is_a_square(size):
    config = load_config(DIGITS, [f"--config.data.image_size={size}"])
    assert config.data.image_size == (24, 24)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "--config.optim.leaning_rate=1",
            'config.optim.leaning_rate; did you mean "lea',
        ),
        ("--config.optin.name=sgd", 'config.optin; did you mean "optim"'),
        ("--config.seed=x", "config.seed=x: invalid literal for int"),
        ("--config.optim=3", "is a section; set one of its keys"),
        ("--config.optim.name=adanw", 'adamw, got "adanw"; did you mean "adamw"'),
        ("--config.data.batch_size=0", "batch_size must be > 0, got 0"),
        ("--config.train.accum_steps=3", r"multiple of .*\(3\), got 128; try 129"),
        ("--config.data.crop_area=(0.9,0.1)", "crop_area must be"),
        ("--config.data.image_size=(1,2,3)", "must have 2 entries"),
        ("--config.train.label_smoothing=1.5", r"in \[0, 1\), got 1.5"),
        ("--config.optim.name=adam", "use --config.optim.name=adamw"),
        ("--config.seed=-1", r"config.seed must be in \[0, 2\*\*63\), got -1"),
        (f"--config.seed={2**63}", r"seed must be in \[0, 2\*\*63\), got 9"),
        ("--config.data.mixup=inf", "config.data.mixup must be finite and >= 0"),
        ("--config.optim.eps=-1", "config.optim.eps must be finite and > 0, got -1.0"),
        ("--config.data.value_range=(0.0,0.0)", "value_range must be"),
        ("--config.data.crop_aspect=(-1.0,1.0)", "crop_aspect must be > 0"),
        ("--config.data.eval_batch_size=-1", "eval_batch_size must be > 0, got -1"),
        ("--config.optim.learning_rate=nan", "learning_rate must be finite and >= 0"),
        ("--config.optim.clip_global_norm=-1", "clip_global_norm must be finite"),
        ("--config.optim.momentum=1", r"momentum must be in \[0, 1\), got 1"),
        ("extra", "unrecognised argument extra"),
    ],
)
def test_a_bad_override_says_what_to_type(override, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(DIGITS, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "size", "total_steps"),
    [
        (["data.image_size=16", "data.image_size=32"], (32, 32), None),
        (["data.image_size=(16,24)", "data.image_size=(24,16)"], (24, 16), None),
        (["train.total_steps=5", "train.total_steps=None"], (16, 16), None),
        (["train.total_steps=None", "train.total_steps=5"], (16, 16), 5),
    ],
)
def test_an_override_given_twice_has_its_last_value(given, size, total_steps):
    overrides = [f"--config.{override}" for override in given]
    config = load_config(DIGITS, overrides)
    assert config.data.image_size == size
    assert config.train.total_steps == total_steps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "must define get_config"),
        ("def get_config(:", "cannot be loaded"),
        ("def get_config(): return nothing", "NameError: name 'nothing' is not def"),
        ("def get_config(): return None", "must return a ConfigDict, got None"),
        ("def get_config(): return {'nme': 'x'}", 'config.nme; did you mean "name"'),
        (
            "def get_config(): return {'name': 'x'}",
            r"config.data.source is missing; add",
        ),
        ("def get_config(): return {'name': 3}", "config.name must be of type str"),
        (
            "def get_config(): return {'name': 'x', 'data': 3}",
            "data must be a section, got 3",
        ),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_file_names_a_close_one():
    with pytest.raises(ConfigError, match='does not exist; did you mean "digits"'):
        load_config("digit")


def test_a_packaged_recipe_is_found_by_name():
    assert load_config("digits") == load_config(DIGITS)


def test_an_argument_that_nobody_takes_is_told():
    with pytest.raises(ConfigError, match="takes no argument"):
        load_config(DIGITS + ":cifar10")


def test_config_survives_json():
    config = resolve_config(load_config(DIGITS))
    again = json.loads(json.dumps(dataclasses.asdict(config)))
    assert from_dict(Config, again) == config


def test_every_variant_has_a_recipe():
    variants = {load_config(str(path)).model.variant for path in RECIPES}
    assert set(models.VARIANTS) <= variants


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipes_fit_the_weights_that_they_name(path):
    config = resolve_config(load_config(str(path)))
    if config.init.checkpoint is None:
        return
    there = models.resolve_model(WEIGHTS[config.init.checkpoint].model)
    # What a run may choose for itself; everything else is the weights' own.
    free = {"representation_size": None, "dropout_rate": 0.0}
    assert dataclasses.replace(config.model, **free) == dataclasses.replace(
        there, **free
    )


@pytest.mark.parametrize("dataset", ["cifar100", "imagenet2012", "folder", "digits"])
def test_fine_tuning_takes_a_dataset(dataset):
    overrides = ["--config.data.source=folder:x"] if dataset == "folder" else []
    config = load_config(str(ROOT / "configs" / f"vit_b16.py:{dataset}"), overrides)
    assert config.train.total_steps
    with pytest.raises(ConfigError, match=r'must be one of cifar10, .* got "nope"'):
        load_config(str(ROOT / "configs" / "vit_b16.py:nope"))


def test_strengths_of_augreg():
    recipe = str(ROOT / "configs" / "pretrain_augreg.py")

    def load(choice):
        config = load_config(f"{recipe}:{choice}")
        rates = config.model.dropout_rate, config.model.stochastic_depth_rate
        return config.data.randaugment, config.data.mixup, rates

    # Steiner et al. 2022, section 3.3.
    assert load("S_16,digits,none") == ((0, 0), 0, (0, 0))
    assert load("S_16,digits,light1") == ((2, 0), 0, (0, 0))
    assert load("S_16,digits,light2") == ((2, 10), 0.2, (0, 0))
    assert load("S_16,digits,medium1,regularized") == ((2, 15), 0.2, (0.1, 0.1))
    assert load("S_16,digits,medium2") == ((2, 15), 0.5, (0, 0))
    assert load("S_16,digits,regularized,strong1") == ((2, 20), 0.5, (0.1, 0.1))
    assert load("S_16,digits,strong2") == ((2, 20), 0.8, (0, 0))
    # Less data, more augmentation.
    assert load("B_16") == load("B_16,imagenet2012") == load("B_16,digits,medium2")
    assert load("B_16,imagenet21k") == load("B_16,digits,light2")
    for choice in ("B_17", "B_16,nope", "B_16,digits,strong9"):
        with pytest.raises(ConfigError, match="must be one of"):
            load(choice)
