"""Statistics of a few runs. Importing the package itself is cheap: its modules import scipy only if they need it."""

# Student's factor is 12.7 for two values and 4.3 for three, so two values say more than their interval.
LEAST_FOR_INTERVAL = 3
