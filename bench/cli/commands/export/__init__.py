"""Write runs in a foreign format, or to an experiment tracker."""

COMMANDS = ("dawnbench", "mllog", "mlflow", "wandb", "tensorboard")
