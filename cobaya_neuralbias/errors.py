"""The one exception of everything below the surface, which turns it into a ``LoggedError``."""


class InputError(ValueError):
    """What the user gave cannot be used: names file or option, the value, and what was expected."""
