"""The sound horizon at the drag epoch, fitted to CAMB, for gravity/sound_horizon.py.

    python docs/measure/sound_horizon.py

Massless neutrinos, N_eff = 3.044, T_CMB = 2.7255 K, helium of the BBN (CAMB's defaults). Prints the
coefficients that fit best on a grid of baryon and matter densities, and the largest errors of those
in use, on the grid and between its points.
"""

import camb
import numpy as np

from cobaya_neuralbias.gravity.sound_horizon import sound_horizon, terms


def by_camb(ombh2, ommh2):
    parameters = camb.set_params(
        H0=68.0, ombh2=ombh2, omch2=ommh2 - ombh2, mnu=0.0, num_nu_massive=0, nnu=3.044
    )
    return camb.get_background(parameters).get_derived_params()["rdrag"]


def grid(baryons, matter):
    points = np.array([(b, m) for b in baryons for m in matter])
    return points.T, np.array([by_camb(*point) for point in points])


def main():
    points, values = grid(np.geomspace(0.015, 0.032, 9), np.geomspace(0.07, 0.26, 13))
    coefficients = np.linalg.lstsq(terms(*points).T, np.log(values), rcond=None)[0]
    print("coefficients", ", ".join(f"{c:.6g}" for c in coefficients))
    print(f"largest error: {np.abs(sound_horizon(*points) / values - 1).max():.2e}")
    points, values = grid(np.linspace(0.016, 0.031, 7), np.linspace(0.075, 0.25, 9))
    print(f"between: {np.abs(sound_horizon(*points) / values - 1).max():.2e}")


if __name__ == "__main__":
    main()
