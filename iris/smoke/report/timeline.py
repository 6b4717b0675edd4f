"""The timeline: controllers, slices with their workers, and what ran on them, as one picture that fits any width.

Whatever has a place in time is placed in percent of the width, so that text keeps its size on a narrow screen.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import escape

from iris.smoke.case import Mark
from iris.smoke.history import History, Span

_LABEL = 15  # pixels: a line of text above what it names
_LANE = 9
_GAP = 7
_TOP = 34  # for phases and the scale
_MAX_LANES = 8
_STATES = {
    "succeeded": "good", "failed": "bad", "killed": "ended", "preempted": "moved",
    "worker failed": "lost", "running": "live", "mixed": "ended",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """Turns times of day into places from left to right."""

    began: datetime
    seconds: float

    def at(self, when: datetime) -> float:
        """In percent, within the picture."""
        share = (when - self.began).total_seconds() / max(self.seconds, 0.001)
        return min(max(share, 0.0), 1.0) * 100

    def box(self, span: Span) -> tuple[float, float]:
        """(left, width) in percent; never too narrow to be seen."""
        left, right = self.at(span.began), self.at(span.ended)
        return left, max(right - left, 0.25)


def render_timeline(
    history: History,
    *,
    began: datetime,
    seconds: float,
    milestones: Sequence[tuple[str, float]],
) -> str:
    """An SVG element; empty if nothing was seen."""
    if not any(span.kind == "slice" for span in history.spans):
        return ""
    scale = Scale(began, seconds)
    body: list[str] = []
    y = _TOP
    for row in _rows(history.spans):
        drawn, y = row.draw(scale, y)
        body += drawn
    body += _marks(history.marks, scale, y)
    return "\n".join(
        [
            f'<svg class="timeline" role="img" aria-label="Timeline" width="100%" height="{y + 6}">',
            *_grid(scale, milestones, y),
            *body,
            "</svg>",
        ]
    )


@dataclass(frozen=True, slots=True)
class _Framed:
    """A slice, or what else is a frame, and the attempts of each of its workers."""

    frame: Span
    workers: Sequence[Sequence[Span]] = ()

    def draw(self, scale: Scale, top: int) -> tuple[list[str], int]:
        """The attempts' bars, and how high the frame around them is."""
        bars: list[str] = []
        bottom = top + 2
        for attempts in self.workers:
            lanes = _lanes(attempts)
            bars += [_bar(scale, span, bottom + lane * _LANE) for lane, span in lanes]
            bottom += (max((lane for lane, _ in lanes), default=0) + 1) * _LANE + 2
        return bars, max(bottom - top, _LANE)


@dataclass(frozen=True, slots=True)
class _Row:
    """Frames that follow each other, below a label."""

    label: str
    framed: Sequence[_Framed]

    def draw(self, scale: Scale, y: int) -> tuple[list[str], int]:
        """The elements, and where the next row begins."""
        top = y + _LABEL
        drawn = [one.draw(scale, top) for one in self.framed]
        frames = [
            _frame(scale, one.frame, top, height)
            for one, (_, height) in zip(self.framed, drawn, strict=True)
        ]
        label = f'<text class="label" x="0" y="{y + _LABEL - 4}">{escape(self.label)}</text>'
        bars = [bar for those, _ in drawn for bar in those]
        return [label, *frames, *bars], top + max(height for _, height in drawn) + _GAP


def _rows(spans: Sequence[Span]) -> list[_Row]:
    """The controllers; then each scale group's slices, in as few rows as hold them all."""
    controllers = [span for span in spans if span.kind == "controller"]
    rows = [_Row("controller", [_Framed(one) for one in controllers])] if controllers else []
    attempts = _owned(spans, "attempt")
    workers = _owned(spans, "worker")
    slices = [span for span in spans if span.kind == "slice"]
    groups = _owned(spans, "slice")
    known = {span.name for span in slices}
    # Workers that joined from outside are slices of their own.
    for name in sorted(workers.keys() - known):
        groups[name] = [replace(workers[name][0], kind="slice")]
    for group, frames in sorted(
        groups.items(), key=lambda item: (item[0].startswith("smoke-"), item)
    ):
        lanes: dict[int, list[_Framed]] = defaultdict(list)
        for lane, frame in _lanes(frames):
            inside = sorted(workers[frame.name] or [frame], key=lambda one: one.name)
            framed = _Framed(frame, [attempts[one.name] for one in inside])
            lanes[lane].append(framed)
        for _, in_lane in sorted(lanes.items()):
            most = max(len(one.workers) for one in in_lane)
            rows.append(_Row(group + (f" · {most} workers" if most > 1 else ""), in_lane))
    return rows


def _owned(spans: Iterable[Span], kind: str) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        if span.kind == kind:
            found[span.owner].append(span)
    return found


def _lanes(spans: Sequence[Span]) -> list[tuple[int, Span]]:
    """Spans that overlap, in different lanes; as few as it takes."""
    free: list[datetime] = []
    placed = []
    for span in sorted(spans, key=lambda one: one.began):
        lane = next((number for number, end in enumerate(free) if end <= span.began), None)
        if lane is None and len(free) < _MAX_LANES:
            free.append(span.ended)
            lane = len(free) - 1
        elif lane is None:
            lane = min(range(len(free)), key=free.__getitem__)
        free[lane] = max(free[lane], span.ended)
        placed.append((lane, span))
    return placed


def _bar(scale: Scale, span: Span, y: int) -> str:
    left, width = scale.box(span)
    seconds = (span.ended - span.began).total_seconds()
    many = f" ({span.count} attempts)" if span.count > 1 else ""
    title = f"{span.name}{many}: {span.state}, {seconds:.2f} s on {span.owner}"
    kind = _STATES.get(span.state, "live")
    return (
        f'<rect class="attempt {kind}" x="{left:.2f}%" width="{width:.2f}%" y="{y}" height="{_LANE - 2}" rx="2">'
        f"<title>{escape(title)}</title></rect>"
    )


def _frame(scale: Scale, span: Span, y: int, height: int) -> str:
    left, width = scale.box(span)
    seconds = (span.ended - span.began).total_seconds()
    state = f", {span.state}" if span.state not in ("", "ready", "connected") else ""
    title = f"{span.kind} {span.name}: {seconds:.1f} s{state}"
    return (
        f'<rect class="frame {span.kind}" x="{left:.2f}%" width="{width:.2f}%" y="{y}" height="{height}" rx="3">'
        f"<title>{escape(title)}</title></rect>"
    )


def _grid(scale: Scale, milestones: Sequence[tuple[str, float]], bottom: int) -> list[str]:
    """Seconds, and the phases as stripes."""
    drawn = []
    before = 0.0
    for number, (step, at) in enumerate(milestones):
        left, right = (_percent(scale, one) for one in (before, at))
        if right - left > 0.3:
            name = step.removesuffix(" done")
            drawn.append(
                f'<rect class="phase p{number % 2}" x="{left:.2f}%" width="{right - left:.2f}%" '
                f'y="0" height="{bottom}">'
                f"<title>{escape(name)}: {at - before:.2f} s</title></rect>"
            )
            if right - left > 6:
                tight = " tight" if right - left < 18 else ""
                x = (left + right) / 2
                drawn.append(
                    f'<text class="phase-name{tight}" x="{x:.2f}%" y="12" text-anchor="middle">{escape(name)}</text>'
                )
        before = at
    step_seconds = next((one for one in (1, 2, 5, 10, 20, 60) if scale.seconds / one <= 10), 300)
    second = 0
    while second < scale.seconds:
        x = _percent(scale, second)
        anchor = "start" if second == 0 else "middle"
        drawn.append(
            f'<line class="grid" x1="{x:.2f}%" x2="{x:.2f}%" y1="28" y2="{bottom}"/>'
            f'<text class="tick" x="{x:.2f}%" y="25" text-anchor="{anchor}">{second} s</text>'
        )
        second += step_seconds
    return drawn


def _percent(scale: Scale, seconds: float) -> float:
    return scale.at(scale.began + timedelta(seconds=seconds))


def _marks(marks: Sequence[Mark], scale: Scale, bottom: int) -> list[str]:
    """Each fault as a numbered line; what the numbers mean stands below the picture."""
    drawn = []
    for number, mark in enumerate(marks, start=1):
        x = scale.at(mark.at)
        drawn.append(
            f'<g class="fault"><line x1="{x:.2f}%" x2="{x:.2f}%" y1="30" y2="{bottom}"/>'
            f'<circle cx="{x:.2f}%" cy="30" r="7"/>'
            f'<text x="{x:.2f}%" y="33.5" text-anchor="middle">{number}</text>'
            f"<title>{escape(f'{mark.case}: {mark.what}')}</title></g>"
        )
    return drawn
