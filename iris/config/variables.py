"""`${NAME}` in a text of a configuration: what the environment puts there, and how a text that
happens to look like it is written.
"""

import re
from collections.abc import Mapping

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\$\{{({_NAME})(?::-([^{{}}]*))?\}}")
# What stands for a variable, and what would if its second dollar did not stand before it.
_BEGINNING = re.compile(r"(\$?)\$\{")
_SPELLINGS = "write ${NAME}, ${NAME:-what holds without it}, or $${ for a literal ${"


class BadVariable(Exception):
    """A `${` that stands for nothing; the text says what to write."""


def expand(text: str, environment: Mapping[str, str]) -> str:
    """The text with the variables' values. `${NAME:-text}` is `text` where the variable is unset or
    empty; `$${` is `${`. Raises BadVariable. Values are not expanded again.
    """
    parts, end = [], 0
    while found := _BEGINNING.search(text, end):
        parts.append(text[end : found.start()])
        if found[1]:
            parts.append("${")
            end = found.end()
            continue
        reference = _REFERENCE.match(text, found.start())
        if reference is None:
            raise BadVariable(f"'${{' in {text!r} is no variable; {_SPELLINGS}")
        parts.append(_value(reference, environment))
        end = reference.end()
    return "".join(parts) + text[end:]


def escape(text: str) -> str:
    """The spelling that `expand` makes `text` of, whatever the environment."""
    return text.replace("${", "$${")


def variables_in(text: str) -> tuple[str, ...]:
    """The names of the variables that a text refers to, in order, each once."""
    bare = text.replace("$${", "")
    return tuple(dict.fromkeys(found[1] for found in _REFERENCE.finditer(bare)))


def _value(reference: re.Match[str], environment: Mapping[str, str]) -> str:
    name, otherwise = reference[1], reference[2]
    value = environment.get(name)
    if otherwise is not None:
        return value or otherwise
    if value is None:
        raise BadVariable(
            f"the environment variable {name} is not set; set it, "
            f"or write ${{{name}:-what holds without it}}"
        )
    return value
