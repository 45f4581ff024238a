"""Periodic meshes with ghost layers, so that what reaches over a face needs no modulo.

A padded mesh has ``g`` more layers than the periodic one behind the last on each axis; layer
``n + i`` is layer ``i`` again. ``pad`` and ``fold`` are each other's adjoint.
"""

from ..jit import jit


@jit
def pad(start, stop, mesh, factor, padded):
    """``factor * mesh`` (n, n, n) with its ghosts; planes ``start`` to ``stop - 1`` of ``padded``.

    Parameters
    ----------
    mesh : (n, n, n) float
    factor : float
    padded : (n + g, n + g, n + g) float, output, g <= n
    """
    n = mesh.shape[0]
    for i in range(start, stop):
        for j in range(padded.shape[1]):
            row = mesh[i % n, j % n]
            out = padded[i, j]
            for k in range(n):
                out[k] = factor * row[k]
            for k in range(n, padded.shape[2]):
                out[k] = out[k - n]


@jit
def fold(start, stop, padded, factor, mesh):
    """Adds ``factor * padded``, its ghosts at their periodic places, to the mesh.

    Parameters
    ----------
    start, stop : int, planes of ``mesh``
    padded : (n + g, n + g, n + g) float, g <= n
    factor : float
    mesh : (n, n, n) float, added to
    """
    n = mesh.shape[0]
    for i in range(start, stop):
        for j in range(n):
            row = mesh[i, j]
            for a in range(i, padded.shape[0], n):
                for b in range(j, padded.shape[1], n):
                    part = padded[a, b]
                    for k in range(n):
                        row[k] += factor * part[k]
                    for k in range(n, padded.shape[2]):
                        row[k - n] += factor * part[k]
