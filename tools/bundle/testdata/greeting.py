"""Reads its words from a file of the bundle."""

import pathlib


def text() -> str:
    """The greeting."""
    return (pathlib.Path(__file__).parent / "data/words.txt").read_text().strip()
