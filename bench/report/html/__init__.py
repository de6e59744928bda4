"""The report: a folder of static pages, made of runs, records and the boards that rank them."""
