"""Mass assignment of lattice particles to a periodic mesh, interpolation back, and the adjoints.

Particle (i, j, k) of a lattice (n0, n1, n2) is at

    scale ((i, j, k) + displacement[:, i, j, k]) + offset

in voxel sides of the mesh, whose node i, the centre of voxel i, has coordinate i. With scale 1
and offset 0 one particle starts on each node; a lattice shifted by a quarter of a voxel has
offset 1/4; on a mesh of B times as many voxels a side, scale is B and offset (B - 1)/2, so that
the faces of the box stay together (:func:`refined`).

Weights are B-splines: cloud in cell (``cic``, 8 nodes) is continuous, triangular-shaped cloud
(``tsc``, 27) has a continuous first derivative, which is what a gradient sampler wants, the
piecewise cubic spline (``pcs``, 64) a continuous second one. Hockney & Eastwood (1988), chapter 5.

Loops are shared between threads. Particles are painted in slabs of the lattice, every other one
and then the rest: as far as the displacements reach, slabs painted together have no node in
common, so any number of threads adds the same numbers in the same order. No more threads are of
use than (box side / range of the displacements / 2), its square on large meshes, where slabs are
cut into tiles of four colours. Memory: one mesh with ghosts, and a few rows a thread.
"""

from functools import cache, partial
from itertools import pairwise
from math import ceil
from typing import NamedTuple

import numpy as np

from ..array_pool import empty, zeros
from ..threads import SERIAL
from . import ghosts, kicks, scatter_gather

# From so many rows on, the nodes that a slab reaches outgrow the cache: it is cut along y as well.
LARGE = 96

# Weight of each of the nodes as a polynomial in the distance f to the first one, 0 <= f < 1: rows
# are powers of f.
SPLINES = {
    "cic": ((1, 0), (-1, 1)),
    "tsc": ((1 / 2, 1 / 2, 0), (-1, 1, 0), (1 / 2, -1, 1 / 2)),
    "pcs": (
        (1 / 6, 2 / 3, 1 / 6, 0),
        (-1 / 2, 0, 1 / 2, 0),
        (1 / 2, -1, 1 / 2, 0),
        (-1 / 6, 1 / 2, -1 / 2, 1 / 6),
    ),
}


class Lattice(NamedTuple):
    """Where the particles start: see above."""

    scale: float = 1.0  #: mesh voxel sides of one lattice spacing
    offset: tuple = (0.0, 0.0, 0.0)  #: of particle (0, 0, 0) [mesh voxel sides]


ON_NODES = Lattice()


def refined(factor, shift=(0.0, 0.0, 0.0)):
    """Lattice, shifted by ``shift`` of its spacings, on a mesh ``factor`` times as fine."""
    return Lattice(float(factor), tuple(factor * (s + 0.5) - 0.5 for s in shift))


@cache
def spline(name, dtype):
    """Coefficients of the weights and of their derivatives, as vectors of two or four."""
    rows = SPLINES[name]
    width = 2 if len(rows) == 2 else 4
    powers = tuple(tuple(dtype.type(c) for c in (*row, *(0,) * (width - len(row)))) for row in rows)
    slopes = tuple(tuple(dtype.type(m) * c for c in powers[m]) for m in range(1, len(powers)))
    return powers, slopes


def frame_of(lattice, powers):
    # The first of S nodes is the last one at or below x - (S - 2)/2.
    lead = (len(powers) - 2) / 2
    return (float(lattice.scale), *(float(o) - lead for o in lattice.offset))


def padded_shape(mesh, powers):
    return tuple(n + len(powers[0]) - 1 for n in mesh.shape)


def with_ghosts(mesh, powers, factor, threads):
    """``factor * mesh`` (n, n, n) with ghosts."""
    shape = padded_shape(mesh, powers)
    padded = empty(shape, mesh.dtype)
    threads.run(ghosts.pad, shape[0], mesh, factor, padded)
    return padded


def _slabs(length, limits, scale, nodes, n):
    """Edges of slabs of the lattice along one axis; every other one has no node in common."""
    reach = int(limits[1] - limits[0]) + ceil(nodes / scale)
    number = 2 * (length // (2 * reach)) if reach > 0 else 0
    if number < 4 or scale * length > n:
        return [[(0, length)]]
    edges = [length * s // number for s in range(number + 1)]
    slabs = list(pairwise(edges))
    return [slabs[::2], slabs[1::2]]


def tiles_within(limits, shape, scale, nodes, n):
    """Arrays of tiles (i0, i1, j0, j1), one for each colour, on a mesh of n^3.

    Parameters
    ----------
    limits : integers at or below the smallest and the largest displacement along x, and along y
        where there are LARGE rows or more
    shape : planes and rows of the lattice
    """
    planes, rows = shape
    x = _slabs(planes, limits[0], scale, nodes, n)
    y = _slabs(rows, limits[1], scale, nodes, n) if rows >= LARGE else [[(0, rows)]]
    return [np.array([(*a, *b) for a in xs for b in ys]) for xs in x for ys in y]


def _tiles(displacement, scale, nodes, n):
    shape = displacement.shape[1:3]
    axes = 2 if shape[1] >= LARGE else 1
    limits = [scatter_gather.displacement_range(displacement[axis]) for axis in range(axes)]
    return tiles_within(limits, shape, scale, nodes, n)


def paint(name, displacement, density, lattice=ON_NODES, mass=1.0, threads=SERIAL):
    """Add particles of mass ``mass`` (1: the mean density, one particle a voxel) to ``density``.

    Parameters
    ----------
    name : "cic", "tsc" or "pcs"
    displacement : (3, n0, n1, n2) float, spacings of the lattice
    density : (n, n, n) float of the same type, n >= 3; added to
    lattice : Lattice
    """
    powers, _ = spline(name, density.dtype)
    padded = zeros(padded_shape(density, powers), density.dtype)
    frame = frame_of(lattice, powers)
    for tiles in _tiles(displacement, lattice.scale, len(powers), len(density)):
        threads.run(scatter_gather.scatter, len(tiles), tiles, displacement, frame, powers, padded)
    threads.run(ghosts.fold, len(density), padded, mass, density)


def paint_vjp(
    name,
    displacement,
    density_bar,
    displacement_bar,
    lattice=ON_NODES,
    mass=1.0,
    add=False,
    threads=SERIAL,
):
    """Cotangent of the displacement given that of the density; see :func:`paint`.

    Parameters
    ----------
    density_bar : (n, n, n) float
    displacement_bar : (3, n0, n1, n2) float, output (may be ``displacement`` itself)
    add : bool, add to ``displacement_bar`` (else overwrite)
    """
    powers, slopes = spline(name, density_bar.dtype)
    padded = with_ghosts(density_bar, powers, mass, threads)
    threads.run(
        scatter_gather.gather_gradient,
        displacement.shape[1],
        displacement,
        frame_of(lattice, powers),
        powers,
        slopes,
        padded,
        add,
        displacement_bar,
    )


def vector_mesh(name, n, dtype):
    """Uninitialised (n + g, n + g, n + g, 4): four numbers at each node, with ghosts.

    g is one less than the nodes an axis. :func:`paint_vectors` takes, and :func:`kick` reads,
    three components of a vector and one number more.
    """
    return empty((*(n + len(SPLINES[name]) - 1,) * 3, 4), dtype)


@cache
def _vector_spline(name, dtype):
    """As :func:`spline`, without weights of zero."""
    width = len(SPLINES[name])
    return tuple(tuple(row[:width] for row in rows) for rows in spline(name, dtype))


def paint_vectors(name, displacement, vectors, mesh, lattice=ON_NODES, threads=SERIAL):
    """Add the vectors of particles, and in the fourth place 1 for each of them, to a mesh.

    Ghosts are left where they are.

    Parameters
    ----------
    name : "cic", "tsc" or "pcs"
    displacement : (3, n0, n1, n2) float, spacings of the lattice
    vectors : (3, n0, n1, n2) float of the same type
    mesh : see :func:`vector_mesh`; added to
    """
    powers, _ = _vector_spline(name, mesh.dtype)
    n = len(mesh) - len(powers) + 1
    frame = frame_of(lattice, powers)
    for tiles in _tiles(displacement, lattice.scale, len(powers), n):
        threads.run(
            kicks.scatter_vectors,
            len(tiles),
            tiles,
            displacement,
            vectors,
            frame,
            powers,
            mesh,
        )


def kick(name, displacement, momentum, mesh, drift, lattice=ON_NODES, threads=SERIAL):
    """``p += V(x)``, with V interpolated at the particles, and then ``x += drift p``.

    Parameters
    ----------
    name : "cic", "tsc" or "pcs"
    displacement, momentum : x and p, (3, n0, n1, n2) float, spacings of the lattice; changed
    mesh : see :func:`vector_mesh`, with V and anything in the fourth place
    drift : float
    """
    powers, _ = _vector_spline(name, mesh.dtype)
    threads.run(
        kicks.kick,
        displacement.shape[1],
        displacement,
        frame_of(lattice, powers),
        powers,
        mesh,
        drift,
        momentum,
    )


def kick_back(
    name,
    displacement,
    momentum,
    mesh,
    drift,
    displacement_bar,
    momentum_bar,
    lattice=ON_NODES,
    threads=SERIAL,
):
    """Undo ``p += V(x)``, and then the drift before it, ``x += drift p``, with their adjoints.

    Parameters
    ----------
    displacement, momentum : x and p, (3, n0, n1, n2) float; changed back
    mesh : see :func:`vector_mesh`, with V, and in the fourth place the cotangent of the density
    drift : float
    displacement_bar, momentum_bar : (3, n0, n1, n2) float, cotangents; changed
    """
    powers, slopes = _vector_spline(name, mesh.dtype)
    threads.run(
        kicks.kick_back,
        displacement.shape[1],
        displacement,
        momentum,
        frame_of(lattice, powers),
        powers,
        slopes,
        mesh,
        drift,
        displacement_bar,
        momentum_bar,
    )


def _density_contrast(name, displacement, delta, threads=SERIAL):
    """Density contrast of one particle a voxel.

    Parameters
    ----------
    displacement : (3, n, n, n) float, voxel sides
    delta : (n, n, n) float, output
    """
    delta[:] = -1.0
    paint(name, displacement, delta, threads=threads)


def _density_contrast_vjp(name, displacement, delta_bar, displacement_bar, threads=SERIAL):
    """Cotangent of the displacement, which may take its place."""
    paint_vjp(name, displacement, delta_bar, displacement_bar, threads=threads)


cic, cic_vjp = partial(_density_contrast, "cic"), partial(_density_contrast_vjp, "cic")
tsc, tsc_vjp = partial(_density_contrast, "tsc"), partial(_density_contrast_vjp, "tsc")
pcs, pcs_vjp = partial(_density_contrast, "pcs"), partial(_density_contrast_vjp, "pcs")
