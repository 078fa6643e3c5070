"""Vertex groups of the Pixels visual: which vertices share a colour."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from ..errors import InvalidScene, kind_of
from .buffers import check_int

Groups = Union[int, list[int], list[list[int]]]
"""An int: every group has that many vertices; ints: the sizes of consecutive groups; lists: the vertex indices of each."""


def check_groups(value: Any, where: str) -> Groups:
    """`value` as Groups of plain ints, in lists of their own; numpy integers and arrays are taken too.

    Raises:
        InvalidScene: at `where`, or at ``where[i]`` for one of its items.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        return check_int(value, where, least=1)
    items = [item.tolist() if isinstance(item, np.ndarray) else item for item in value]
    if items and isinstance(items[0], (list, tuple)):
        for index, item in enumerate(items):
            if not isinstance(item, (list, tuple)):
                raise InvalidScene(
                    f"{where}[{index}]", f"{kind_of(item)}, expected a list of vertex indices, as groups[0] is"
                )
        return [_ints(item, f"{where}[{index}]") for index, item in enumerate(items)]
    return _ints(items, where)


def _ints(items: Any, where: str) -> list[int]:
    if all(type(item) is int and 0 <= item < 2**31 for item in items):
        return list(items)
    return [check_int(item, f"{where}[{index}]", least=0) for index, item in enumerate(items)]


def count_groups(groups: Groups, vertices: int, where: str) -> int:
    """Number of groups over that many vertices.

    Raises:
        InvalidScene: the groups do not fit the vertices: sizes that do not add up, an index out of range.
    """
    if isinstance(groups, int):
        if vertices % groups:
            raise InvalidScene(where, f"{vertices} positions, expected a multiple of the group size {groups}")
        return vertices // groups
    if groups and isinstance(groups[0], list):
        for index, group in enumerate(groups):
            highest = max(group, default=-1)  # type: ignore[arg-type]
            if highest >= vertices:
                raise InvalidScene(f"{where}[{index}]", f"vertex index {highest}, expected less than {vertices}")
    elif sum(groups) != vertices:  # type: ignore[arg-type]
        raise InvalidScene(where, f"sizes add up to {sum(groups)}, expected the {vertices} positions")  # type: ignore[arg-type]
    return len(groups)


def listed_indices(groups: Groups) -> int:
    """How many vertex indices the groups list; a vertex may stand in several, and twice in one."""
    if isinstance(groups, list) and groups and isinstance(groups[0], list):
        return sum(len(group) for group in groups)  # type: ignore[arg-type]
    return 0


def vertex_order(groups: Groups, vertices: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Vertices in drawing order, with the group of each.

    Args:
        groups: groups that `count_groups` found right.
        vertices: number of vertices.
    Returns:
        (k,) vertex indices and (k,) group indices; k differs from `vertices` only where groups list their indices.
    """
    if isinstance(groups, int):
        indices = np.arange(vertices)
        return indices, indices if groups == 1 else np.repeat(np.arange(vertices // groups), groups)
    if groups and isinstance(groups[0], list):
        sizes = [len(group) for group in groups]  # type: ignore[arg-type]
        indices = np.fromiter((index for group in groups for index in group), np.intp, sum(sizes))  # type: ignore[union-attr]
        return indices, np.repeat(np.arange(len(sizes)), sizes)
    return np.arange(vertices), np.repeat(np.arange(len(groups)), np.asarray(groups, dtype=np.intp))
