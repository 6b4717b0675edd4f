"""Where a command writes: results and the jobs' stdout on stdout, everything else on stderr.

On a terminal there is colour and a live region at the bottom; elsewhere plain lines, and the jobs'
bytes exactly as they are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from iris.cli.wording import printable
from iris.client.views import LogLine, LogStream
from iris.model.errors import IrisError

_REFRESHES_PER_SECOND = 8
_UNBOUNDED_WIDTH = 10_000
_STYLES = {
    LogStream.STDERR: "",
    LogStream.STDOUT: "",
    LogStream.BUILD: "dim",
    LogStream.SYSTEM: "dim italic",
}


class Terminal:
    """One program's stdout and stderr. Not thread-safe; raises BrokenPipeError when nobody reads
    any more.
    """

    def __init__(self, out: TextIO, err: TextIO, *, width: int | None = None) -> None:
        """`width`: of lines, where it is not the terminal's own."""
        self._out = _console(out, width)
        self._err = _console(err, width)
        self._live = False

    @property
    def is_live(self) -> bool:
        """Whether a person watches, who is shown a live region and colours."""
        return self._err.is_terminal

    @property
    def shows_results(self) -> bool:
        """Whether results go to a screen, and not into a file or a pipe."""
        return self._out.is_terminal

    def result(self, *parts: RenderableType) -> None:
        """What was asked for."""
        for part in parts:
            _print(self._out, part)

    def note(self, text: str | Text) -> None:
        """What Iris says about what it does."""
        _print(self._err, Text.assemble(("iris: ", "dim"), text))

    def explain(self, *parts: RenderableType) -> None:
        """Something longer that Iris says, as it is."""
        for part in parts:
            _print(self._err, part)

    def error(self, error: IrisError) -> None:
        """One problem and what to do about it."""
        _print(self._err, Text.assemble(("iris: ", "bold red"), printable(error.problem)))
        if error.hint:
            _print(self._err, Text.assemble(("      ", ""), (printable(error.hint), "cyan")))

    def log_line(self, line: LogLine, prefix: str = "") -> None:
        """A line that a job wrote, to where it wrote it."""
        target = self._out if line.stream is LogStream.STDOUT else self._err
        if target.is_terminal:
            text = Text.from_ansi(line.text, style=_STYLES[line.stream])
            # Both are the same terminal; only what goes through the live region's console leaves
            # that region whole.
            _print(self._err if self._live else target, Text.assemble((prefix, "dim"), text))
            return
        target.file.flush()
        binary = getattr(target.file, "buffer", None)
        if binary is None:
            target.file.write(f"{prefix}{line.text}\n")
        else:
            binary.write(prefix.encode() + line.data + b"\n")
            binary.flush()

    def restore(self) -> None:
        """Leaves the terminal as it was, for a program that ends in the middle of something."""
        if self._live:
            self._err.show_cursor()
            self._err.file.write("\n")
            self._err.file.flush()

    @contextmanager
    def live(self, render: Callable[[], RenderableType]) -> Iterator[None]:
        """Shows what `render` returns below everything else, several times a second, inside of the
        block; on a terminal only.
        """
        if not self.is_live:
            yield
            return
        region = Live(
            console=self._err,
            get_renderable=render,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live = True
        try:
            with region:
                yield
        finally:
            self._live = False


def _console(file: TextIO, width: int | None) -> Console:
    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    if width is None and not console.is_terminal:
        # Whoever reads a file or a pipe wants one line for one thing.
        console.width = _UNBOUNDED_WIDTH
    return console


def _print(console: Console, part: RenderableType) -> None:
    """Text is not cut into lines of ours: terminals wrap it, and elsewhere a line stays a line."""
    if console.is_terminal:
        console.print(part, soft_wrap=isinstance(part, str | Text))
        return
    with console.capture() as captured:
        console.print(part, soft_wrap=True)
    # Tables pad their last column.
    console.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    console.file.flush()
