"""From a table of angles and redshifts to a box, its completeness and the yaml file of a run."""

from .commands import make_survey
from .mock import make_mock_survey

__all__ = ["make_mock_survey", "make_survey"]
