"""Shows the doctest of a docstring's ``Example:`` as code."""

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Griffe knows the section by its plural alone."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            text = obj.docstring.value
            obj.docstring.value = text.replace("Example:\n", "Examples:\n")
