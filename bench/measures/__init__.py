"""The measures of a recipe, one in each file; `bench.measures.lookup` finds them by name."""
