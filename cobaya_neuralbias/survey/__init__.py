"""From a table of angles and redshifts to a box, its completeness and the yaml file of a run."""
