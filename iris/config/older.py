"""Older spellings: turned into today's before anything is read, each with a warning that shows it.

Nodes are replaced in place and keep the marks of what was written, so that whatever is said about
them later names the right line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from iris_proto import config_pb2

from iris.config.errors import Problem
from iris.config.schema import Container, FieldSchema, Kind, MessageSchema, schema_of
from iris.config.yaml_nodes import MERGE_TAG, STRING_TAG, describe, is_null, position_of
from iris.model.tpu import TPU_VARIANTS

_SECONDS = "_seconds"
_NUMBER = re.compile(r"\d+(\.\d+)?")
_NUMBER_TAGS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_ROOT = config_pb2.ClusterConfig.DESCRIPTOR.full_name
_GROUP = config_pb2.ScaleGroupConfig.DESCRIPTOR.full_name
# Keys that stood under one key at the top, and under which they stand now.
_MOVED = {("autoscaler", "boot_timeout"): "timeouts", ("autoscaler", "call_timeout"): "timeouts"}
_LEFT = {config_pb2.AutoscalerConfig.DESCRIPTOR.full_name: tuple(name for _, name in _MOVED)}


@dataclass(slots=True)
class Modernised:
    """What was found: older spellings, and such as cannot be turned into today's."""

    warnings: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def modernise(schema: MessageSchema, root: yaml.Node | None, source: str) -> Modernised:
    """Replaces every older spelling below `root`, which is to become such a message."""
    walk = _Walk(source, Modernised())
    walk.visit(schema, root, "")
    if schema.name == _ROOT and isinstance(root, yaml.MappingNode):
        for (section, name), target in _MOVED.items():
            walk.move(root, section, name, target)
    return walk.found


@dataclass(slots=True)
class _Walk:
    source: str
    found: Modernised
    visited: set[tuple[int, str]] = field(default_factory=set)

    def visit(self, schema: MessageSchema, node: yaml.Node | None, path: str) -> None:
        """Goes through what is to become a message. Nodes that stand in several places (anchors)
        are looked at once.
        """
        if not isinstance(node, yaml.MappingNode) or (id(node), schema.name) in self.visited:
            return
        self.visited.add((id(node), schema.name))
        self._in_seconds(schema, node, path)
        if schema.name == _GROUP:
            self._variant_by_another_name(node, path)
            self._variant_as_type(node, path)
        for key, value in list(node.value):
            if key.tag == MERGE_TAG:
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self.visit(schema, merged, path)
            elif isinstance(key, yaml.ScalarNode) and key.value in schema.fields:
                inner = schema.fields[key.value]
                for step, child in _children(inner, value):
                    self.visit(schema_of(inner.message), child, _join(path, key.value) + step)

    def move(self, root: yaml.MappingNode, section: str, name: str, target: str) -> None:
        """Takes `section.name` to `target.name`."""
        place = _find(root, section)
        if place is None or not isinstance(place[1], yaml.MappingNode):
            return
        pair = _find(place[1], name)
        if pair is None:
            return
        place[1].value.remove(pair)
        old, new = f"{section}.{name}", f"{target}.{name}"
        there = _find(root, target)
        if there is None or is_null(there[1]):
            key, value = pair
            made = yaml.MappingNode("tag:yaml.org,2002:map", [pair], key.start_mark, value.end_mark)
            if there is not None:
                root.value.remove(there)
            root.value.append((_scalar(key, target), made))
        elif isinstance(there[1], yaml.MappingNode):
            if (second := _find(there[1], name)) is not None:
                self._refuse(pair[0], old, new, second[0])
                return
            there[1].value.append(pair)
        shown = pair[1].value if isinstance(pair[1], yaml.ScalarNode) else "…"
        self._warn(pair[0], old, f"has moved; write {target}: {{{name}: {shown}}}")

    def _in_seconds(self, schema: MessageSchema, node: yaml.MappingNode, path: str) -> None:
        """`boot_timeout_seconds: 300` -> `boot_timeout: 300s`."""
        fields, left = schema.fields, _LEFT.get(schema.name, ())
        for pair in list(node.value):
            key, value = pair
            spelled = key.value if isinstance(key, yaml.ScalarNode) else ""
            name = spelled.removesuffix(_SECONDS)
            known = name in left or (name in fields and fields[name].kind is Kind.DURATION)
            if name == spelled or not known or spelled in fields:
                continue
            place, old = node.value.index(pair), _join(path, spelled)
            other = _find(node, name)
            if other is not None:
                del node.value[place]
                self._refuse(key, old, _join(path, name), other[0])
            elif value.tag not in _NUMBER_TAGS or not _NUMBER.fullmatch(value.value):
                del node.value[place]
                said = f"expected a number of seconds, found {describe(value)}"
                self._problem(value, old, f"{said}; write e.g. {name}: 5m")
            else:
                text = f"{value.value}s"
                node.value[place] = (_scalar(key, name), _scalar(value, text))
                if name not in left:
                    self._warn(key, old, f"is an older spelling; write {name}: {text}")

    def _variant_by_another_name(self, node: yaml.MappingNode, path: str) -> None:
        """`accelerator_variant: v5e-16` -> `v5litepod-16`."""
        key = "accelerator_variant"
        pair = _find(node, key)
        if pair is None or not isinstance(pair[1], yaml.ScalarNode):
            return
        name = _tpu_variant(pair[1].value)
        if name and name != pair[1].value:
            node.value[node.value.index(pair)] = (pair[0], _scalar(pair[1], name))
            said = f"{pair[1].value} is {name} to the cloud's API; write {key}: {name}"
            self._warn(pair[1], _join(path, key), said)

    def _variant_as_type(self, node: yaml.MappingNode, path: str) -> None:
        """`accelerator_type: v5litepod-16` -> `tpu`, and the variant beside it."""
        pair = _find(node, "accelerator_type")
        if pair is None or not isinstance(pair[1], yaml.ScalarNode):
            return
        name = _tpu_variant(pair[1].value)
        if not name:
            return
        node.value[node.value.index(pair)] = (pair[0], _scalar(pair[1], "tpu"))
        old, other = _join(path, "accelerator_type"), _find(node, "accelerator_variant")
        if other is None:
            node.value.append((_scalar(pair[0], "accelerator_variant"), _scalar(pair[1], name)))
        elif isinstance(other[1], yaml.ScalarNode) and other[1].value != name:
            said = f"is {pair[1].value}, but accelerator_variant is {other[1].value}"
            self._problem(pair[1], old, f"{said}; write accelerator_type: tpu")
            return
        said = f"accelerator_type: tpu and accelerator_variant: {name}"
        self._warn(pair[1], old, f"{pair[1].value} is a variant; write {said}")

    def _refuse(self, key: yaml.Node, old: str, new: str, other: yaml.Node) -> None:
        line = position_of(other, self.source).line
        said = f"is an older spelling of {new}, which stands in line {line} already; leave it out"
        self._problem(key, old, said)

    def _warn(self, node: yaml.Node, path: str, message: str) -> None:
        self.found.warnings.append(Problem(position_of(node, self.source), path, message))

    def _problem(self, node: yaml.Node, path: str, message: str) -> None:
        self.found.problems.append(Problem(position_of(node, self.source), path, message))


def _children(schema: FieldSchema, value: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """What of a field's value becomes messages, each with the rest of its path."""
    if schema.kind is not Kind.MESSAGE:
        return
    match schema.container:
        case Container.SINGLE:
            yield "", value
        case Container.LIST if isinstance(value, yaml.SequenceNode):
            yield from ((f"[{index}]", item) for index, item in enumerate(value.value))
        case Container.MAP if isinstance(value, yaml.MappingNode):
            yield from ((f".{key.value}", item) for key, item in value.value)
        case _:
            return


def _tpu_variant(text: str) -> str:
    """The variant that a text names, in today's spelling; empty if none."""
    # Cloud documents say v5e where the API says v5litepod.
    name = re.sub(r"\Av5e-", "v5litepod-", text.lower())
    return name if name in TPU_VARIANTS else ""


def _find(node: yaml.MappingNode, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            return key, value
    return None


def _scalar(old: yaml.Node, text: str) -> yaml.ScalarNode:
    """A text where `old` stands."""
    return yaml.ScalarNode(STRING_TAG, text, old.start_mark, old.end_mark)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
