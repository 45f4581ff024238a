"""From white noise to the matter density today, with exact adjoints. No cobaya, no input/output."""
