"""Whether requirements.in and its lock agree, as far as can be told without an index."""

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tools.bazel.wheels.lock_file import LockError, Pin, parse_lock

_INPUT = "-r requirements.in"


def parse_input(text: str) -> dict[str, Requirement]:
    """Reads requirements.in.

    Args:
        text: its content.

    Returns:
        Canonical name -> requirement.

    Raises:
        ValueError: a line is no requirement, has no bound, says no reason, or names something twice.
    """
    requirements: dict[str, Requirement] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        requirement_text, _, reason = (part.strip() for part in line.partition("#"))
        if not requirement_text:
            continue
        try:
            requirement = Requirement(requirement_text)
        except InvalidRequirement as error:
            raise ValueError(
                f"line {number}: {requirement_text!r} is no requirement: {error}"
            ) from error
        name = canonicalize_name(requirement.name)
        if name in requirements:
            raise ValueError(f"line {number}: {name} is named twice")
        if not requirement.specifier:
            raise ValueError(f"line {number}: {name} has no bound, such as >=1.2,<2")
        if not reason:
            raise ValueError(f"line {number}: {name} has no comment that says what it is for")
        requirements[name] = requirement
    return requirements


def disagreements(input_text: str, lock_text: str) -> list[str]:
    """What is wrong with a lock, a line of text each; empty if nothing is.

    Args:
        input_text: requirements.in.
        lock_text: requirements_lock.txt.
    """
    try:
        requirements = parse_input(input_text)
    except ValueError as error:
        return [f"requirements.in, {error}"]
    try:
        pins = parse_lock(lock_text)
    except LockError as error:
        return [f"requirements_lock.txt, {error}"]
    return [
        *_unsatisfied(requirements, pins),
        *_not_asked_for(requirements, pins),
        *_unreachable(pins),
    ]


def _unsatisfied(requirements: dict[str, Requirement], pins: list[Pin]) -> list[str]:
    problems = []
    for name, requirement in requirements.items():
        found = [pin for pin in pins if canonicalize_name(pin.name) == name]
        if not found:
            problems.append(f"{name} is in requirements.in and not in the lock")
        for pin in found:
            if not requirement.specifier.contains(pin.version, prereleases=True):
                problems.append(
                    f"{name} is locked to {pin.version}, and {requirement} is asked for"
                )
            if missing := requirement.extras - set(pin.extras):
                problems.append(f"{name} is locked without its extras {sorted(missing)}")
            if _INPUT not in pin.needed_by:
                problems.append(f"{name} is in requirements.in, and the lock does not say so")
    return problems


def _not_asked_for(requirements: dict[str, Requirement], pins: list[Pin]) -> list[str]:
    return [
        f"{pin.name} is locked as asked for by requirements.in, which does not name it"
        for pin in pins
        if _INPUT in pin.needed_by and canonicalize_name(pin.name) not in requirements
    ]


def _unreachable(pins: list[Pin]) -> list[str]:
    """Pins that nothing needs any more, following the lock's own account of who needs whom."""
    reached: set[str] = set()
    waiting = {_INPUT}
    while waiting:
        needing = waiting.pop()
        for pin in pins:
            name = canonicalize_name(pin.name)
            if name not in reached and needing in map(_canonical_source, pin.needed_by):
                reached.add(name)
                waiting.add(name)
    return [
        f"{pin.name} is locked, and nothing that is asked for needs it"
        for pin in pins
        if canonicalize_name(pin.name) not in reached
    ]


def _canonical_source(needed_by: str) -> str:
    return needed_by if needed_by.startswith("-") else canonicalize_name(needed_by)
