"""The network between workers and the controller: streams that can be slow, lossy, cut and broken.

What a worker says may be lost, doubled, delayed and overtaken: the controller promises to live with
all of that. What the controller says comes in order, as a TCP stream gives it; when one message of
it is lost nothing behind it arrives either, until both ends have noticed and the stream breaks.
"""

from collections.abc import Callable
from random import Random
from typing import Protocol

from iris.simulation.clock import Agenda, Chances
from iris.simulation.messages import Down, Hello, Up
from iris.simulation.scenario import FaultKind
from iris.simulation.weather import Weather

_LATENCY = (0.005, 0.05)
# How long it takes an end to notice that the other is gone, when nobody says so: keepalive.
_NOTICE = (5.0, 20.0)
# A message that is doubled or overtaken arrives up to so much later.
_LATE = 15.0


class WorkerEnd(Protocol):
    """Who dials."""

    def hear(self, stream: "Stream", message: Down) -> None:
        """A message has arrived."""

    def stream_ended(self, stream: "Stream") -> None:
        """The stream is over for this end."""


class ControllerEnd(Protocol):
    """Who is dialled."""

    def hear(self, stream: "Stream", message: Up) -> None:
        """A message has arrived."""

    def stream_ended(self, stream: "Stream") -> None:
        """The stream is over for this end."""


class Traffic:
    """How much went over the network, and what became of it."""

    def __init__(self) -> None:
        self.sent = 0
        self.lost = 0
        self.doubled = 0
        self.overtaken = 0
        self.broken = 0


class Stream:
    """One stream. Each end closes for itself; what arrives at a closed end is dropped."""

    __slots__ = (
        "_chance",
        "_down_at",
        "_network",
        "_up_at",
        "blocked",
        "controller",
        "name",
        "worker",
    )

    def __init__(self, network: "Network", name: str, chance: Random) -> None:
        self._network = network
        self._chance = chance
        self._up_at = 0.0
        self._down_at = 0.0
        self.name = name
        self.worker: WorkerEnd | None = None
        self.controller: ControllerEnd | None = None
        self.blocked = False

    def up(self, message: Up) -> None:
        """A worker says something."""
        network, chance = self._network, self._chance
        network.traffic.sent += 1
        at = network.agenda.now + network.latency(chance)
        if network.weather.blows:
            if network.loses(self, self.blocked):
                return
            if not isinstance(message, Hello):
                if chance.random() < network.weather.amount(FaultKind.DOUBLE):
                    network.traffic.doubled += 1
                    late = at + chance.uniform(0.0, _LATE)
                    network.agenda.at(late, lambda: self._arrive_up(message))
                if chance.random() < network.weather.amount(FaultKind.REORDER):
                    network.traffic.overtaken += 1
                    late = at + chance.uniform(0.0, _LATE)
                    network.agenda.at(late, lambda: self._arrive_up(message))
                    return
        elif self.blocked:
            network.traffic.lost += 1
            return
        self._up_at = max(self._up_at, at)
        network.agenda.at(self._up_at, lambda: self._arrive_up(message))

    def down(self, message: Down) -> None:
        """The controller says something."""
        network, chance = self._network, self._chance
        network.traffic.sent += 1
        if self.blocked or (network.weather.blows and network.loses(self, False)):
            network.traffic.lost += self.blocked
            self.block()
            return
        self._down_at = max(self._down_at, network.agenda.now + network.latency(chance))
        network.agenda.at(self._down_at, lambda: self._arrive_down(message))
        if network.weather.blows and chance.random() < network.weather.amount(FaultKind.DOUBLE):
            network.traffic.doubled += 1
            network.agenda.at(self._down_at, lambda: self._arrive_down(message))

    def block(self) -> None:
        """Nothing comes through any more; sooner or later both ends notice."""
        if self.blocked:
            return
        self.blocked = True
        self._network.traffic.broken += 1
        for end in (self.end_worker, self.end_controller):
            self._network.agenda.after(self._chance.uniform(*_NOTICE), end)

    def break_now(self) -> None:
        """Both ends learn at once that it is over."""
        self._network.traffic.broken += 1
        self.end_worker()
        self.end_controller()

    def close_worker(self) -> None:
        """The worker's end closes; the other learns it, if the network lets it."""
        self.worker = None
        self._tell_other(self.end_controller)

    def close_controller(self) -> None:
        """The controller's end closes; the other learns it, if the network lets it."""
        self.controller = None
        self._tell_other(self.end_worker)

    def end_worker(self) -> None:
        """It is over for the worker, who is told."""
        end, self.worker = self.worker, None
        if end is not None:
            end.stream_ended(self)

    def end_controller(self) -> None:
        """It is over for the controller, who is told."""
        end, self.controller = self.controller, None
        if end is not None:
            end.stream_ended(self)

    def _tell_other(self, end: Callable[[], None]) -> None:
        if self._network.weather.is_cut_off(self.name):
            self.block()
        if not self.blocked:
            self._network.agenda.after(self._network.latency(self._chance), end)

    def _arrive_up(self, message: Up) -> None:
        if self.controller is not None:
            self.controller.hear(self, message)

    def _arrive_down(self, message: Down) -> None:
        if self.worker is not None and not self.blocked:
            self.worker.hear(self, message)


class Network:
    """Makes streams."""

    def __init__(self, agenda: Agenda, chances: Chances, weather: Weather) -> None:
        self.agenda = agenda
        self.weather = weather
        self.traffic = Traffic()
        self._chances = chances
        self._clients = chances.of("clients")

    def dial(self, name: str, number: str, worker: WorkerEnd) -> Stream:
        """A stream of a worker, the `number`-th that it has. Nobody takes the call yet."""
        stream = Stream(self, name, self._chances.of("stream", number))
        stream.worker = worker
        return stream

    def latency(self, chance: Random) -> float:
        """Of one message."""
        seconds = chance.uniform(*_LATENCY)
        if self.weather.blows:
            seconds += chance.random() * self.weather.amount(FaultKind.DELAY)
        return seconds

    def loses(self, stream: Stream, blocked: bool) -> bool:
        """Whether a message of that stream is lost now."""
        cut_off = self.weather.is_cut_off(stream.name)
        if cut_off:
            stream.block()
        chance = self.weather.amount(FaultKind.LOSE)
        lost = blocked or cut_off or (chance > 0 and stream._chance.random() < chance)
        self.traffic.lost += lost
        return lost

    def call(self, action: Callable[[], None]) -> None:
        """A message from or to a client, which may be lost."""
        self.traffic.sent += 1
        if self._clients.random() < self.weather.amount(FaultKind.LOSE):
            self.traffic.lost += 1
            return
        self.agenda.after(self.latency(self._clients), action)
