"""What the network does to messages, and what it never does."""

from iris.model.ids import AttemptUid
from iris.simulation.clock import Agenda, Chances, VirtualClock
from iris.simulation.messages import Acknowledge, Down, Goodbye, Up
from iris.simulation.network import Network, Stream
from iris.simulation.scenario import Fault, FaultKind
from iris.simulation.weather import Weather


class End:
    """Either end: remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[Up | Down] = []
        self.ended = 0

    def hear(self, stream: Stream, message: Up | Down) -> None:
        self.heard.append(message)

    def stream_ended(self, stream: Stream) -> None:
        self.ended += 1


class Scene:
    def __init__(self, *faults: Fault) -> None:
        self.agenda = Agenda(VirtualClock())
        chances = Chances(1)
        self.network = Network(self.agenda, chances, Weather(self.agenda, chances, faults))
        self.worker, self.controller = End(), End()
        self.stream = self.network.dial("w", "1", self.worker)
        self.stream.controller = self.controller

    def run(self, seconds: float = 1_000.0) -> None:
        self.agenda.after(seconds, lambda: None)
        while self.agenda.now < seconds and self.agenda.step():
            pass


def ups(count: int) -> list[Goodbye]:
    return [Goodbye(str(number)) for number in range(count)]


def downs(count: int) -> list[Acknowledge]:
    return [Acknowledge((AttemptUid(str(number)),)) for number in range(count)]


def fault(kind: FaultKind, amount: float) -> Fault:
    return Fault("it", kind, 0.0, 500.0, amount)


def started(scene: Scene) -> Scene:
    """The fault blows."""
    scene.agenda.step()
    return scene


def test_without_faults_all_arrives_in_order_both_ways() -> None:
    scene = Scene()
    for up, down in zip(ups(50), downs(50), strict=True):
        scene.stream.up(up)
        scene.stream.down(down)
    scene.run()
    assert scene.controller.heard == ups(50)
    assert scene.worker.heard == downs(50)


def test_what_is_lost_upwards_is_only_that_message() -> None:
    scene = started(Scene(fault(FaultKind.LOSE, 0.5)))
    for up in ups(100):
        scene.stream.up(up)
    scene.run(1.0)
    assert 20 < len(scene.controller.heard) < 80
    assert scene.network.traffic.lost == 100 - len(scene.controller.heard)


def test_after_a_loss_downwards_nothing_arrives_and_the_stream_breaks() -> None:
    scene = started(Scene(fault(FaultKind.LOSE, 0.2)))
    for down in downs(100):
        scene.stream.down(down)
    scene.run()
    heard = scene.worker.heard
    assert len(heard) < 100
    assert heard == downs(100)[: len(heard)], "a beginning of what was said, in order"
    assert (scene.worker.ended, scene.controller.ended) == (1, 1)


def test_messages_are_doubled_and_overtaken() -> None:
    scene = started(Scene(fault(FaultKind.DOUBLE, 1.0)))
    scene.stream.up(ups(1)[0])
    scene.run()
    assert scene.controller.heard == ups(1) * 2
    scene = started(Scene(fault(FaultKind.REORDER, 0.5)))
    for up in ups(50):
        scene.stream.up(up)
    scene.run()
    assert scene.controller.heard != ups(50)
    assert sorted(one.reason for one in scene.controller.heard if isinstance(one, Goodbye)) == (
        sorted(one.reason for one in ups(50))
    )


def test_who_is_cut_off_hears_nothing_and_notices_in_the_end() -> None:
    scene = started(Scene(fault(FaultKind.PARTITION, 1.0)))
    scene.stream.up(ups(1)[0])
    scene.stream.down(downs(1)[0])
    scene.run()
    assert scene.controller.heard == [] and scene.worker.heard == []
    assert (scene.worker.ended, scene.controller.ended) == (1, 1)


def test_an_end_that_closes_hears_nothing_more_and_the_other_learns_it() -> None:
    scene = Scene()
    scene.stream.down(downs(1)[0])
    scene.stream.close_worker()
    scene.run()
    assert scene.worker.heard == []
    assert (scene.worker.ended, scene.controller.ended) == (0, 1)
