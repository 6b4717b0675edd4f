"""Amounts as people write them: sizes, cores and durations. Also used for command-line flags."""

import re
from datetime import timedelta
from decimal import Decimal

from iris.model.errors import InvalidArgument

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)")
_SIZE_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("kmgtp", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}
_CPU = re.compile(r"(\d+(?:\.\d+)?)(m?)")
_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?"
)
_DURATION_SECONDS = tuple(map(Decimal, ("86400", "3600", "60", "1", "0.001")))
# A hundred years: longer than anything here lives, and far from what any clock's arithmetic
# overflows at.
_MAX_DURATION = timedelta(days=36525)
# What a signed 64-bit field holds.
_MAX_AMOUNT = (1 << 63) - 1


def parse_size(text: str) -> int:
    """Bytes: `64GB` is 64 * 10**9, `64GiB` is 64 * 2**30, a bare number is bytes. Raises
    InvalidArgument.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = match and _SIZE_UNITS.get(match[2].lower())
    if not match or not unit:
        raise InvalidArgument(
            f"{text!r} is not a size.",
            hint="Write 512MiB (2^20 each), 64GB (10^9 each) or a number of bytes.",
        )
    return _bounded(Decimal(match[1]) * unit, text)


def parse_cpu(text: str) -> int:
    """Thousandths of a core: `2` and `1.5` are cores, `500m` is half a core. Raises
    InvalidArgument.
    """
    match = _CPU.fullmatch(text.strip())
    if not match:
        raise InvalidArgument(
            f"{text!r} is not a number of cores.",
            hint="Write 2, 1.5 or 500m (thousandths of a core).",
        )
    millis = Decimal(match[1]) * (1 if match[2] else 1000)
    if millis != int(millis):
        raise InvalidArgument(
            f"{text!r} is finer than a thousandth of a core.", hint="Write e.g. 1.5 or 500m."
        )
    return _bounded(millis, text)


def parse_duration(text: str) -> timedelta:
    """`5s`, `250ms`, `1h30m`; units in falling order, each once. Raises InvalidArgument."""
    stripped = text.strip()
    match = _DURATION.fullmatch(stripped)
    if not match or not stripped:
        raise InvalidArgument(
            f"{text!r} is not a duration.", hint="Write e.g. 250ms, 5s, 10m, 1h30m or 2d."
        )
    seconds = sum(
        Decimal(amount) * unit
        for amount, unit in zip(match.groups(), _DURATION_SECONDS, strict=True)
        if amount
    )
    if seconds > _MAX_DURATION.total_seconds():
        raise InvalidArgument(f"{text!r} is too long.", hint="A hundred years is the most.")
    return timedelta(microseconds=int(seconds * 1_000_000))


def format_duration(duration: timedelta) -> str:
    """A short spelling that `parse_duration` reads back as exactly the same."""
    micros = duration // timedelta(microseconds=1)
    parts = []
    for name, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        amount, micros = divmod(micros, size * 1_000_000)
        if amount:
            parts.append(f"{amount}{name}")
    if micros or not parts:
        parts.append(f"{micros / 1_000_000:.6f}".rstrip("0").rstrip(".") + "s")
    return "".join(parts)


def format_size(amount: int) -> str:
    """The shortest spelling that `parse_size` reads back as exactly the same."""
    spellings = [str(amount)]
    for power, prefix in enumerate("KMGT", start=1):
        for unit, name in ((1024**power, f"{prefix}iB"), (1000**power, f"{prefix}B")):
            if amount and amount % unit == 0:
                spellings.append(f"{amount // unit}{name}")
    return min(spellings, key=len)


def format_cpu(millis: int) -> str:
    """A short spelling that `parse_cpu` reads back as exactly the same."""
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def _bounded(amount: Decimal, text: str) -> int:
    if amount > _MAX_AMOUNT:
        raise InvalidArgument(f"{text!r} is too large.", hint=f"The most is {_MAX_AMOUNT}.")
    return round(amount)
