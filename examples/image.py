"""Image: a small texture, drawn large and smooth."""

import numpy as np
from common.scripts import draw_one, rainbow

from gsp_network import Image, ImageInterpolation, Texture

texture = Texture(rainbow(64).reshape(8, 8, 4), 8, 8)
draw_one(Image(texture, np.zeros((1, 3)), [-0.8, 0.8, -0.8, 0.8], ImageInterpolation.LINEAR), "image.png")
