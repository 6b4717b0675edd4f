"""A straight line that is fitted to points: the smallest model there is."""

from dataclasses import dataclass

Point = tuple[float, float]


@dataclass
class Line:
    """y = slope * x + intercept."""

    slope: float = 0.0
    intercept: float = 0.0

    def loss(self, points: list[Point]) -> float:
        """The mean squared error over `points`."""
        return sum((self._error(x, y)) ** 2 for x, y in points) / len(points)

    def step(self, points: list[Point], rate: float) -> None:
        """One step of gradient descent."""
        errors = [(x, self._error(x, y)) for x, y in points]
        self.slope -= rate * 2 * sum(x * error for x, error in errors) / len(points)
        self.intercept -= rate * 2 * sum(error for _, error in errors) / len(points)

    def _error(self, x: float, y: float) -> float:
        return self.slope * x + self.intercept - y
