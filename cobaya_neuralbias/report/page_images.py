"""PNG in base64, as small as they may be without a difference that a reader could see."""

import base64
import io

import numpy as np
from PIL import Image

# A figure is drawn with few colours if that changes no more than this part of its pixels by more
# than FAR, of 255. Maps, whose colours are values, are not.
CHANGED, FAR = 0.002, 16
COLOURS = 256


def in_base64(data):
    return base64.b64encode(data).decode("ascii")


def picture(level, palette):
    """base64 of a PNG with the colours ``palette`` (levels, 3) uint8 at ``level`` (rows, columns)
    uint8.
    """
    image = Image.fromarray(np.ascontiguousarray(level))
    image.putpalette(palette.tobytes())
    return in_base64(_png(image))


def figure(path):
    """(base64 of a PNG file, (width, height) in pixels), with few colours if that is as good."""
    original = path.read_bytes()
    with Image.open(io.BytesIO(original)) as image:
        colours = image.convert("RGB")
    few = colours.quantize(COLOURS, dither=Image.Dither.NONE)
    change = np.abs(np.asarray(colours, dtype=np.int16) - np.asarray(few.convert("RGB")))
    as_good = (change.max(-1) > FAR).mean() <= CHANGED
    smaller = _png(few) if as_good else original
    return in_base64(min(original, smaller, key=len)), colours.size


def _png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
