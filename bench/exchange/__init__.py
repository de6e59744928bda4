"""Import and export of other formats: DAWNBench entries and MLPerf logs."""
