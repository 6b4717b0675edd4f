"""Greets, with what was packed beside it."""

import greeting

if __name__ == "__main__":
    print(greeting.text())
