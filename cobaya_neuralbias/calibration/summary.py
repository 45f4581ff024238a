"""All runs of a calibration together: means, errors, and verdicts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest, norm

from ..report.convergence_text import RHAT
from ..report.verdicts import BY_CHANCE, few_diverge
from .measure import Measured

# Probabilities of the intervals whose coverage is measured
LEVELS = (0.68, 0.95)
# A mean ratio farther than this many errors from 1 is a wrong amplitude.
MOST_ERRORS = 2.0


def summarise(measured: Sequence[Measured]) -> dict[str, Any]:
    """Numbers over catalogues, and the verdicts.

    Parameters
    ----------
    measured : list of Measured, at least one, of the same k

    Returns
    -------
    dict: ``k``; ``ratio``, ``z`` and ``r``, each with ``mean`` and ``error`` by shell; ``total``;
    ``coverage``, by group of modes and level; ``catalogues``, each run's own numbers; ``verdicts``
    """
    k = measured[0].k
    out: dict[str, Any] = {
        "k": k,
        **{name: _mean([getattr(one, name) for one in measured]) for name in ("ratio", "z", "r")},
        "z_mean": _nanmean(np.array([one.z for one in measured]).ravel()),
        "total": _total(measured),
        "coverage": _coverage(measured),
        "log_posterior": _mean([[one.log_posterior["difference"]] for one in measured]),
        "weights": _weights(measured),
        "catalogues": {one.name: _own(one) for one in measured},
    }
    out["failing_shells"] = _failing(measured)
    out["verdicts"] = [
        _amplitude(out["total"], k),
        _shells(out["failing_shells"], k, out["z"]["mean"]),
        *_covers(out["coverage"]),
        _long_enough(measured),
        _divergent(measured),
    ]
    return out


def _mean(rows: Sequence[Any]) -> dict[str, np.ndarray]:
    """Mean over catalogues and its standard error, NaN of one alone."""
    values = np.array(rows, dtype=float)
    n = np.isfinite(values).sum(0)
    mean = np.array([_nanmean(column) for column in values.T])
    square = np.array(
        [_nanmean((column - m) ** 2) for column, m in zip(values.T, mean, strict=True)]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"mean": mean, "error": np.where(n > 1, np.sqrt(square / (n - 1)), np.nan)}


def _nanmean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _total(measured: Sequence[Measured]) -> dict[str, float]:
    """Power of all shells over the truth's: mean over catalogues, error, and z.

    The scatter of few catalogues may be small by chance: the error is not below that of the
    posteriors.
    """
    ratios = np.array([one.total["ratio"] for one in measured])
    n = len(ratios)
    error = float(np.mean([one.total["std"] for one in measured]) / np.sqrt(n))
    if n > 1:
        error = max(error, float(ratios.std(ddof=1) / np.sqrt(n)))
    z = [one.total["z"] for one in measured]
    return {"ratio": float(ratios.mean()), "error": error, "z": _nanmean(np.array(z))}


def _failing(measured: Sequence[Measured]) -> list[dict[str, float]]:
    """Shells whose z over catalogues is improbable, given their number (Bonferroni)."""
    z = np.array([one.z for one in measured])
    n = np.isfinite(z).sum(0)
    out = []
    for i, k in enumerate(measured[0].k):
        mean = _nanmean(z[:, i])
        p = 2 * norm.sf(abs(mean) * np.sqrt(n[i]))
        if p < BY_CHANCE / len(measured[0].k):
            ratio = float(np.mean([one.ratio[i] for one in measured]))
            out.append({"k": float(k), "ratio": ratio, "z": mean, "p": float(p)})
    return out


def _coverage(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Modes of the judged shells, and the others: fraction of truths in each interval."""
    first = measured[0].k
    edge = first[-1] + first[0] / 2
    k = np.concatenate([one.mode_k for one in measured])
    p = np.concatenate([one.mode_p for one in measured])
    out = []
    for group, chosen in (("large scales", k < edge), ("small scales", k >= edge)):
        values = p[chosen & np.isfinite(p)]
        n = len(values)
        levels = []
        for level in LEVELS:
            inside = int(np.sum(values > 1 - level))
            levels.append(
                {
                    "level": level,
                    "fraction": inside / n if n else np.nan,
                    "error": np.sqrt(level * (1 - level) / n) if n else np.nan,
                    "p": float(binomtest(inside, n, level).pvalue) if n else np.nan,
                }
            )
        out.append({"group": group, "k_edge": float(edge), "modes": n, "levels": levels})
    return out


def _weights(measured: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """Name -> mean over catalogues of the difference from the fit in std, and the largest."""
    out = {}
    for name in measured[0].weights:
        values = np.array([one.weights[name]["difference"] for one in measured])
        known = values[np.isfinite(values)]
        largest = float(known[np.argmax(np.abs(known))]) if len(known) else float("nan")
        out[name] = {"mean": _nanmean(values), "largest": largest}
    return out


def _own(one: Measured) -> dict[str, Any]:
    names = ("ratio", "ratio_std", "z", "r", "total", "weights", "log_posterior", "chain")
    return {
        **{name: getattr(one, name) for name in names},
        "modes": {"k": one.mode_k, "p": one.mode_p},
    }


# The verdicts


def _verdict(check: str, met: bool, text: str, advice: str) -> dict[str, Any]:
    return {"check": check, "met": bool(met), "text": text, "advice": advice}


def _amplitude(total: dict[str, float], k: np.ndarray) -> dict[str, Any]:
    ratio, error = total["ratio"], total["error"]
    met = abs(ratio - 1) <= MOST_ERRORS * error
    return _verdict(
        "amplitude",
        met,
        f"the amplitude is unbiased within its error: power of the samples {ratio:.3f} +- "
        f"{error:.3f} of the truth's at k <= {k[-1]:.2g} h/Mpc, wanted 1 within {MOST_ERRORS:g} "
        "errors",
        "quote no amplitude of a survey analysed so: a higher mass_threshold, a finer field "
        "(n_grid over bias_grid) or another bias model may mend it",
    )


def _shells(failing: list[dict[str, float]], k: np.ndarray, z: np.ndarray) -> dict[str, Any]:
    which = ", ".join(
        f"k = {one['k']:.3f} (ratio {one['ratio']:.2f}, mean z {one['z']:+.1f})" for one in failing
    )
    words = f"these fail: {which}" if failing else f"none of {len(k)} fails"
    if unknown := np.count_nonzero(~np.isfinite(z)):
        words += f", but {unknown} cannot be judged (chains too short)"
    return _verdict(
        "shells",
        not failing and not unknown,
        f"the power of every shell is the truth's: {words}; {BY_CHANCE:.0%} of right set-ups have "
        "a shell that fails",
        "leave these scales out of what you conclude, or mend the model as for the amplitude",
    )


def _covers(coverage: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups = [group for group in coverage if group["modes"]]
    tests = sum(len(group["levels"]) for group in groups)
    out = []
    for group in groups:
        met = all(one["p"] >= BY_CHANCE / tests for one in group["levels"])
        first = group["levels"][0]
        direction = "narrow" if first["fraction"] < first["level"] else "wide"
        fractions = " and ".join(
            f"{one['fraction']:.0%} +- {one['error']:.0%} in {one['level']:.0%}"
            for one in group["levels"]
        )
        out.append(
            _verdict(
                f"coverage_{group['group'].split()[0]}",
                met,
                f"intervals of the modes on {group['group']} have the right width: {fractions} "
                f"intervals, of {group['modes']} truths{'' if met else f': too {direction}'}",
                "errors of the field are not to be trusted: longer chains first (R-hat below), "
                "then the model",
            )
        )
    return out


def _long_enough(measured: Sequence[Measured]) -> dict[str, Any]:
    # R-hat of a chain too short for it counts as the largest.
    worst = max(measured, key=lambda one: np.nan_to_num(one.chain["rhat"], nan=np.inf))
    rhat = worst.chain["rhat"]
    return _verdict(
        "chains",
        rhat <= RHAT,
        f"the chains are long enough: largest R-hat {rhat:.2f} ({worst.chain['rhat_of']} of "
        f"{worst.name}), wanted at most {RHAT:g}",
        "repeat with more --samples (the runs go on where they stopped), or in a new folder with a "
        "longer --warmup; until then z and coverage allow for the effective samples, but not for "
        "a drift",
    )


def _divergent(measured: Sequence[Measured]) -> dict[str, Any]:
    counts = [sum(one.chain[name] for one in measured) for name in ("divergences", "trajectories")]
    met, text = few_diverge(*counts)
    return _verdict("divergences", met, text, "a new folder with a longer --warmup")
