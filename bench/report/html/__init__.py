"""The report: a folder of static pages made from runs, records and leaderboards."""
