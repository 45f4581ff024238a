"""Maximum log-likelihoods of several bias models, of the same halos at the same density."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bias.fit import Fit, Objective, Term, fit
from ..catalogue.mark import Mark
from ..catalogue.read import READING
from ..errors import InputError
from ..posterior.from_yaml import build, quiet, read_yaml
from .model import class_of, load
from .problem import data_size, verdict

# Options of a likelihood that define its data; the others define its model.
DATA = (
    "catalogue",
    *READING,
    "mass_threshold",
    "mark",
    "mass_bins",
    "completeness",
    "drop_masked",
    "boundary",
)
# Options that define neither.
OTHERS = (
    *("class", "type", "version", "params", "stop_at_error", "speed"),
    *("parameter_prefix", "likelihood", "box_size"),
)
NEURAL, LOCAL = "cobaya_neuralbias.NeuralBias", "cobaya_neuralbias.Neyrinck"
# name -> class, and sets of options, of which the one that fits best is taken.
MODELS = {
    "neural": (NEURAL, [{"parametrisation": "charnock2019", "spacing": "softplus", "floor": 0.05}]),
    "natural": (NEURAL, [{"parametrisation": "natural"}]),
    "neyrinck": (LOCAL, [{"form": "neyrinck", "floor": floor} for floor in (0.05, 0.0)]),
    "power_law": (LOCAL, [{"form": "power_law", "floor": floor} for floor in (0.0, 0.05)]),
    "linear": (LOCAL, [{"form": "linear", "floor": floor} for floor in (0.05, 0.2)]),
}
KINDS = ("counts", "masses")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A bias model to compare.

    Attributes
    ----------
    name : str
    component : class of the likelihood
    variants : list of dict, options of the model; the best of them counts
    fixed : dict, weights at fixed values, without their prefix
    """

    name: str
    component: type
    variants: list
    fixed: dict


@dataclass(frozen=True, eq=False)
class Entry:
    """A model's best fit to one kind of data.

    Attributes
    ----------
    model, data : str, names in the table
    options : dict, those of the model that were used
    parameters : int, fitted
    fit : Fit
    log_likelihood : float
    held_out : float or None: the log-likelihood of the other half of the box
    n_halos, n_voxels : int, of the data that were fitted
    """

    model: str
    data: str
    options: dict
    parameters: int
    fit: Fit
    log_likelihood: float
    held_out: float | None
    n_halos: int
    n_voxels: int

    @property
    def aic(self):
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def bic(self):
        """With the number of halos for that of the observations."""
        return self.parameters * np.log(self.n_halos) - 2 * self.log_likelihood

    def to_dict(self):
        out = {
            "model": self.model,
            "data": self.data,
            "parameters": self.parameters,
            "log_likelihood": self.log_likelihood,
            "aic": self.aic,
            "bic": float(self.bic),
        }
        if self.held_out is not None:
            out["held_out_log_likelihood"] = self.held_out
        return out | {
            "options": self.options,
            "converged": bool(self.fit.converged[0]),
            "starts": len(self.fit.values),
            "starts_that_agree": self.fit.agree,
            "n_halos": self.n_halos,
            "n_voxels": self.n_voxels,
            "weights": self.fit.weights.tolist(),
        }


def compare(paths, models, density, held_out, starts):
    """(tables, [Entry]): see :func:`cobaya_neuralbias.fitting.make_comparison`.

    ``density`` is the triple (density, phases, chain), ``starts`` (n_starts, seed, scatter).
    """
    if models is None:
        models = list(MODELS) if len(paths) == 1 else []
    if unknown := [name for name in models if name not in MODELS]:
        raise InputError(f"models: {unknown[0]!r}, expected some of {', '.join(MODELS)}.")
    setup = load(paths[0], *density, starts[1])
    grid = setup.target.density_grid
    data, own = _of_yaml_files(paths, setup)
    built_in = [Candidate(name, class_of(MODELS[name][0]), MODELS[name][1], {}) for name in models]
    entries, lines = [], [f"Density: {setup.description}; {grid.n}^3 voxels."]
    if held_out:
        lines.append("Fitted to the halos at x < L/2, evaluated on the others.")
    kinds = KINDS
    if any(like.data_model(grid.n).by_mass for like in setup.target.likelihoods.values()):
        kinds = ("masses",)
        lines.append(
            "Counts alone are not compared: the completeness differs between ranges of mass, and "
            "the model of counts has no masses."
        )
    for kind in kinds:
        fits = []
        for candidate in _without_repetition(own + built_in, data, kind, grid):
            fits.append(_best(candidate, data, kind, setup, held_out, starts))
        lines += ["", *_table(_words(kind, data), fits)]
        entries += fits
    return "\n".join(lines), entries


# Models and data


def _of_yaml_files(paths, first):
    """(options of the common data, [Candidate]) of the likelihoods of yaml files."""
    data, out, grid = None, [], first.target.density_grid
    for path in paths:
        info = read_yaml(path, "theory, likelihood and params")
        params, target = (first.params, first.target) if path == paths[0] else build(info, path)
        if target.density_grid != grid:
            raise InputError(
                f"'{path}': {target.density_grid.n}^3 voxels of a box of "
                f"{target.grid.box_size:g} Mpc/h, but '{paths[0]}' has {grid.n}^3 of "
                f"{grid.box_size:g} Mpc/h; expected one mesh."
            )
        for name, like in target.likelihoods.items():
            options = like.get_defaults()
            options.update(info["likelihood"][name] or {})
            # That of the run, where the file's units need it: it may come from a parameter.
            own = {**{option: options[option] for option in DATA}, "h": like.hubble}
            # What compares masses: the bins may be those of the completeness of a point process.
            is_binned = options["likelihood"] == "binned"
            own["likelihood"] = "binned" if is_binned else "point_process"
            if data is None:
                data, first_name = own, f"'{name}' of '{path}'"
            for option in own:
                if own[option] != data[option]:
                    raise InputError(
                        f"'{path}', likelihood '{name}': {option} is {own[option]!r}, but "
                        f"{data[option]!r} in {first_name}; expected the same data for all models."
                    )
            prefix = options["parameter_prefix"]
            fixed = {
                w.removeprefix(prefix): params[w]["value"]
                for w in like.weight_names
                if isinstance(params.get(w, {}).get("value"), int | float)
            }
            model = {k: v for k, v in options.items() if k not in (*DATA, *OTHERS)}
            label = name if len(paths) == 1 else f"{Path(path).stem}:{name}"
            out.append(
                Candidate(label.replace("cobaya_neuralbias.", ""), type(like), [model], fixed)
            )
    return data, out


def _likelihood(component, model, data, kind, box_size):
    """The likelihood of a model and the data, as an object without a Cobaya model."""
    options = {**data, **model, "box_size": box_size}
    if kind == "counts":
        options.update(likelihood="counts", mass_bins=None)
    with quiet():
        return component(options)


def _without_repetition(candidates, data, kind, grid):
    """The candidates, without those whose model is that of an earlier one."""
    seen, out = [], []
    for candidate in candidates:
        like = _likelihood(candidate.component, candidate.variants[0], data, kind, grid.box_size)
        model = like.engine, like.network, like.scatter, candidate.fixed
        if model not in seen:
            out.append(candidate)
        seen.append(model)
    return out


def halves(model, n_grid):
    """The data models of x < L/2 and of the rest."""
    low = np.zeros(3 * (n_grid,))
    low[: n_grid // 2] = 1.0
    out = []
    for mask in (low.ravel(), 1 - low.ravel()):
        inside = mask[model.voxel] > 0
        if not inside.any():
            raise InputError("held out: a half of the box has no halo.")
        out.append(
            dataclasses.replace(
                model,
                voxel=model.voxel[inside],
                t=model.t[inside],
                completeness=model.seen.within(mask),
            )
        )
    return out


def _best(candidate, data, kind, setup, held_out, starts):
    """The :class:`Entry` of the variant that fits best."""
    grid, best = setup.target.density_grid, None
    for options in candidate.variants:
        like = _likelihood(candidate.component, options, data, kind, grid.box_size)
        with quiet():
            fitted = like.data_model(grid.n)
        other = None
        if held_out:
            fitted, other = halves(fitted, grid.n)
        names = [w.removeprefix(like.parameter_prefix) for w in like.weight_names]
        free = [name for name in names if name not in candidate.fixed]
        term = Term(
            fitted,
            setup.delta,
            [free.index(name) if name in free else -1 for name in names],
            [candidate.fixed.get(name, 0.0) for name in names],
        )
        start = like.default_weights[[names.index(name) for name in free]]
        found = fit(Objective([term]), start, *starts)
        if best is not None and not found.value > best.log_likelihood:
            continue
        best = Entry(
            candidate.name,
            kind,
            options,
            len(free),
            found,
            found.value,
            None
            if other is None
            else other.log_likelihood(setup.delta, term.weights(found.weights)),
            *data_size(fitted, grid.n),
        )
    if not np.isfinite(best.log_likelihood):
        raise InputError(
            f"model '{candidate.name}', {_words(kind, data)}: the likelihood is zero at every "
            "start; with floor: 0 a halo in an empty voxel makes it so."
        )
    return best


# The tables


def _words(kind, data):
    """What is compared."""
    mark = Mark.of(data["mark"])
    masses = "masses" if mark.is_mass else f"{mark.name} of each"
    return {"counts": "counts alone", "masses": f"counts and {masses}"}[kind]


def _table(what, fits):
    """Lines of the table of one kind of data, ``what`` in words."""
    first = fits[0]
    held_out = first.held_out is not None
    width = max(7, *(len(_label(f)) for f in fits))
    lines = [
        f"{what[0].upper()}{what[1:]}: {first.n_halos} halos in {first.n_voxels} voxels; "
        "BIC counts the halos",
        f"  {'model':{width}s} {'weights':>7s} {'ln L':>12s} {'AIC':>12s} {'BIC':>12s}"
        + f" {'held-out ln L':>14s}" * held_out
        + "  starts that agree",
    ]
    for f in fits:
        lines.append(
            f"  {_label(f):{width}s} {f.parameters:7d} {f.log_likelihood:12.2f} {f.aic:12.2f} "
            f"{f.bic:12.2f}"
            + (f" {f.held_out:14.2f}" if held_out else "")
            + f"  {f.fit.agree} of {len(f.fit.values)}"
        )
    for f in fits:
        if not f.fit.found:
            lines += [f"  {f.model}: {line}" for line in verdict(f.fit)]
    lines += _ratios("ln B, row over column", fits, [f.log_likelihood for f in fits])
    if held_out:
        lines += _ratios("held-out ln B, row over column", fits, [f.held_out for f in fits])
    return lines


def _label(entry):
    """The model's name, and its floor where that was chosen."""
    variants = MODELS.get(entry.model, (None, []))[1]
    return entry.model + (f" (floor {entry.options['floor']:g})" if len(variants) > 1 else "")


def _ratios(title, fits, values):
    width = max(12, *(len(f.model) + 1 for f in fits))
    lines = ["", f"  {title}", " " * (width + 2) + "".join(f"{f.model:>{width}s}" for f in fits)]
    for f, value in zip(fits, values, strict=True):
        row = "".join(f"{value - other:{width}.1f}" for other in values)
        lines.append(f"  {f.model:{width}s}{row}")
    return lines
