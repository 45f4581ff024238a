"""Cobaya theories: linear power, and the matter density that it and the white noise make."""
