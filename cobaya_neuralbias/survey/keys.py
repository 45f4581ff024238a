"""Keys of a yaml mapping, taken one by one: each checked, those that are not known refused."""

import numbers
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError

REQUIRED = object()


class Keys:
    """A mapping whose keys are taken one by one.

    Parameters
    ----------
    content : dict, or None for an empty one
    file : str, in messages
    name : str, key of the mapping in the file, or an empty text for the file itself
    known : names of the keys that are allowed; InputError for any other
    """

    def __init__(self, content: Any, file: str, name: str, known: Sequence[str]) -> None:
        self._file, self._name = file, name
        if not isinstance(content, Mapping | None):
            raise self.error(None, content, f"a mapping of {list(known)}")
        self._content = dict(content or {})
        if unknown := [key for key in self._content if key not in known]:
            where = f"{name}: " if name else ""
            near = get_close_matches(str(unknown[0]), known, 1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"'{file}': {where}unknown keys {unknown}, expected among {list(known)}.{meant}"
            )

    def error(self, key: str | None, value: Any, expected: str) -> InputError:
        """The error for the value of a key."""
        path = ": ".join(part for part in (self._name, key) if part)
        return InputError(f"'{self._file}': {path} = {value!r}, expected {expected}.")

    def given(self, key: str) -> bool:
        return self._content.get(key) is not None

    def raw(self, key: str, default: Any = None) -> Any:
        """The value as it stands; ``default`` where it is missing or null."""
        return self._content[key] if self.given(key) else default

    def _take(self, key: str, default: Any, expected: str) -> Any:
        if not self.given(key) and default is REQUIRED:
            raise self.error(key, None, expected)
        return self.raw(key, default)

    def text(self, key: str, default: Any = REQUIRED) -> Any:
        """A text that is not empty; or the default, as for all others here."""
        value = self._take(key, default, "a text")
        if value is not default and not (isinstance(value, str | Path) and str(value)):
            raise self.error(key, value, "a text")
        return value if value is default else str(value)

    def choice(self, key: str, among: Sequence[str], default: Any = REQUIRED) -> Any:
        value = self._take(key, default, f"one of {list(among)}")
        if value is not default and value not in among:
            raise self.error(key, value, f"one of {list(among)}")
        return value

    def boolean(self, key: str, default: Any = REQUIRED) -> Any:
        value = self._take(key, default, "true or false")
        if value is not default and not isinstance(value, bool):
            raise self.error(key, value, "true or false")
        return value

    def integer(self, key: str, default: Any = REQUIRED, minimum: int = 1) -> Any:
        expected = f"an integer of at least {minimum}"
        value = self._take(key, default, expected)
        if value is default:
            return value
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < minimum:
            raise self.error(key, value, expected)
        return int(value)

    def number(
        self,
        key: str,
        default: Any = REQUIRED,
        low: float = -np.inf,
        high: float = np.inf,
        least: bool = False,
    ) -> Any:
        """A finite number with low < number < high, or low <= number with ``least``."""
        expected = "a finite number"
        if np.isfinite(low):
            expected += f" {'>=' if least else '>'} {low:g}"
        if np.isfinite(high):
            expected += f" and < {high:g}"
        value = self._take(key, default, expected)
        if value is default:
            return value
        good = is_number(value) and np.isfinite(value)
        if not good or not (low < value or (least and low == value)) or not value < high:
            raise self.error(key, value, expected)
        return float(value)

    def numbers(self, key: str, default: Any, expected: str, length: int | None = None) -> Any:
        """A tuple of numbers, of this length if one is given."""
        value = self._take(key, default, expected)
        if value is default:
            return value
        good = isinstance(value, list | tuple) and all(is_number(v) for v in value)
        if not good or np.isnan(value).any() or (length is not None and len(value) != length):
            raise self.error(key, value, expected)
        return tuple(float(v) for v in value)

    def ascending(self, key: str, default: Any, expected: str, length: int | None = None) -> Any:
        """As :meth:`numbers`, each >= 0 and larger than the one before."""
        value = self.numbers(key, default, expected, length)
        if value is not default and (value[0] < 0 or (np.diff(value) <= 0).any()):
            raise self.error(key, list(value), f"{expected}, ascending")
        return value


def is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
