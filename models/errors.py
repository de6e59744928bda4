class ImpossibleModel(Exception):
    """A network that is not registered, or whose options do not fit together or fit the images."""
