"""In the place of functions that would open a window."""

import cv2
import PIL.Image
from IPython import display


def cv2_imshow(a):
    """Show a picture whose colours are in OpenCV's order."""
    a = a.clip(0, 255).astype("uint8")
    if a.ndim == 3:
        order = cv2.COLOR_BGRA2RGBA if a.shape[2] == 4 else cv2.COLOR_BGR2RGB
        a = cv2.cvtColor(a, order)
    display.display(PIL.Image.fromarray(a))


cv_imshow = cv2_imshow
