"""Applications: a prompt's template and an output type, ready for any model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outlines.generator import Generator
from outlines.templates import Template

__all__ = ["Application"]


class Application:
    """A template and an output type, called with a model and the template's values.

    Parameters
    ----------
    template
        A `Template`, or any callable that gives the prompt for the values by name.
    output_type
        What the text is to be; None leaves it free.

    Attributes
    ----------
    template, output_type
    model
        That of the last call, None before.
    generator
        Made for that model, and used as long as the model stays the same.
    """

    def __init__(self, template: Template | Callable[..., Any], output_type: Any | None = None):
        self.template = template
        self.output_type = output_type
        self.model: Any = None
        self.generator: Any = None

    def __call__(self, model: Any, template_vars: dict[str, Any], **inference_kwargs: Any) -> Any:
        """Generate a text with a model; of an asynchronous model a coroutine.

        Parameters
        ----------
        model
            The model.
        template_vars
            The template's values by name.
        **inference_kwargs
            For the model's own library.

        Raises
        ------
        ValueError
            If there is no model.
        """
        if model is None:
            raise ValueError("an application needs a model: give the one that is to write the text")
        if model != self.model:
            self.model = model
            self.generator = Generator(model, self.output_type)
        return self.generator(self.template(**template_vars), **inference_kwargs)
