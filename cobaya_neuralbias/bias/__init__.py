"""From matter density to the halo mass distribution and its likelihood; no cobaya, no I/O."""
