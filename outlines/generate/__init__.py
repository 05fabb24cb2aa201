"""The constructors of Outlines before 1.0. Each warns with what to write now, and makes a `Generator`.

Other than then, what a generator gives is text, also for `json` and `format`; the arguments of a call are those of the
model's own library; and there are no samplers: give `do_sample`, `temperature`, `num_beams` and the like at the call.
"""

from outlines.generate.constructors import cfg, choice, format, fsm, json, regex, text

__all__ = ["cfg", "choice", "format", "fsm", "json", "regex", "text"]
