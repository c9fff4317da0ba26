"""Luma, and colours that mean something."""

import numpy as np

from cardiolabel.io.luma import chroma, grey, is_colour_picture, luma


def test_grey_keeps_equal_channels() -> None:
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(grey(np.stack([values] * 3, axis=-1)), values)


def test_colours_become_their_luma() -> None:
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[:, :8, 0], rgb[:, 8:, 1] = 200, 100
    assert (luma(rgb, is_ybr=False)[4, 2], luma(rgb, is_ybr=False)[4, 12]) == (60, 59)


def test_rgb_and_ybr_have_the_same_colours() -> None:
    """Pure red of BT.601, full range: Y 76.245, Cb 84.97, Cr 255.5."""
    rgb = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    ybr = np.full((4, 4, 3), (76, 85, 255), np.uint8)
    np.testing.assert_allclose(chroma(rgb, is_ybr=False), chroma(ybr, is_ybr=True), atol=1.5)


def test_little_text_in_colour_is_no_colour_picture() -> None:
    bright = np.tile(np.arange(256.0), (100, 1))
    colours = np.zeros((100, 256, 2), np.float32)
    colours[:1, :200] = 120  # 0.8 % of the pixels
    assert not is_colour_picture(bright, colours)
    colours[:10, :200] = 120
    assert is_colour_picture(bright, colours)
