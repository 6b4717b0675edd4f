"""The version of this Iris, in one place."""

VERSION = "0.1.0"
