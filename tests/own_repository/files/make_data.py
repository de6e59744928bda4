"""Writes shapes.npz: bars, crosses and squares at random places in noise, 12x12 pixels in colour."""

import numpy as np

CLASSES, SIDE = 4, 12


def draw(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [count, SIDE, SIDE, 3] and labels int64 [count]."""
    images = rng.integers(0, 120, (count, SIDE, SIDE, 3), np.uint8)
    labels = rng.integers(0, CLASSES, count)
    colours = rng.integers(100, 220, (count, 3), np.uint8)
    for image, label, colour in zip(images, labels, colours, strict=True):
        row, column = rng.integers(0, SIDE - 5, 2)
        if label in (0, 2):
            image[row + 2, column : column + 5] = colour
        if label in (1, 2):
            image[row : row + 5, column + 2] = colour
        if label == 3:
            image[row : row + 5, [column, column + 4]] = colour
            image[[row, row + 4], column : column + 5] = colour
    return images, labels


def main() -> None:
    rng = np.random.default_rng(0)
    train_images, train_labels = draw(2000, rng)
    test_images, test_labels = draw(500, rng)
    np.savez(
        "shapes.npz",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )


if __name__ == "__main__":
    main()
