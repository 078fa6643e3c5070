"""Transform chains: buffers described by how to make them.

A chain is run link by link, each taking the buffer of the one before. `TransformLinkImmediate` is always known; others are
registered by name. Where a visual, a camera or a list of matrices takes a buffer, it takes a chain too (`TransBuf`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Optional, Union

from ..errors import GspNetworkError, InvalidScene, UnsupportedTransform, kind_of
from .buffers import Buffer, BufferType, check_buffer_type, check_int

UNKNOWN_COUNT = -1
"""A chain's buffer_count where the number of elements is not known before it runs."""


class TransformLinkBase(ABC):
    """One step of a chain; subclass it and register the class to add your own."""

    @abstractmethod
    def apply(self, buffer: Optional[Buffer]) -> Buffer:
        """The buffer that this link makes of the one before it, which is None for the first link."""

    @abstractmethod
    def serialize(self) -> dict[str, Any]:
        """This link as JSON: ``{"link_type": its registered name, "link_data": {...}}``."""

    @staticmethod
    @abstractmethod
    def deserialize(data: dict[str, Any]) -> TransformLinkBase:
        """The link that `serialize` described; raises InvalidScene, its places relative to `data`, for what it cannot be."""


class TransformRegistry:
    """The link types known to this process, by name."""

    _classes: dict[str, type[TransformLinkBase]] = {}

    @classmethod
    def register_link(cls, link_type: str, link_class: type[TransformLinkBase]) -> None:
        """Make `link_class` known as `link_type`; a later registration of the same name replaces it."""
        if not isinstance(link_type, str) or not link_type:
            raise InvalidScene("link_type", f"{link_type!r}, expected a name")
        if not (isinstance(link_class, type) and issubclass(link_class, TransformLinkBase)):
            raise InvalidScene("link_class", f"{link_class!r}, expected a subclass of TransformLinkBase")
        cls._classes[link_type] = link_class

    @classmethod
    def get_link_class(cls, link_type: str) -> type[TransformLinkBase]:
        """The class registered as `link_type`.

        Raises:
            UnsupportedTransform: none is.
        """
        if not isinstance(link_type, str) or link_type not in cls._classes:
            raise UnsupportedTransform(
                "link_type",
                f"{str(link_type)[:80]!r} is not registered here, expected one of {', '.join(sorted(cls._classes))}",
            )
        return cls._classes[link_type]


class TransformLinkImmediate(TransformLinkBase):
    """Yields its own buffer, whatever came before it.

    Args:
        buffer: the buffer, or a numpy array whose type can be inferred.
    """

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer if isinstance(buffer, Buffer) else Buffer.from_numpy(buffer)

    def apply(self, buffer: Optional[Buffer]) -> Buffer:
        """Its own buffer."""
        return self._buffer

    def serialize(self) -> dict[str, Any]:
        """``link_data`` holds ``buffer_count``, ``buffer_type`` and ``data_base64``."""
        data = {
            "buffer_count": self._buffer.get_count(),
            "buffer_type": self._buffer.get_type().name,
            "data_base64": self._buffer.to_base64(),
        }
        return {"link_type": "TransformImmediate", "link_data": data}

    @staticmethod
    def deserialize(data: dict[str, Any]) -> TransformLinkImmediate:
        """The link that `serialize` described."""
        fields = member(data, "link_data", "", dict)
        count = check_int(member(fields, "buffer_count", "link_data"), "link_data.buffer_count", least=0)
        buffer_type = buffer_type_named(member(fields, "buffer_type", "link_data"), "link_data.buffer_type")
        return TransformLinkImmediate(
            Buffer.from_base64(member(fields, "data_base64", "link_data"), buffer_type, count, "link_data.data_base64")
        )


TransformRegistry.register_link("TransformImmediate", TransformLinkImmediate)


class TransformChain:
    """Links to run in order, and what is known beforehand of the buffer they yield.

    Args:
        buffer_count: elements of the result, or -1 where that is not known.
        buffer_type: type of the result, or None where that is not known.
    """

    def __init__(self, buffer_count: int = UNKNOWN_COUNT, buffer_type: Optional[BufferType] = None) -> None:
        self._count = check_int(buffer_count, "buffer_count", least=UNKNOWN_COUNT)
        if buffer_type is not None:
            check_buffer_type(buffer_type, "buffer_type")
        self._type = buffer_type
        self._links: list[TransformLinkBase] = []

    def add(self, link: TransformLinkBase) -> None:
        """Append a link; any object with `apply` and `serialize` will do."""
        if not (callable(getattr(link, "apply", None)) and callable(getattr(link, "serialize", None))):
            raise InvalidScene("link", f"{kind_of(link)}, expected a TransformLinkBase")
        self._links.append(link)

    def remove(self, link: TransformLinkBase) -> None:
        """Take out a link; raises InvalidScene where the chain does not hold it."""
        if link not in self._links:
            raise InvalidScene("link", "not in this chain")
        self._links.remove(link)

    def run(self) -> Buffer:
        """The buffer that the links yield.

        Raises:
            InvalidScene: there is no link, one fails, or the result is not what the chain announces.
        """
        buffer: Optional[Buffer] = None
        for index, link in enumerate(self._links):
            try:
                buffer = link.apply(buffer)
            except InvalidScene as exc:
                raise exc.inside(f"links[{index}]") from exc
            except GspNetworkError:
                raise
            except Exception as exc:  # a registered link is somebody else's code
                raise InvalidScene(
                    f"links[{index}]", f"{type(link).__name__} failed with {type(exc).__name__}"
                ) from exc
            if not isinstance(buffer, Buffer):
                raise InvalidScene(
                    f"links[{index}]", f"{type(link).__name__} yielded {kind_of(buffer)}, expected a Buffer"
                )
        if buffer is None:
            raise InvalidScene("links", "0 items, expected at least 1")
        if self._type is not None and buffer.get_type() is not self._type:
            raise InvalidScene("buffer_type", f"the links yield {buffer.get_type().name}, expected {self._type.name}")
        if self._count not in (UNKNOWN_COUNT, buffer.get_count()):
            raise InvalidScene("buffer_count", f"the links yield {buffer.get_count()} items, expected {self._count}")
        return buffer

    def serialize(self) -> dict[str, Any]:
        """This chain as JSON: ``{"transform_chain": {"buffer_count", "buffer_type", "links"}}``."""
        chain = {
            "buffer_count": self._count,
            "buffer_type": self._type.name if self._type else None,
            "links": [link.serialize() for link in self._links],
        }
        return {"transform_chain": chain}

    @staticmethod
    def deserialize(data: dict[str, Any]) -> TransformChain:
        """The chain that `serialize` described.

        Raises:
            InvalidScene: anything is missing or wrong; the place is relative to `data`.
            UnsupportedTransform: a link type is not registered.
        """
        fields = member(data, "transform_chain", "", dict)
        count = check_int(
            member(fields, "buffer_count", "transform_chain"), "transform_chain.buffer_count", least=UNKNOWN_COUNT
        )
        name = member(fields, "buffer_type", "transform_chain")
        chain = TransformChain(count, None if name is None else buffer_type_named(name, "transform_chain.buffer_type"))
        for index, link in enumerate(member(fields, "links", "transform_chain", list)):
            where = f"transform_chain.links[{index}]"
            name = member(link, "link_type", where, str)
            try:
                chain.add(TransformRegistry.get_link_class(name).deserialize(link))
            except InvalidScene as exc:
                raise exc.inside(where) from exc
            except Exception as exc:  # a registered link is somebody else's code
                raise InvalidScene(where, f"{name} cannot be made of this: {type(exc).__name__}") from exc
        return chain

    def is_fully_defined(self) -> bool:
        """Whether both count and type of the result are known before running."""
        return self._count != UNKNOWN_COUNT and self._type is not None

    def get_buffer_count(self) -> int:
        """Elements of the result, or -1."""
        return self._count

    def get_buffer_type(self) -> Optional[BufferType]:
        """Type of the result, or None."""
        return self._type


TransBuf = Union[Buffer, TransformChain]
"""What a scene holds wherever numbers are asked for: a buffer, or a chain that yields one."""

_MISSING = object()


def member(fields: Any, name: str, where: str, kind: Optional[type] = None) -> Any:
    """`fields[name]` of a JSON object at `where`, checked to be one, to have it and, where `kind` is given, its type."""
    if not isinstance(fields, dict):
        raise InvalidScene(where or "body", f"{kind_of(fields)}, expected an object")
    path = f"{where}.{name}" if where else name
    value = fields.get(name, _MISSING)
    if value is _MISSING:
        raise InvalidScene(path, "missing")
    if kind is not None and not isinstance(value, kind):
        raise InvalidScene(path, f"{kind_of(value)}, expected {kind_of(kind())}")
    return value


def buffer_type_named(name: Any, where: str) -> BufferType:
    """The buffer type of that name; raises InvalidScene at `where`, naming the ones there are."""
    if not isinstance(name, str) or name not in BufferType.__members__:
        found = repr(name[:80]) if isinstance(name, str) else kind_of(name)
        raise InvalidScene(where, f"{found}, expected one of {', '.join(BufferType.__members__)}")
    return BufferType[name]
