"""Write runs as DAWNBench entries or MLPerf logs, or hand them to an experiment tracker."""

COMMANDS = ("dawnbench", "mllog", "mlflow", "wandb", "tensorboard")
