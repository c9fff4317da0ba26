"""Augmentation changes image and mask alike and is reproducible."""

from __future__ import annotations

import torch

from cardiolabel.preprocessing.augmentation import AUGMENTATIONS, Augmentation

PLAIN_GREY = {
    "gamma": (1.0, 1.0),
    "gain": (1.0, 1.0),
    "attenuation": 0.0,
    "noise": 0.0,
    "speckle": 0.0,
    "blur_share": 0.0,
    "shadow_share": 0.0,
}
STILL = {"rotation_deg": 0.0, "scale": (1.0, 1.0), "stretch": 0.0, "shift": 0.0, "mirror_share": 0.0}


def batch(count: int = 6, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    rows, cols = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    blob = ((rows - 24) / 16) ** 2 + ((cols - 36) / 9) ** 2 < 1
    masks = blob.long().expand(count, -1, -1).clone()
    return masks[:, None].float(), masks


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_image_and_mask_are_warped_alike() -> None:
    images, masks = batch()
    moved_images, moved_masks = Augmentation(**PLAIN_GREY)(images, masks, generator=seeded())
    assert moved_masks.dtype == torch.int64 and moved_images.shape == images.shape
    for image, mask, before in zip(moved_images[:, 0] > 0.5, moved_masks == 1, masks == 1, strict=True):
        overlap = 2 * (image & mask).sum() / (image.sum() + mask.sum())
        assert overlap > 0.95
        assert not torch.equal(mask, before)


def test_grey_values_change_and_the_mask_does_not() -> None:
    images, masks = batch()
    varied, same = Augmentation(**STILL)(images, masks, generator=seeded())
    assert torch.equal(same, masks)
    assert (varied - images).abs().amax(dim=(1, 2, 3)).min() > 0.02
    assert varied.min() >= 0 and varied.max() <= 2 and torch.isfinite(varied).all()


def test_mirroring_is_drawn_per_image() -> None:
    images, masks = batch(count=32)
    mirrored = {**STILL, "mirror_share": 0.5}
    _, moved = Augmentation(**mirrored, **PLAIN_GREY)(images, masks, generator=seeded())
    flipped = [torch.equal(moved_mask, mask.flip(1)) for moved_mask, mask in zip(moved, masks, strict=True)]
    unchanged = [torch.equal(moved_mask, mask) for moved_mask, mask in zip(moved, masks, strict=True)]
    assert 4 < sum(flipped) < 28 and sum(flipped) + sum(unchanged) == 32


def test_the_same_seed_gives_the_same_batch() -> None:
    images, masks = batch()
    augment = Augmentation()
    torch.manual_seed(1)
    each = augment(images, masks, generator=seeded(7))
    torch.manual_seed(2)
    again = augment(images, masks, generator=seeded(7))
    other = augment(images, masks, generator=seeded(8))
    assert torch.equal(each[0], again[0]) and torch.equal(each[1], again[1])
    assert not torch.equal(each[0], other[0])


def test_the_input_batch_stays_unchanged() -> None:
    images, masks = batch()
    before = images.clone(), masks.clone()
    Augmentation()(images, masks, generator=seeded())
    assert torch.equal(images, before[0]) and torch.equal(masks, before[1])


def test_black_stays_black() -> None:
    images, masks = batch(size=32)
    varied, _ = Augmentation(**{**STILL, "shadow_share": 0.0, "blur_share": 0.0})(
        images, masks, generator=seeded()
    )
    assert not varied[images == 0].any()


def test_no_augmentation_changes_nothing() -> None:
    images, masks = batch()
    same_images, same_masks = AUGMENTATIONS["none"](images, masks, generator=seeded())
    torch.testing.assert_close(same_images, images, atol=1e-4, rtol=0)
    assert torch.equal(same_masks, masks)


def test_a_cropped_sector_is_black_at_one_side_only() -> None:
    images = torch.ones(16, 1, 64, 64)
    crop = Augmentation(**STILL, **PLAIN_GREY, crop_share=1.0)
    cropped, _ = crop(images, torch.zeros(16, 64, 64, dtype=torch.long), generator=seeded())
    dark = (cropped == 0).float().mean(dim=(1, 2, 3))
    assert 0.02 < dark.mean() < 0.2
    assert (cropped[:, :, :, 24:40] == 1).all()
    assert (cropped[:, :, :, 0] == 0).any() and (cropped[:, :, :, -1] == 0).any()


def test_scanner_gain_shifts_lit_pixels_and_depth_loss_grows_with_depth() -> None:
    images = torch.full((64, 1, 64, 64), 0.5)
    images[:, :, :, :8] = 0
    masks = torch.zeros(64, 64, 64, dtype=torch.long)
    level = Augmentation(**STILL, **PLAIN_GREY, scanner_share=0.5, depth_loss=0.0)
    moved, _ = level(images, masks, generator=seeded())
    assert not moved[:, :, :, :8].any()
    change = (moved - images)[:, 0, 5, 30]
    assert 0.15 < change.abs().max() <= 0.2 and 16 < (change != 0).sum() < 48
    loss = Augmentation(**STILL, **PLAIN_GREY, scanner_share=1.0, level=0.0)
    deeper, _ = loss(images, masks, generator=seeded())
    lost = (images - deeper)[:, 0, :, 30]
    assert lost[:, 0].abs().max() < 1e-6 and 0.3 < lost[:, -1].max() <= 0.4
    assert (lost.diff(dim=1) >= -1e-6).all()


def test_clean_images_keep_their_greys() -> None:
    images, masks = batch(count=32)
    varied, _ = Augmentation(**STILL, clean_share=0.5)(images, masks, generator=seeded())
    clean = (varied - images).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert 4 < clean.sum() < 28
