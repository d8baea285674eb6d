"""Which classes files may name: those of this package that register themselves, none derived from them."""

from __future__ import annotations

from collections.abc import Callable, ItemsView
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)


class Registry:
    """Classes by the name that files have for them.

    A class enters by its decorator alone. Were it by inheritance, a class that a user derives from ours would
    enter too, and a file would be read as what another program does not have.
    """

    def __init__(self) -> None:
        self._classes: dict[str, Any] = {}

    def named(self, name: str) -> Callable[[Class], Class]:
        """Decorator of a class that files may name."""

        def enter(cls: Class) -> Class:
            known = self._classes.setdefault(name, cls)
            if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(f"the name {name!r} is that of {known.__module__}.{known.__qualname__}")
            self._classes[name] = cls  # of a module that is loaded anew
            return cls

        return enter

    def items(self) -> ItemsView[str, Any]:
        """Names and classes."""
        return self._classes.items()

    def get(self, name: object) -> Any:
        """The class of this name, or None."""
        return self._classes.get(name) if isinstance(name, str) else None

    def name_of(self, cls: type) -> str | None:
        """The name of exactly this class, or None."""
        return next((name for name, known in self._classes.items() if known is cls), None)

    def has_instance(self, value: object) -> bool:
        """Whether a value is of one of the classes, or of a class derived from one."""
        return isinstance(value, tuple(self._classes.values()))


NETWORKS = Registry()
ESTIMATORS = Registry()
RECORDS = Registry()
