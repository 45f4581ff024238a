"""Shared parts of the Cobaya components: version, the phases in Cobaya's cache, errors, options."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from logging import Logger
from typing import Any

from cobaya.log import LoggedError

from . import __all__ as public_names
from . import __version__
from .errors import InputError

#: What an option may be, in words, and the check of a value.
Allowed = tuple[str, Callable[[Any], bool]]


class PackageComponent:
    """Mixin for every component: its version in ``updated.yaml``, its name as users write it."""

    def get_version(self) -> str:
        return __version__

    @classmethod
    def get_qualified_class_name(cls) -> str:
        """Name of a class of the package, whatever room it is in; Cobaya's of others."""
        if cls.__name__ in public_names:
            return f"{__package__}.{cls.__name__}"
        return super().get_qualified_class_name()  # type: ignore[misc]


class FieldRevision:
    """Mixin for a theory or likelihood whose result depends on the phases.

    Cobaya caches a component's result on its parameters and those of the components it depends
    on. The phases are not parameters, so a change of them must enter that key, or Cobaya returns
    the old value. The owner of the phases counts their revisions; the mixin adds the count to the
    key.
    """

    def field_revision(self):
        """A number that changes with the phases."""
        raise LoggedError(self.log, "%s must say which phases it uses.", type(self).__name__)

    def check_cache_and_compute(
        self, params_values_dict, dependency_params=None, want_derived=False, cached=True
    ):
        return super().check_cache_and_compute(
            params_values_dict,
            dependency_params=[*(dependency_params or []), self.field_revision()],
            want_derived=want_derived,
            cached=cached,
        )


@contextmanager
def logged_errors(log: Logger) -> Iterator[None]:
    """Turn an :class:`InputError`, or an error of the disk, into Cobaya's ``LoggedError``."""
    try:
        yield
    except (InputError, OSError) as error:
        raise LoggedError(log, "%s", error) from None


def check_option(log: Logger, name: str, value: Any, allowed: Collection[Any] | Allowed) -> None:
    """Refuse an option outside ``allowed``: a collection, or a pair (description, predicate)."""
    if isinstance(allowed, tuple) and callable(allowed[1]):
        description, valid = allowed
        try:
            good = bool(valid(value))
        except (TypeError, ValueError):
            good = False
    else:
        description, good = "one of " + ", ".join(map(repr, allowed)), value in allowed
    if not good:
        raise LoggedError(log, "Option '%s' is %r; expected %s.", name, value, description)


def is_integer(value: object, minimum: int) -> bool:
    """Whether ``value`` is an integer (not a bool) of at least ``minimum``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def is_number(value: object, minimum: float = float("-inf")) -> bool:
    """Whether ``value`` is a finite number (not a bool) of at least ``minimum``."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and minimum <= value < float("inf")
    )


POSITIVE_INTEGER: Allowed = ("a positive integer", lambda v: is_integer(v, 1))
POSITIVE_NUMBER: Allowed = ("a positive number", lambda v: is_number(v) and v > 0)
NUMBER: Allowed = ("a finite number", is_number)
BOOLEAN: Allowed = ("true or false", lambda v: isinstance(v, bool))
