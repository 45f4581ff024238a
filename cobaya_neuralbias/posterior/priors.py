"""The priors of the bias weights: log density and gradient of Cobaya's one-dimensional priors."""

import numpy as np


class WeightPriors:
    """Log density of the weights, constants dropped, and its gradient.

    Parameters
    ----------
    pdfs : list of frozen scipy distributions, as in ``model.prior.pdf``
    """

    # Exact HMC needs the energy exact; a gradient off by a finite difference costs acceptance only.
    STEP = 1e-5

    def __init__(self, pdfs: list) -> None:
        self._pdfs = pdfs
        self._normal = np.array([pdf.dist.name == "norm" for pdf in pdfs], dtype=bool)
        moments = [
            (pdf.mean(), pdf.std()) if n else (0, 1)
            for pdf, n in zip(pdfs, self._normal, strict=True)
        ]
        self._loc, self._scale = np.array(moments, dtype=float).reshape(-1, 2).T
        self._bounds = np.array([pdf.interval(1) for pdf in pdfs]).reshape(-1, 2)
        self.constant = -float(
            np.sum(np.log(self._scale[self._normal] * np.sqrt(2 * np.pi)))
        ) - sum(
            np.log(pdf.interval(1)[1] - pdf.interval(1)[0])
            for pdf in pdfs
            if pdf.dist.name == "uniform"
        )

    @property
    def bounds(self) -> np.ndarray:
        """(n, 2) float64, the ends of each prior's support."""
        return self._bounds

    def curvature(self, weights: np.ndarray) -> np.ndarray:
        """(n,) minus the second derivatives of the log density."""
        out = np.where(self._normal, self._scale**-2.0, 0.0)
        others = ~self._normal & np.array(
            [p.dist.name != "uniform" for p in self._pdfs], dtype=bool
        )
        if others.any():
            step = 1e-3 * others
            ends = [self.value_and_gradient(weights + sign * step)[1] for sign in (1, -1)]
            out[others] = ((ends[1] - ends[0]) / 2e-3)[others]
        return out

    def value_and_gradient(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        pull = (weights - self._loc) / self._scale
        value = -0.5 * float(np.sum(pull[self._normal] ** 2))
        gradient = np.where(self._normal, -pull / self._scale, 0.0)
        if np.any(weights < self._bounds[:, 0]) or np.any(weights > self._bounds[:, 1]):
            return -np.inf, np.zeros_like(gradient)
        for i in np.flatnonzero(~self._normal):
            pdf = self._pdfs[i]
            if pdf.dist.name == "uniform":
                continue
            value += float(pdf.logpdf(weights[i]))
            with np.errstate(invalid="ignore"):
                ends = pdf.logpdf(weights[i] + self.STEP * np.array([-1, 1]))
                slope = (ends[1] - ends[0]) / (2 * self.STEP)
            gradient[i] = slope if np.isfinite(slope) else 0.0
        return value, gradient
