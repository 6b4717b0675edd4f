"""One YAML scalar -> one value of a field: type, spelling, bounds and pattern."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import yaml

from iris.config.errors import shown, suggestion
from iris.config.quantities import format_duration, parse_cpu, parse_duration, parse_size
from iris.config.schema import FieldSchema, Kind, Variables, enum_names
from iris.config.variables import BadVariable, expand, variables_in
from iris.config.yaml_nodes import describe
from iris.model.errors import InvalidArgument
from iris.model.resources import format_amount, format_bytes

Value = str | bool | int | float | timedelta

T = TypeVar("T")
N = TypeVar("N", int, float)

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?", re.IGNORECASE)
_TAG = "tag:yaml.org,2002:"
_AMOUNT_TAGS = frozenset({f"{_TAG}str", f"{_TAG}int", f"{_TAG}float"})
_TRUE = frozenset({"true", "yes", "on"})


class BadValue(Exception):
    """A value that cannot stand there; the text says what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What texts in a configuration are completed with.

    Attributes:
        folder: Relative paths lie below it.
        home: `~` and `$HOME` in paths; asked for only where it is written, because not every user
            has one.
        environment: What `${NAME}` stands for, where it may be written.
    """

    folder: Path
    home: Callable[[], Path]
    environment: Mapping[str, str] = field(default_factory=dict)


def read_scalar(field: FieldSchema, node: yaml.Node, surroundings: Surroundings) -> Value:
    """The value of a node. Raises BadValue."""
    if not isinstance(node, yaml.ScalarNode):
        raise _wrong_type(field, node)
    if field.variables is Variables.REFUSED and (named := variables_in(node.value)):
        raise BadValue(
            f"${{{named[0]}}} is not replaced here; environment variables may stand in hosts, "
            "users, paths, names of a cloud's or Slurm's things, and bootstrap.environment"
        )
    if field.kind is Kind.TEXT:
        return _text(field, node, surroundings)
    if field.kind is Kind.PATH:
        return _path(field, node, surroundings)
    return _READERS[field.kind](field, node)


def _text(field: FieldSchema, node: yaml.ScalarNode, surroundings: Surroundings) -> str:
    if node.tag != f"{_TAG}str":
        hint = "" if node.tag == f"{_TAG}null" else f'; write it in quotes: "{node.value}"'
        raise BadValue(f"expected text, found {describe(node)}{hint}")
    text = str(node.value)
    if field.variables is Variables.EXPANDED:
        try:
            text = expand(text, surroundings.environment)
        except BadVariable as error:
            raise BadValue(str(error)) from error
    if field.pattern is not None and not field.pattern.fullmatch(text):
        raise BadValue(f"{shown(text)} does not match {field.pattern.pattern}")
    return text


def _path(field: FieldSchema, node: yaml.ScalarNode, surroundings: Surroundings) -> str:
    try:
        if "HOME" in variables_in(node.value):
            home = {"HOME": str(surroundings.home())}
            environment = {**surroundings.environment, **home}
            surroundings = replace(surroundings, environment=environment)
        text = _text(field, node, surroundings)
        if not text:
            return ""
        if "\0" in text:
            raise BadValue(f"{shown(text)} is not a path")
        match = re.fullmatch(r"(?:~|\$HOME)(?:/+(.*))?", text, re.DOTALL)
        home_or_folder = surroundings.home() if match else surroundings.folder
    except RuntimeError as error:
        raise BadValue(
            f"{shown(node.value)} needs a home folder, and this user has none"
        ) from error
    return os.path.normpath(home_or_folder / ((match[1] or "") if match else text))


def _bool(field: FieldSchema, node: yaml.ScalarNode) -> bool:
    if node.tag != f"{_TAG}bool":
        raise _wrong_type(field, node)
    return node.value.lower() in _TRUE


def _integer(field: FieldSchema, node: yaml.ScalarNode) -> int:
    # By our own rule: YAML 1.1 would read 010 as 8 and 1:30 as 90.
    if node.tag != f"{_TAG}int" or not _INTEGER.fullmatch(node.value):
        raise _wrong_type(field, node)
    return _bounded(field, int(node.value), node)


def _number(field: FieldSchema, node: yaml.ScalarNode) -> float:
    # YAML has more spellings (.5, 1_000, 1:30, .inf, and 1e6 for a text) than people expect.
    if node.tag not in _AMOUNT_TAGS or not _NUMBER.fullmatch(node.value):
        raise _wrong_type(field, node)
    number = float(node.value)
    if field.minimum is None and number <= 0:
        raise BadValue(f"{node.value} has to be more than zero")
    return _bounded(field, number, node)


def _amount(parse: Callable[[str], int]) -> Callable[[FieldSchema, yaml.ScalarNode], int]:
    def read(field: FieldSchema, node: yaml.ScalarNode) -> int:
        return _bounded(field, _parsed(parse, field, node), node)

    return read


def _duration(field: FieldSchema, node: yaml.ScalarNode) -> timedelta:
    duration = _parsed(parse_duration, field, node)
    if field.minimum is None and not duration:
        raise BadValue(f"{shown(node.value)} has to be more than zero")
    _bounded(field, duration.total_seconds(), node)
    return duration


def _enum(field: FieldSchema, node: yaml.ScalarNode) -> int:
    assert field.enum is not None
    names = enum_names(field.enum)
    if node.tag != f"{_TAG}str":
        raise BadValue(f"expected one of {', '.join(names)}, found {describe(node)}")
    number = names.get(node.value.upper())
    if number is None:
        raise BadValue(
            f"unknown value {shown(node.value)}, {suggestion(node.value.upper(), names)}"
        )
    return number


_READERS: dict[Kind, Callable[[FieldSchema, yaml.ScalarNode], Value]] = {
    Kind.BOOL: _bool,
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.BYTES: _amount(parse_size),
    Kind.CPU_MILLIS: _amount(parse_cpu),
    Kind.DURATION: _duration,
    Kind.ENUM: _enum,
}

_FORMATS: dict[Kind, Callable[[int], str]] = {
    Kind.BYTES: format_bytes,
    Kind.CPU_MILLIS: lambda millis: format_amount("cpu", millis),
    Kind.DURATION: lambda seconds: format_duration(timedelta(seconds=seconds)),
}


def _parsed(parse: Callable[[str], T], field: FieldSchema, node: yaml.ScalarNode) -> T:
    if node.tag not in _AMOUNT_TAGS:
        raise _wrong_type(field, node)
    try:
        return parse(node.value)
    except InvalidArgument as error:
        raise BadValue(f"{error.problem.rstrip('.')}; expected {field.kind.value}") from error


def _bounded(field: FieldSchema, number: N, node: yaml.ScalarNode) -> N:
    form = _FORMATS.get(field.kind, str)
    if field.minimum is not None and number < field.minimum:
        raise BadValue(f"{node.value} is less than the minimum, {form(field.minimum)}")
    if field.maximum is not None and number > field.maximum:
        raise BadValue(f"{node.value} is more than the maximum, {form(field.maximum)}")
    return number


def _wrong_type(field: FieldSchema, node: yaml.Node) -> BadValue:
    return BadValue(f"expected {field.kind.value}, found {describe(node)}")
