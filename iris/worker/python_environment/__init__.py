"""Python environments of jobs: built by uv, once for all attempts that ask for the same."""
