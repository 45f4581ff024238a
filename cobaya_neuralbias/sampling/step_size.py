"""Step sizes that follow the acceptance."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass
class DualAveraging:
    """Step size that brings the mean acceptance to ``target`` (Hoffman & Gelman 2014, sec. 3.2)."""

    log_step: float
    target: float = 0.8
    count: int = 0
    error: float = 0.0
    log_average: float = 0.0
    centre: float = 0.0

    # A window has a dozen updates or two. With a smaller GAMMA the step wanders by a third
    # while it is averaged, with a larger one a bad start still shows at the end.
    GAMMA, T0, KAPPA = 0.4, 10.0, 0.75

    @classmethod
    def start(cls, step_size, target):
        # Pulls towards the starting value: the schedule begins from a step size already tried.
        return cls(np.log(step_size), target, centre=np.log(step_size))

    def update(self, accept_probability):
        self.count += 1
        weight = 1 / (self.count + self.T0)
        self.error += weight * (self.target - accept_probability - self.error)
        self.log_step = self.centre - np.sqrt(self.count) / self.GAMMA * self.error
        fade = self.count**-self.KAPPA
        self.log_average += fade * (self.log_step - self.log_average)

    @property
    def step_size(self):
        return float(np.exp(self.log_step))

    @property
    def average_log_step(self):
        return self.log_average if self.count else self.log_step

    @property
    def average_step_size(self):
        return float(np.exp(self.average_log_step))

    def to_array(self):
        return np.array([getattr(self, f.name) for f in fields(self)])

    @classmethod
    def from_array(cls, stored):
        """What :meth:`to_array` gave."""
        values = {f.name: float(x) for f, x in zip(fields(cls), stored, strict=True)}
        return cls(**{**values, "count": int(values["count"])})
