"""Tests of the loader over a schema made for them, which has every kind of field and rule."""

from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory
from google.protobuf.message import Message
from iris_proto import options_pb2

from iris.config.loader import Loaded, default_message, load_message
from iris.config.scalars import Surroundings

Field = descriptor_pb2.FieldDescriptorProto
_BASE = Surroundings(Path("/etc/cluster"), lambda: Path("/home/ada"))


def _field(
    message: descriptor_pb2.DescriptorProto, name: str, kind: int, **options: object
) -> Field:
    field = message.field.add(
        name=name, number=len(message.field) + 1, type=kind, label=Field.LABEL_OPTIONAL
    )
    for option, value in options.items():
        field.options.Extensions[getattr(options_pb2, option)] = value
    return field


def _message_field(
    message: descriptor_pb2.DescriptorProto, name: str, type_name: str, **options: object
) -> Field:
    field = _field(message, name, Field.TYPE_MESSAGE, **options)
    field.type_name = type_name
    return field


def _map_field(
    message: descriptor_pb2.DescriptorProto,
    name: str,
    entry: str,
    value_type: str,
    **options: object,
) -> None:
    nested = message.nested_type.add(name=entry)
    nested.options.map_entry = True
    _field(nested, "key", Field.TYPE_STRING)
    if value_type:
        _message_field(nested, "value", value_type)
    else:
        _field(nested, "value", Field.TYPE_STRING)
    field = _message_field(message, name, f".loadertest.{message.name}.{entry}", **options)
    field.label = Field.LABEL_REPEATED


def _build_schema() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="loadertest.proto",
        package="loadertest",
        syntax="proto3",
        dependency=[duration_pb2.DESCRIPTOR.name, options_pb2.DESCRIPTOR.name],
    )
    colour = file.enum_type.add(name="Colour")
    for number, name in enumerate(("COLOUR_UNSPECIFIED", "RED", "DARK_GREEN")):
        colour.value.add(name=name, number=number)
    point = file.message_type.add(name="Point")
    _field(point, "x", Field.TYPE_INT32, required=True)
    _field(point, "y", Field.TYPE_INT32, default="7")
    root = file.message_type.add(name="Root")
    _field(root, "text", Field.TYPE_STRING, pattern="[a-z]+")
    _field(root, "number", Field.TYPE_INT32, default="5", min=0, max=10)
    _field(root, "wide", Field.TYPE_INT64)
    _field(root, "flag", Field.TYPE_BOOL)
    _field(root, "size", Field.TYPE_INT64, unit=options_pb2.BYTES, default="1KiB", max=2048)
    _field(root, "cpu", Field.TYPE_INT64, unit=options_pb2.CPU_MILLIS, min=1)
    _field(root, "path", Field.TYPE_STRING, unit=options_pb2.PATH)
    _field(root, "colour", Field.TYPE_ENUM, default="RED").type_name = ".loadertest.Colour"
    _field(root, "weight", Field.TYPE_DOUBLE, default="1", max=100)
    _field(root, "offset", Field.TYPE_DOUBLE, min=-2)
    _message_field(root, "pause", ".google.protobuf.Duration", default="1m")
    _message_field(root, "grace", ".google.protobuf.Duration", min=0, max=60)
    _field(root, "words", Field.TYPE_STRING, default="[a, b]").label = Field.LABEL_REPEATED
    _message_field(root, "points", ".loadertest.Point").label = Field.LABEL_REPEATED
    _map_field(root, "labels", "LabelsEntry", "")
    _map_field(root, "places", "PlacesEntry", ".loadertest.Point", key_pattern="[a-z]+")
    root.oneof_decl.add(name="shape").options.Extensions[options_pb2.required_one] = True
    for name in ("circle", "square"):
        _message_field(root, name, ".loadertest.Circle").oneof_index = 0
    circle = file.message_type.add(name="Circle")
    _field(circle, "radius", Field.TYPE_INT32, default="3")
    pool = descriptor_pool.Default()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"loadertest.{name}"))
        for name in ("Root", "Point", "Circle")
    }


_TYPES = _build_schema()


def _load(text: str) -> Loaded[Message]:
    return load_message(_TYPES["Root"], text, "c.yaml", _BASE)


def _problems(text: str) -> list[str]:
    return [str(problem) for problem in _load(text).problems]


def _good(text: str) -> Message:
    loaded = _load(f"{text}\ncircle:")
    assert not loaded.problems, loaded.problems
    return loaded.message


def test_what_is_not_named_has_its_default() -> None:
    message = _good("")
    assert message.number == 5
    assert message.size == 1024
    assert message.weight == 1.0
    assert message.colour == 1
    assert message.pause.ToTimedelta() == timedelta(minutes=1)
    assert list(message.words) == ["a", "b"]
    assert message.circle.radius == 3
    assert not message.HasField("square")
    assert not message.HasField("grace")


def test_an_explicit_zero_stays() -> None:
    message = _good("number: 0\nsize: 0\ngrace: 0s\nwords: []")
    assert message.number == 0
    assert message.size == 0
    assert message.HasField("grace")
    assert message.grace.ToTimedelta() == timedelta()
    assert list(message.words) == []


@pytest.mark.parametrize("spelling", ["circle:", "circle: {}", "circle: null", "circle: ~"])
def test_a_message_with_nothing_in_it(spelling: str) -> None:
    loaded = _load(spelling)
    assert not loaded.problems
    assert loaded.message.HasField("circle")
    assert loaded.message.circle.radius == 3


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("text: abc", "text", "abc"),
        ("number: +9", "number", 9),
        ("wide: -9223372036854775808", "wide", -(2**63)),
        ("weight: 3", "weight", 3.0),
        ("weight: 0.25", "weight", 0.25),
        ("weight: 1e-3", "weight", 0.001),
        ("offset: -1.5", "offset", -1.5),
        ("offset: 0", "offset", 0.0),
        ("flag: true", "flag", True),
        ("flag: No", "flag", False),
        ("size: 2KiB", "size", 2048),
        ("size: '100'", "size", 100),
        ("cpu: 2", "cpu", 2000),
        ("cpu: 0.5", "cpu", 500),
        ("cpu: 250m", "cpu", 250),
        ("colour: red", "colour", 1),
        ("colour: Dark_Green", "colour", 2),
        ("path: data", "path", "/etc/cluster/data"),
        ("path: ../x/./y", "path", "/etc/x/y"),
        ("path: /var//lib", "path", "/var/lib"),
        ("path: '~'", "path", "/home/ada"),
        ("path: ~/iris", "path", "/home/ada/iris"),
        ("path: $HOME/iris", "path", "/home/ada/iris"),
        ("path: ${HOME}/iris", "path", "/home/ada/iris"),
        ("path: ~bob/x", "path", "/etc/cluster/~bob/x"),
        ("path: ''", "path", ""),
        ("words: [x, 'y z']", "words", ["x", "y z"]),
        ("labels: {a: b, 'c.d': '1'}", "labels", {"a": "b", "c.d": "1"}),
        ("labels:", "labels", {}),
    ],
)
def test_values(text: str, field: str, expected: object) -> None:
    value = getattr(_good(text), field)
    if isinstance(expected, dict):
        value = dict(value)
    elif isinstance(expected, list):
        value = list(value)
    assert value == expected


def test_messages_in_lists_and_maps() -> None:
    message = _good("points: [{x: 1}, {x: 2, y: 0}]\nplaces: {home: {x: 3}}")
    assert [(point.x, point.y) for point in message.points] == [(1, 7), (2, 0)]
    assert (message.places["home"].x, message.places["home"].y) == (3, 7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numbr: 5", "c.yaml:1:1: numbr: unknown key 'numbr', did you mean 'number'?"),
        (
            "qqqqqq: 5",
            "c.yaml:1:1: qqqqqq: unknown key 'qqqqqq', valid here: circle, colour, cpu, flag, "
            "grace, labels, number, offset, path, pause, places, points, …",
        ),
        ("number: 1\nnumber: 2", "c.yaml:2:1: duplicate key 'number', it stands in line 1 already"),
        ("? [a]\n: 1", "c.yaml:1:3: a key has to be a plain name"),
        ("text: 5", 'c.yaml:1:7: text: expected text, found 5; write it in quotes: "5"'),
        ("text: no", 'c.yaml:1:7: text: expected text, found no; write it in quotes: "no"'),
        ("text: [a]", "c.yaml:1:7: text: expected text, found a list"),
        ("text: {a: b}", "c.yaml:1:7: text: expected text, found a mapping"),
        ("text: A1", "c.yaml:1:7: text: 'A1' does not match [a-z]+"),
        ("text: !foo abc", 'c.yaml:1:7: text: expected text, found abc; write it in quotes: "abc"'),
        ("number: eight", "c.yaml:1:9: number: expected a whole number, found 'eight'"),
        ("number: '8'", "c.yaml:1:9: number: expected a whole number, found '8'"),
        ("number: 8.5", "c.yaml:1:9: number: expected a whole number, found 8.5"),
        ("number: 010", "c.yaml:1:9: number: expected a whole number, found 010"),
        ("number: 1:30", "c.yaml:1:9: number: expected a whole number, found 1:30"),
        ("number:", "c.yaml:1:8: number: expected a whole number, found nothing"),
        ("number: true", "c.yaml:1:9: number: expected a whole number, found true"),
        ("number: -1", "c.yaml:1:9: number: -1 is less than the minimum, 0"),
        ("number: 11", "c.yaml:1:9: number: 11 is more than the maximum, 10"),
        (
            "wide: 9223372036854775808",
            "c.yaml:1:7: wide: 9223372036854775808 is more than the maximum, 9223372036854775807",
        ),
        ("weight: 0.0", "c.yaml:1:9: weight: 0.0 has to be more than zero"),
        ("weight: 100.5", "c.yaml:1:9: weight: 100.5 is more than the maximum, 100"),
        ("offset: -2.01", "c.yaml:1:9: offset: -2.01 is less than the minimum, -2"),
        ("weight: .inf", "c.yaml:1:9: weight: expected a number, found .inf"),
        ("weight: heavy", "c.yaml:1:9: weight: expected a number, found 'heavy'"),
        ("weight: true", "c.yaml:1:9: weight: expected a number, found true"),
        ("flag: 1", "c.yaml:1:7: flag: expected true or false, found 1"),
        ("flag: maybe", "c.yaml:1:7: flag: expected true or false, found 'maybe'"),
        (
            "size: 64G",
            "c.yaml:1:7: size: '64G' is not a size; expected a size such as 512MiB or 64GB",
        ),
        ("size: true", "c.yaml:1:7: size: expected a size such as 512MiB or 64GB, found true"),
        ("size: 1MiB", "c.yaml:1:7: size: 1MiB is more than the maximum, 2 KiB"),
        ("cpu: 0", "c.yaml:1:6: cpu: 0 is less than the minimum, 0.001 cores"),
        (
            "cpu: many",
            "c.yaml:1:6: cpu: 'many' is not a number of cores; "
            "expected a number of cores such as 2, 1.5 or 500m",
        ),
        ("colour: gren", "c.yaml:1:9: colour: unknown value 'gren', valid here: DARK_GREEN, RED"),
        ("colour: rad", "c.yaml:1:9: colour: unknown value 'rad', did you mean 'RED'?"),
        ("colour: 1", "c.yaml:1:9: colour: expected one of RED, DARK_GREEN, found 1"),
        (
            "colour: COLOUR_UNSPECIFIED",
            "c.yaml:1:9: colour: unknown value 'COLOUR_UNSPECIFIED', valid here: DARK_GREEN, RED",
        ),
        (
            "pause: 5",
            "c.yaml:1:8: pause: '5' is not a duration; "
            "expected a duration such as 5s, 10m or 1h30m",
        ),
        ("pause: 0s", "c.yaml:1:8: pause: '0s' has to be more than zero"),
        ("grace: 2m", "c.yaml:1:8: grace: 2m is more than the maximum, 1m"),
        ("path: ~", "c.yaml:1:7: path: expected text, found nothing"),
        ("path: 5", 'c.yaml:1:7: path: expected text, found 5; write it in quotes: "5"'),
        ('path: "a\\0b"', "c.yaml:1:7: path: 'a\\x00b' is not a path"),
        ("words: a", "c.yaml:1:8: words: expected a list, found 'a'"),
        ("words:", "c.yaml:1:7: words: expected a list, found nothing; write [] for none"),
        (
            "words: [a, 5]",
            'c.yaml:1:12: words[1]: expected text, found 5; write it in quotes: "5"',
        ),
        ("labels: [a]", "c.yaml:1:9: labels: expected a mapping, found a list"),
        (
            "labels: {a: 1}",
            'c.yaml:1:13: labels.a: expected text, found 1; write it in quotes: "1"',
        ),
        ("places: {Home: {x: 1}}", "c.yaml:1:10: places.Home: 'Home' does not match [a-z]+"),
        (
            "places: {home: }",
            "c.yaml:1:10: places.home: 'x' is missing; a whole number is needed here",
        ),
        (
            "points: [{y: 1}]",
            "c.yaml:1:10: points[0]: 'x' is missing; a whole number is needed here",
        ),
        ("points: [{x: 1, z: 1}]", "c.yaml:1:17: points[0].z: unknown key 'z', valid here: x, y"),
        (
            "square:",
            "c.yaml:2:1: circle: 'circle' and 'square' exclude each other; name one of them",
        ),
        ("<<: [1]", "c.yaml:1:6: '<<' merges mappings, found 1"),
    ],
)
def test_one_problem_has_its_place_and_says_what_to_do(text: str, expected: str) -> None:
    assert _problems(f"{text}\ncircle: {{}}") == [expected]


def test_a_oneof_of_which_nothing_is_named() -> None:
    assert _problems("number: 1") == [
        "c.yaml:1:1: one of these keys is needed here: circle, square"
    ]


def test_a_value_where_a_mapping_belongs_is_one_problem() -> None:
    assert _problems("5") == ["c.yaml:1:1: expected a mapping, found 5"]
    assert _problems("circle: 5") == ["c.yaml:1:9: circle: expected a mapping, found 5"]


def test_all_problems_come_together() -> None:
    assert _problems("number: x\nflag: y\nnumbr: 1\ncircle: {radius: z}") == [
        "c.yaml:3:1: numbr: unknown key 'numbr', did you mean 'number'?",
        "c.yaml:1:9: number: expected a whole number, found 'x'",
        "c.yaml:2:7: flag: expected true or false, found 'y'",
        "c.yaml:4:18: circle.radius: expected a whole number, found 'z'",
    ]


def test_anchors_and_merges() -> None:
    message = _good("points: [&p {x: 1, y: 2}, *p, {<<: *p, x: 9}]\nplaces: {home: *p}")
    assert [(point.x, point.y) for point in message.points] == [(1, 2), (1, 2), (9, 2)]
    assert message.places["home"].y == 2


def test_a_mapping_that_merges_itself_ends() -> None:
    loaded = _load("circle: &c {radius: 4, <<: [*c, *c]}")
    assert not loaded.problems
    assert loaded.message.circle.radius == 4


def test_positions() -> None:
    loaded = _load("circle:\n  radius: 4\npoints:\n  - x: 1\n")
    assert str(loaded.position("circle.radius")) == "c.yaml:2:3"
    assert str(loaded.position("points[0].x")) == "c.yaml:4:5"
    assert str(loaded.position("points[0].y")) == "c.yaml:4:5"
    assert str(loaded.position("number")) == "c.yaml:1:1"


def test_no_home_folder_matters_only_where_it_is_used() -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    base = Surroundings(Path("/etc"), homeless)
    assert not load_message(_TYPES["Root"], "path: x\ncircle:", "c.yaml", base).problems
    problems = load_message(_TYPES["Root"], "path: ~/x\ncircle:", "c.yaml", base).problems
    assert [problem.message for problem in problems] == [
        "'~/x' needs a home folder, and this user has none"
    ]


def test_default_message() -> None:
    assert default_message(_TYPES["Circle"]).radius == 3
