"""The task records of one job. A task that nothing happened to yet takes no room."""

from collections.abc import Iterable, Iterator

from iris.controller.state.records import TaskRecord


class Tasks:
    """By index, like a list of fixed length."""

    __slots__ = ("_size", "_touched")

    def __init__(self, size: int, touched: Iterable[TaskRecord] = ()) -> None:
        self._size = size
        self._touched: list[TaskRecord | None] | None = None
        for task in touched:
            self[task.index] = task

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> TaskRecord:
        if not 0 <= index < self._size:
            raise IndexError(f"There is no task {index} among {self._size}.")
        task = self._touched[index] if self._touched is not None else None
        return task if task is not None else TaskRecord(index)

    def __setitem__(self, index: int, task: TaskRecord) -> None:
        if self._touched is None:
            self._touched = [None] * self._size
        self._touched[index] = task

    def __iter__(self) -> Iterator[TaskRecord]:
        return (self[index] for index in range(self._size))

    def touched(self) -> Iterator[TaskRecord]:
        """Those that something has happened to, by index."""
        return (task for task in self._touched or () if task is not None)
