"""From matter density to the halo mass distribution and its likelihood. No cobaya, no input/output."""
