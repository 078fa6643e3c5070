"""A numpy array as a picture: a field of floats, given colours and drawn texel by texel."""

import numpy as np
from common.scripts import draw_one

from gsp_network import Image, ImageInterpolation, Texture

y, x = np.mgrid[-3:3:120j, -3:3:160j]
field = np.sin(x * x + y * y) / (1.0 + 0.2 * (x * x + y * y))  # -1 to 1
level = (field - field.min()) / np.ptp(field)

texels = np.empty((*field.shape, 4), np.uint8)  # (height, width, 4), first row on top
texels[..., 0] = 255 * level
texels[..., 1] = 255 * level * level
texels[..., 2] = 255 * (1 - level) * 0.6 + 40
texels[..., 3] = 255

height, width = field.shape
image = Image(
    Texture(texels, width, height), np.zeros((1, 3)), [-0.95, 0.95, -0.7125, 0.7125], ImageInterpolation.NEAREST
)
draw_one(image, "image_from_numpy.png")
