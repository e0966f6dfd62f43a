"""Shifts and mirroring of training images."""

import torch

from cudfkd.teachers.augmentation import augmented, flip, shift


def test_flip_mirrors_some_images_and_leaves_the_others():
    images = torch.rand(64, 1, 4, 4)
    flipped = flip(images, torch.Generator().manual_seed(0))
    mirrored = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(flipped, images, strict=True)])
    left = torch.tensor([torch.equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert (mirrored ^ left).all()
    assert 16 < int(mirrored.sum()) < 48


def test_shift_moves_each_image_by_up_to_so_many_pixels_and_black_moves_in():
    pixels = torch.arange(1, 37, dtype=torch.uint8).view(1, 1, 6, 6).repeat(400, 2, 1, 1)
    moved = shift(pixels, 1, torch.Generator().manual_seed(0))
    assert moved.shape == pixels.shape
    assert moved.dtype == torch.uint8
    places = {(y, x): torch.zeros(8, 8, dtype=torch.uint8) for y in range(3) for x in range(3)}
    for (y, x), canvas in places.items():
        canvas[1:7, 1:7] = pixels[0, 0]
        places[y, x] = canvas[y : y + 6, x : x + 6]
    seen = [
        {place for place, shifted in places.items() if torch.equal(shifted, image[channel])}
        for image in moved
        for channel in (0, 1)
    ]
    assert all(len(matches) == 1 for matches in seen)
    counts = [sum(matches == {place} for matches in seen) for place in places]
    assert min(counts) > 60
    assert seen[::2] == seen[1::2]


def test_a_crop_is_a_shift_and_a_mirroring():
    pixels = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    cropped = augmented(pixels, "crop", torch.Generator().manual_seed(3))
    rng = torch.Generator().manual_seed(3)
    assert torch.equal(cropped, flip(shift(pixels, 4, rng).float() / 255, rng))
    assert torch.equal(augmented(pixels, "none", rng), pixels.float() / 255)
