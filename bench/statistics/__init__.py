"""What numbers from few runs can say. Importing this is cheap: scipy comes with what needs it."""

# Student's factor is 12.7 for two values and 4.3 for three: of fewer than three, the values say more than an interval.
LEAST_FOR_INTERVAL = 3
