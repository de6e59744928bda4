"""Imported before torch: the library that says there is a GPU, which is the process's first argument."""

import ctypes
import sys

ctypes.CDLL(sys.argv[1])
