"""What a backend is given and what it must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Hashable, Sequence

import numpy as np

from ..codec import Scene
from ..scene.buffers import Buffer
from ..scene.objects import Canvas, SceneObject, Viewport
from ..scene.projection import project


@dataclass(frozen=True)
class Drawing:
    """One entry of a scene's lists, ready to be drawn.

    Attributes:
        kind: name of the visual in `VISUALS`.
        where: path in the document, for messages.
        key: the same from frame to frame for the same visual in the same viewport; tells kept artists apart.
        fields: the visual's values by field name; buffers as arrays (count, *element shape), a texture as
            (height, width, 4).
        viewport: where to draw and what to clip to.
        dpi: px per inch.
        pixels: (n, 2) float64, the vertices in px of the canvas, origin bottom-left, y up.
        visible: (n,) bool; False for a vertex that must not be drawn.
    """

    kind: str
    where: str
    key: Hashable
    fields: dict[str, Any]
    viewport: Viewport
    dpi: float
    pixels: np.ndarray[Any, Any]
    visible: np.ndarray[Any, Any]


class Backend(ABC):
    """Draws whole scenes; one instance a process."""

    @abstractmethod
    def render(self, canvas: Canvas, drawings: Sequence[Drawing], math_text: bool = False) -> np.ndarray[Any, Any]:
        """Draw on opaque white, in this order whatever z, each drawing clipped to its viewport.

        Args:
            canvas: size and resolution of the picture.
            drawings: what to draw.
            math_text: draw ``$...$`` in strings as formulas.
        Returns:
            (height, width, 3) uint8, sRGB, first row on top; the caller's own.
        """


def prepare(scene: Scene) -> list[Drawing]:
    """What is common to all backends: values out of their buffers, vertices through their matrices to pixels.

    Args:
        scene: one whose chains have run.
    """
    drawings = []
    seen: dict[Hashable, int] = {}
    for index, (viewport, visual, model, camera) in enumerate(
        zip(scene.viewports, scene.visuals, scene.model_matrices, scene.cameras)
    ):
        matrices = [_matrix(buffer) for buffer in (model, camera.get_view_matrix(), camera.get_projection_matrix())]
        fields = {field.name: _value(getattr(visual, f"get_{field.name}")()) for field in visual.FIELDS}
        ndc, visible = project(fields[visual.position_field().name], *matrices)
        corner = np.array([viewport.get_x(), viewport.get_y()], np.float64)
        size = np.array([viewport.get_width(), viewport.get_height()], np.float64)
        pixels = corner + (ndc[:, :2] + 1.0) * (size / 2.0)
        key = (visual.kind, visual.get_uuid(), viewport.get_uuid())
        seen[key] = seen.get(key, 0) + 1
        drawings.append(
            Drawing(
                visual.kind,
                f"visuals[{index}]",
                (*key, seen[key]),
                fields,
                viewport,
                scene.canvas.get_dpi(),
                pixels,
                visible,
            )
        )
    return drawings


def _matrix(buffer: Any) -> np.ndarray[Any, Any]:
    matrix: np.ndarray[Any, Any] = buffer.to_numpy()[0]
    return matrix


def _value(value: Any) -> Any:
    if isinstance(value, Buffer):
        return value.to_numpy()
    if isinstance(value, SceneObject):  # the texture
        return value.get_data().to_numpy().reshape(value.get_height(), value.get_width(), 4)
    return value
