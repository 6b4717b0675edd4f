"""`iris config check`, `explain` and `local`: what a configuration says, without a cluster."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from iris_proto import config_pb2
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from iris.cli.config_arguments import ConfigCheck, ConfigCommand, ConfigExplain, ConfigLocal
from iris.cli.context import Context
from iris.cli.wording import plural, printable
from iris.config import (
    ConfigError,
    Explained,
    Problem,
    Source,
    config_to_yaml,
    explain_config,
    make_local_config,
    parse_config,
    read_file,
    scale_groups_of,
)

# Of a screen's columns; a longer value makes its own table wider.
_VALUE_WIDTH = 30
_STYLES = {Source.FILE: "green", Source.DEFAULT: "dim", Source.NOT_SET: "dim"}


def run_config_command(command: ConfigCommand, context: Context) -> int:
    """Carries out one of them; the exit code is 1 for a configuration that cannot be used."""
    if isinstance(command, ConfigCheck) and command.json:
        return _check_for_programs(command, context)
    try:
        match command:
            case ConfigCheck():
                config = load_configuration(command.file, context)
                context.terminal.result(f"ok: {_summary(config)}")
            case ConfigExplain():
                _explain(command, context)
            case ConfigLocal():
                config = load_configuration(command.file, context)
                context.terminal.result(config_to_yaml(make_local_config(config)).rstrip("\n"))
    except ConfigError as error:
        for problem in error.problems:
            context.terminal.explain(_problem_text(problem, "bold red"))
        context.terminal.note(f"{plural(len(error.problems), 'problem')} in {command.file}")
        return 1
    return 0


def load_configuration(file: str, context: Context) -> config_pb2.ClusterConfig:
    """A cluster's, for a command; warnings are shown. Raises ConfigError."""
    return _load(file, context, _warner(context))


def _load(file: str, context: Context, warn: Callable[[Problem], None]) -> config_pb2.ClusterConfig:
    path = context.folder / file
    return parse_config(
        read_file(path, file),
        file,
        folder=path.parent,
        environment=context.environment,
        warn=warn,
    )


def _check_for_programs(command: ConfigCheck, context: Context) -> int:
    warnings: list[Problem] = []
    problems: tuple[Problem, ...] = ()
    summary = ""
    try:
        summary = _summary(_load(command.file, context, warnings.append))
    except ConfigError as error:
        problems = error.problems
    _print_json(
        {
            "ok": not problems,
            "summary": summary,
            "problems": [_problem_object(problem) for problem in problems],
            "warnings": [_problem_object(warning) for warning in warnings],
        },
        context,
    )
    return 1 if problems else 0


def _explain(command: ConfigExplain, context: Context) -> None:
    path = context.folder / command.file
    rows = explain_config(
        read_file(path, command.file),
        command.file,
        key=command.key or "",
        folder=path.parent,
        environment=context.environment,
        warn=_warner(context),
    )
    if command.json:
        _print_json([_row_object(row) for row in rows], context)
        return
    if context.terminal.shows_results:
        context.terminal.result(*_sections(rows))
    else:
        context.terminal.result(_lines(rows))


def _lines(rows: Sequence[Explained]) -> Table:
    """One line for each value, with its whole key: for grep."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("KEY", "VALUE", "FROM"):
        table.add_column(name)
    for row in rows:
        table.add_row(printable(row.key), _value_text(row), printable(row.origin))
    return table


def _sections(rows: Sequence[Explained]) -> Iterator[RenderableType]:
    """A table for each mapping, for a screen: a whole key seldom fits beside its value."""
    sections: dict[str, list[Explained]] = {}
    for row in rows:
        sections.setdefault(row.key.rpartition(".")[0], []).append(row)
    key_width = max(len(_leaf(row)) for row in rows)
    value_width = min(_VALUE_WIDTH, max(len(row.value) for row in rows))
    for section, inner in sections.items():
        if section:
            yield Text(printable(section), style="bold")
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=key_width, style="dim")
        table.add_column(min_width=value_width, overflow="fold")
        table.add_column(overflow="fold")
        for row in inner:
            origin = Text(printable(row.origin), style=_STYLES[row.source])
            table.add_row(_leaf(row), _value_text(row), origin)
        yield table


def _leaf(row: Explained) -> str:
    return f"  {printable(row.key.rpartition('.')[2])}"


def _value_text(row: Explained) -> Text:
    return Text(printable(row.value).replace("\n", "\\n"))


def _summary(config: config_pb2.ClusterConfig) -> str:
    """`cluster lab, controller manual, 2 scale groups (manual), 0 to 6 slices`."""
    groups = scale_groups_of(config)
    platforms = Counter(group.platform for group in groups)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(platforms.items()))
    least, most = (
        sum(group.min_slices for group in groups),
        sum(group.max_slices for group in groups),
    )
    return ", ".join(
        (
            f"cluster {config.name}",
            f"controller {config.controller_vm.WhichOneof('kind')}",
            plural(len(groups), "scale group") + (f" ({kinds})" if kinds else ""),
            f"{least} to {plural(most, 'slice')}",
        )
    )


def _warner(context: Context) -> Callable[[Problem], None]:
    def warn(warning: Problem) -> None:
        context.terminal.explain(_problem_text(warning, "yellow", "warning: "))

    return warn


def _problem_text(problem: Problem, style: str, kind: str = "") -> Text:
    """As editors and people look for it: `file:line:column: key: what`."""
    where = f"{problem.position}: " if problem.position else ""
    what = ": ".join(filter(None, (problem.path, problem.message)))
    return Text.assemble((where, "bold"), (kind, style), printable(what))


def _problem_object(problem: Problem) -> dict[str, Any]:
    at = problem.position
    return {
        "key": problem.path,
        "message": problem.message,
        "file": at.source if at else None,
        "line": at.line if at else None,
        "column": at.column if at else None,
    }


def _row_object(row: Explained) -> dict[str, Any]:
    at = row.position
    return {
        "key": row.key,
        "value": row.value if row.source is not Source.NOT_SET else None,
        "source": row.source.value,
        "file": at.source if at else None,
        "line": at.line if at else None,
        "column": at.column if at else None,
        "written_key": row.written or (row.key if at else None),
        "variables": list(row.variables),
    }


def _print_json(value: object, context: Context) -> None:
    context.terminal.result(json.dumps(value, indent=2))
