"""All that a run is at one moment, but for the samples and fields in its other files."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..runs.costs import Costs
from ..sampling import hamiltonian
from ..sampling.adaptation import Warmup
from ..sampling.guided import GuidedTuning
from ..sampling.metropolis import Metropolis

NOT_STARTED = hamiltonian.State(np.empty(0), float("nan"), np.empty(0))
COUNTERS = ("n_cycles", "n_divergent", "n_weight_divergent", "n_samples", "n_checked")


@dataclass
class RunState:
    """What a checkpoint holds: the run goes on from it to the bit.

    :class:`~.chain.Chain` writes what is under "the chain", :class:`~.run.Run` the rest.

    Attributes
    ----------
    rng : numpy Generator
    tuning : Warmup, step sizes and metric
    metropolis, mixed : Metropolis, proposals of the Metropolis parameters
    guided : GuidedTuning, of the trajectories that move some of them
    current : hamiltonian.State, where the chain is; NOT_STARTED before it starts
    others : (n_metropolis,) float64, the Metropolis parameters
    log_posterior : float, through Cobaya at the last Metropolis steps, NaN without any
    n_cycles : int, warm-up included
    n_divergent, n_weight_divergent : int
        Divergent trajectories since the warm-up: joint ones, and those of the weights alone.
    acceptance : list of float
        Acceptance probability of each joint trajectory, of the warm-up until that ends.
    costs, warmup_costs : Costs, of the run and of its warm-up
    n_samples : int, recorded so far
    n_checked : int, samples at the last check of convergence
    progress : (n_checks, 5) float64, a row for each check: see :func:`~.convergence.row_of`
    synchronised : dict or None, ``cycle`` and ``result`` of the last reduction over the chains
    """

    rng: np.random.Generator
    tuning: Warmup
    metropolis: Metropolis
    mixed: Metropolis
    guided: GuidedTuning
    # The chain
    current: hamiltonian.State = NOT_STARTED
    others: np.ndarray = field(default_factory=lambda: np.zeros(0))
    log_posterior: float = float("nan")
    n_cycles: int = 0
    n_divergent: int = 0
    n_weight_divergent: int = 0
    acceptance: list[float] = field(default_factory=list)
    costs: Costs = field(default_factory=Costs)
    warmup_costs: Costs = field(default_factory=Costs)
    # The run
    n_samples: int = 0
    n_checked: int = 0
    progress: np.ndarray = field(default_factory=lambda: np.empty((0, 5)))
    synchronised: dict[str, Any] | None = None

    def set_seconds(self, seconds: float) -> None:
        """Bring the clock up to date; until the warm-up has ended, all costs are its own."""
        self.costs.seconds = seconds
        if not self.tuning.done:
            self.warmup_costs = replace(self.costs)

    def to_dict(self, full_vector: np.ndarray) -> dict[str, Any]:
        """Everything as nested dictionaries of arrays, numbers and strings.

        Parameters
        ----------
        full_vector : (d,) float64, the position of ``current``, blocks that are fixed included
        """
        momentum = self.current.momentum
        return {
            "position": full_vector,
            "momentum": np.zeros(0) if momentum is None else momentum,
            "log_density": self.current.log_density,
            "log_posterior": self.log_posterior,
            "others": self.others,
            "rng": json.dumps(self.rng.bit_generator.state),
            "counters": {name: getattr(self, name) for name in COUNTERS},
            "acceptance": np.array(self.acceptance),
            "costs": self.costs.to_dict(),
            "warmup_costs": self.warmup_costs.to_dict(),
            "progress": self.progress,
            "synchronised": self.synchronised or {},
            "tuning": self.tuning.to_dict(),
            "metropolis": self.metropolis.to_dict(),
            "mixed": self.mixed.to_dict(),
            "guided": self.guided.to_dict(),
        }

    @classmethod
    def from_dict(
        cls,
        stored: dict[str, Any],
        rng: np.random.Generator,
        tuning: Warmup,
        metropolis: Metropolis,
        mixed: Metropolis,
        guided: GuidedTuning,
    ) -> "RunState":
        """The state that :meth:`to_dict` gave.

        ``current`` has the full vector for its position, and no gradient: the target is not
        evaluated.

        Parameters
        ----------
        stored : dict
        rng, tuning, metropolis, mixed, guided : by the options; they take their stored state
        """
        rng.bit_generator.state = json.loads(stored["rng"])
        tuning.restore(stored["tuning"])
        metropolis.restore(stored["metropolis"])
        mixed.restore(stored["mixed"])
        guided.restore(stored["guided"])
        momentum = np.array(stored["momentum"])
        return cls(
            rng,
            tuning,
            metropolis,
            mixed,
            guided,
            current=hamiltonian.State(
                position=np.array(stored["position"]),
                log_density=float(stored["log_density"]),
                gradient=np.empty(0),
                momentum=momentum if momentum.size else None,
            ),
            others=np.array(stored["others"]),
            log_posterior=float(stored["log_posterior"]),
            acceptance=list(stored["acceptance"]),
            costs=Costs.from_dict(stored["costs"]),
            warmup_costs=Costs.from_dict(stored["warmup_costs"]),
            progress=np.array(stored["progress"]),
            synchronised=stored["synchronised"] or None,
            **{name: int(stored["counters"][name]) for name in COUNTERS},
        )
