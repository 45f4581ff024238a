"""Particles and the mesh: assignment, its adjoint, kicks and drifts."""
