"""Fits a line to noisy points and shows how the loss falls. `model.py` beside it travels in the
same bundle.

Run it with: iris job run -- python3 train.py --epochs 20
"""

import argparse
import random

from model import Line, Point

TRUE_SLOPE, TRUE_INTERCEPT = 3.0, -1.0


def make_points(count: int, seed: int) -> list[Point]:
    """Points near the true line, the same for the same seed."""
    source = random.Random(seed)
    xs = [source.uniform(-1, 1) for _ in range(count)]
    return [(x, TRUE_SLOPE * x + TRUE_INTERCEPT + source.gauss(0, 0.1)) for x in xs]


def main() -> None:
    """Trains, printing one line per epoch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=0.4)
    arguments = parser.parse_args()

    points = make_points(arguments.points, seed=7)
    line = Line()
    for epoch in range(1, arguments.epochs + 1):
        line.step(points, arguments.rate)
        print(f"epoch {epoch:3d}  loss {line.loss(points):.5f}", flush=True)
    print(
        f"y = {line.slope:.2f} x + {line.intercept:.2f}  (true: {TRUE_SLOPE:.2f} x + {TRUE_INTERCEPT:.2f})"
    )


if __name__ == "__main__":
    main()
