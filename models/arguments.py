"""The arguments of a network's builder that are no options of the recipe."""

# What a builder gets from the data, by the names that it may have there: ours, torchvision's and timm's.
FROM_DATA = {
    "in_channels": ("in_channels", "in_chans"),
    "classes": ("classes", "num_classes", "n_classes"),
    "image_size": ("image_size", "img_size"),
}
