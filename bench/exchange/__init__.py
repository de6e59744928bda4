"""Foreign formats, in and out: DAWNBench entries and MLPerf log lines."""
