"""What a source of images is, and how one is opened: the protocols a new one follows."""

from typing import Any, Protocol

from vit_jax.config import DataConfig


class Source(Protocol):
    """One split of a data set, in a fixed order, read by any number of threads.

    Example ``i`` is a dictionary: ``image`` is encoded (bytes) or uint8 [h, w, c],
    ``label`` an int in [0, num_classes), ``name`` what an error calls it. The same
    ``i`` always gives the same example: a resumed run repeats the order of the run
    before it by asking for the same indices. An image that cannot be read is reported
    by raising OSError with ``filename`` and ``strerror``.

    With ``data.num_workers``, a source is pickled and sent to each process.

    Attributes:
      multi_label: whether labels are uint8 [num_classes] of zeros and ones, rather
        than one int.
      class_names: in the order of the labels; None: numbers are all there is.
      num_classes: how many.
      num_examples: the length.

    Example:
      >>> class Squares:
      ...     multi_label, class_names = False, ("dark", "bright")
      ...     num_classes, num_examples = 2, 100
      ...     def __len__(self):
      ...         return self.num_examples
      ...     def __getitem__(self, index):
      ...         image = np.full((8, 8, 3), 2 * index, np.uint8)
      ...         return {"image": image, "label": index // 50, "name": f"#{index}"}
    """

    multi_label: bool
    class_names: tuple[str, ...] | None
    num_classes: int
    num_examples: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


class SourceOpener(Protocol):
    """Opens one kind of source: the rows of ``config.choices.SOURCES``.

    A kind of your own is added with ``SOURCES.register``, and chosen by
    ``config.data.source = "mine:..."``: docs/your_own.md has an example that runs.
    """

    def __call__(self, location: str, split: str, data: DataConfig, /) -> Source:
        """Returns a split.

        Args:
          location: what follows the kind's name and colon in ``data.source``; a path
            or URL where the kind was recognized by it; "" for a name alone.
          split: a TFDS split string; `splits.resolve_split` reads it.
          data: the rest of the section, such as ``data_dir`` and ``label``.

        Raises:
          ConfigError: there is no such location or split.
        """
        ...
