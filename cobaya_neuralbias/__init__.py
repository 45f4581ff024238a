"""Field-level inference with a neural halo-bias model, as components of the Cobaya framework.

The public names load on first use, so importing the package costs milliseconds and no Cobaya.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .likelihoods.neural_bias import NeuralBias as NeuralBias
    from .likelihoods.neyrinck import Neyrinck as Neyrinck
    from .posterior.target import field_target as field_target
    from .qnhmc.sampler import QNHMC as QNHMC
    from .theories.eisenstein_hu import EisensteinHu as EisensteinHu
    from .theories.lpt import LPT as LPT
    from .theories.particle_mesh import ParticleMesh as ParticleMesh

__version__ = "0.2.0"

_HOMES = {
    "EisensteinHu": ".theories.eisenstein_hu",
    "LPT": ".theories.lpt",
    "NeuralBias": ".likelihoods.neural_bias",
    "Neyrinck": ".likelihoods.neyrinck",
    "ParticleMesh": ".theories.particle_mesh",
    "QNHMC": ".qnhmc.sampler",
    "field_target": ".posterior.target",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
