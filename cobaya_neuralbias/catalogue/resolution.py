"""How finely a catalogue tells masses apart."""

import numpy as np

# What no catalogue is trusted to resolve, in ln M: a smaller width of a mixture component would be
# of the numbers in a file, not of halos.
LEAST_RESOLUTION = 0.01
# Of the halos, that share their mass with another one: then masses are steps, not numbers
MANY_TIES = 0.01
FIRST_STEPS = 5


def mass_resolution(mass: np.ndarray) -> float:
    """Median of the first FIRST_STEPS steps between masses in ln M; at least LEAST_RESOLUTION.

    Friends-of-friends masses are multiples of a particle's, masses of a table have so many digits.
    Where few halos share a mass there are no steps to see, and where all share one there is none:
    LEAST_RESOLUTION, though such masses tell nothing (the likelihood warns of them).

    Parameters
    ----------
    mass : (n,) float64, of the halos above threshold
    """
    values = np.unique(mass)
    if len(mass) - len(values) <= MANY_TIES * len(mass) or len(values) < 2:
        return LEAST_RESOLUTION
    # Near the threshold all steps occur; farther up some are missing.
    step = np.median(np.diff(np.log(values))[:FIRST_STEPS])
    return float(max(LEAST_RESOLUTION, step))
