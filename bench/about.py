"""The version, and when this process began to be bench."""

# For `python -m bench` this runs while the current folder is still first on the path: only what is built in may be
# imported here.
import time

VERSION = "0.1.0"
# The moment nearest to the user's command that Python lets us see; a run's spans start here.
STARTED_S = time.monotonic()
