"""Transform chains: links, running, and the registry that the JSON form needs."""

from __future__ import annotations

import json
import unittest
from unittest import mock

import numpy as np

from gsp_network import (
    Buffer,
    BufferType,
    InvalidScene,
    LimitExceeded,
    MalformedBody,
    TransformChain,
    TransformLinkBase,
    TransformLinkImmediate,
    TransformRegistry,
    UnsupportedTransform,
)

ONE_TWO = {"buffer_count": 2, "buffer_type": "float32", "data_base64": "AACAPwAAAEA="}  # 1.0, 2.0


class Scale(TransformLinkBase):
    """Multiplies what came before it."""

    def __init__(self, factor):
        self.factor = factor

    def apply(self, buffer):
        return Buffer.from_numpy(buffer.to_numpy() * np.float32(self.factor), buffer.get_type())

    def serialize(self):
        return {"link_type": "Scale", "link_data": {"factor": self.factor}}

    @staticmethod
    def deserialize(data):
        return Scale(data["link_data"]["factor"])


class Failing(Scale):
    """Fails, or yields no buffer."""

    def apply(self, buffer):
        if isinstance(self.factor, Exception):
            raise self.factor
        return self.factor


def immediate(*values: float) -> TransformLinkImmediate:
    return TransformLinkImmediate(Buffer.from_numpy(list(values), BufferType.float32))


def chain(*links: TransformLinkBase, count: int = -1, buffer_type: BufferType = None) -> TransformChain:
    made = TransformChain(count, buffer_type)
    for link in links:
        made.add(link)
    return made


class WithScale(unittest.TestCase):
    """Tests in which Scale is registered."""

    def setUp(self):
        known = {"TransformImmediate": TransformLinkImmediate}  # others may have imported gsp_network.loading
        patch = mock.patch.dict(TransformRegistry._classes, known, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
        TransformRegistry.register_link("Scale", Scale)

    def assert_refused(self, message, function, *args, kind=InvalidScene):
        with self.assertRaises(kind) as caught:
            function(*args)
        self.assertIs(type(caught.exception), kind)
        self.assertEqual(str(caught.exception), message)


class Running(WithScale):
    def test_immediate(self):
        """An immediate link yields its own buffer, whatever came before it."""
        link = immediate(1, 2)
        self.assertIs(link.apply(None), link.apply(Buffer(3, BufferType.rgba8)))
        self.assertEqual(link.apply(None).to_numpy().tolist(), [1.0, 2.0])

    def test_immediate_from_array(self):
        """An immediate link takes an array whose type can be inferred."""
        self.assertIs(TransformLinkImmediate(np.zeros((2, 3))).apply(None).get_type(), BufferType.vec3)

    def test_links_in_order(self):
        """Each link takes the buffer of the one before it."""
        self.assertEqual(chain(immediate(1, 2), Scale(3), Scale(2)).run().to_numpy().tolist(), [6.0, 12.0])
        self.assertEqual(chain(immediate(9), Scale(3), immediate(1)).run().to_numpy().tolist(), [1.0])

    def test_runs_again(self):
        """A chain runs as often as it is asked to."""
        made = chain(immediate(1), Scale(2))
        self.assertEqual(made.run().to_bytearray(), made.run().to_bytearray())

    def test_remove(self):
        """A removed link runs no more; one that the chain does not hold cannot be removed."""
        scale = Scale(3)
        made = chain(immediate(1), scale)
        made.remove(scale)
        self.assertEqual(made.run().to_numpy().tolist(), [1.0])
        self.assert_refused("link: not in this chain", made.remove, scale)

    def test_add_refuses(self):
        """Only what can be applied and serialized is a link."""
        self.assert_refused("link: int, expected a TransformLinkBase", TransformChain().add, 3)
        self.assert_refused("link: null, expected a TransformLinkBase", TransformChain().add, None)

    def test_results_that_do_not_fit(self):
        """A chain that has no link, fails, or yields what it did not announce is refused by place."""
        table = [
            (chain(), "links: 0 items, expected at least 1"),
            (chain(immediate(1), count=2), "buffer_count: the links yield 1 items, expected 2"),
            (chain(immediate(1), buffer_type=BufferType.vec3), "buffer_type: the links yield float32, expected vec3"),
            (chain(immediate(1), Failing(OSError("x"))), "links[1]: Failing failed with OSError"),
            (chain(Failing(None)), "links[0]: Failing yielded null, expected a Buffer"),
            (chain(Failing(b"abc")), "links[0]: Failing yielded bytes, expected a Buffer"),
            (chain(Scale(2)), "links[0]: Scale failed with AttributeError"),
        ]
        for made, message in table:
            with self.subTest(message):
                self.assert_refused(message, made.run)

    def test_cause_is_kept(self):
        """What a link raised is the cause of our error."""
        error = OSError("x")
        with self.assertRaises(InvalidScene) as caught:
            chain(Failing(error)).run()
        self.assertIs(caught.exception.__cause__, error)

    def test_our_errors_come_through(self):
        """An error of ours that a link raises keeps its class and words, and names the link."""
        table = [
            (InvalidScene("uri", "missing"), "links[1].uri: missing"),
            (UnsupportedTransform("uri", "unknown"), "links[1].uri: unknown"),
            (LimitExceeded("uri", "9 bytes", "max_load_bytes"), "links[1].uri: 9 bytes (setting max_load_bytes)"),
        ]
        for error, message in table:
            with self.subTest(message):
                self.assert_refused(message, chain(immediate(1), Failing(error)).run, kind=type(error))
        other = MalformedBody("body: odd")
        with self.assertRaises(MalformedBody) as caught:
            chain(Failing(other)).run()
        self.assertIs(caught.exception, other)


class Announcing(WithScale):
    def test_defaults(self):
        """A chain announces nothing unless told to."""
        made = TransformChain()
        self.assertEqual((made.get_buffer_count(), made.get_buffer_type(), made.is_fully_defined()), (-1, None, False))

    def test_is_fully_defined(self):
        """A chain is fully defined where it announces both count and type."""
        table = [(-1, None, False), (2, None, False), (-1, BufferType.vec3, False), (0, BufferType.vec3, True)]
        for count, buffer_type, expected in table:
            with self.subTest(count=count, buffer_type=buffer_type):
                made = TransformChain(count, buffer_type)
                self.assertEqual(made.is_fully_defined(), expected)
                self.assertEqual((made.get_buffer_count(), made.get_buffer_type()), (count, buffer_type))

    def test_bad_arguments(self):
        """A count or type that is none is refused."""
        self.assert_refused("buffer_count: -2, expected -1 to 2147483647", TransformChain, -2)
        self.assert_refused("buffer_count: float, expected an integer", TransformChain, 1.0)
        self.assert_refused("buffer_type: text, expected a BufferType", TransformChain, 1, "vec3")


class Json(WithScale):
    def test_golden(self):
        """A chain is exactly this JSON, both ways."""
        document = {
            "transform_chain": {
                "buffer_count": 2,
                "buffer_type": "float32",
                "links": [
                    {"link_type": "TransformImmediate", "link_data": ONE_TWO},
                    {"link_type": "Scale", "link_data": {"factor": 3}},
                ],
            }
        }
        made = chain(immediate(1, 2), Scale(3), count=2, buffer_type=BufferType.float32)
        self.assertEqual(made.serialize(), document)
        again = TransformChain.deserialize(json.loads(json.dumps(document)))
        self.assertEqual(again.serialize(), document)
        self.assertEqual(again.run().to_numpy().tolist(), [3.0, 6.0])

    def test_unknown_result(self):
        """An unannounced result is -1 and null in JSON, both ways."""
        document = {"transform_chain": {"buffer_count": -1, "buffer_type": None, "links": []}}
        self.assertEqual(TransformChain().serialize(), document)
        again = TransformChain.deserialize(document)
        self.assertEqual((again.get_buffer_count(), again.get_buffer_type()), (-1, None))

    def test_immediate_alone(self):
        """An immediate link is exactly this JSON, both ways."""
        document = {"link_type": "TransformImmediate", "link_data": ONE_TWO}
        self.assertEqual(immediate(1, 2).serialize(), document)
        self.assertEqual(TransformLinkImmediate.deserialize(document).apply(None).to_numpy().tolist(), [1.0, 2.0])

    def test_refused(self):
        """What is no chain is refused by its place in the document."""

        def document(links=(), **changes):
            return {"transform_chain": {"buffer_count": -1, "buffer_type": None, "links": list(links), **changes}}

        def with_immediate(**changes):
            return document([{"link_type": "TransformImmediate", "link_data": {**ONE_TWO, **changes}}])

        without_links = {"transform_chain": {"buffer_count": -1, "buffer_type": None}}
        names = ", ".join(BufferType.__members__)
        link = "transform_chain.links[0]"
        data = f"{link}.link_data"
        table = [
            ({}, "transform_chain: missing"),
            ({"transform_chain": []}, "transform_chain: list, expected object"),
            ({"transform_chain": {}}, "transform_chain.buffer_count: missing"),
            (document(buffer_count=1.0), "transform_chain.buffer_count: float, expected an integer"),
            (document(buffer_count=-2), "transform_chain.buffer_count: -2, expected -1 to 2147483647"),
            (document(buffer_type="vec5"), f"transform_chain.buffer_type: 'vec5', expected one of {names}"),
            (without_links, "transform_chain.links: missing"),
            (
                {"transform_chain": {"buffer_count": -1, "buffer_type": None, "links": {}}},
                f"{link[:-3]}: object, expected list",
            ),
            (document(["Scale"]), f"{link}: text, expected an object"),
            (document([{}]), f"{link}.link_type: missing"),
            (document([{"link_type": 3}]), f"{link}.link_type: int, expected text"),
            (document([{"link_type": "TransformImmediate"}]), f"{link}.link_data: missing"),
            (with_immediate(buffer_count=True), f"{data}.buffer_count: boolean, expected an integer"),
            (with_immediate(buffer_type="float"), f"{data}.buffer_type: 'float', expected one of {names}"),
            (
                with_immediate(buffer_count=1),
                f"{data}.data_base64: 12 base64 characters, expected 8 (1 x float32 = 4 bytes)",
            ),
            (document([{"link_type": "Scale"}]), f"{link}: Scale cannot be made of this: KeyError"),
        ]
        for wrong, message in table:
            with self.subTest(message):
                self.assert_refused(message, TransformChain.deserialize, wrong)


class Registry(WithScale):
    def test_immediate_is_known(self):
        """TransformImmediate is registered from the start."""
        self.assertIs(TransformRegistry.get_link_class("TransformImmediate"), TransformLinkImmediate)

    def test_registered(self):
        """A registered class is found by its name; a later registration replaces it."""
        self.assertIs(TransformRegistry.get_link_class("Scale"), Scale)
        TransformRegistry.register_link("Scale", Failing)
        self.assertIs(TransformRegistry.get_link_class("Scale"), Failing)

    def test_unknown(self):
        """A name that is not registered is an UnsupportedTransform that lists the known ones."""
        self.assert_refused(
            "link_type: 'Load' is not registered here, expected one of Scale, TransformImmediate",
            TransformRegistry.get_link_class,
            "Load",
            kind=UnsupportedTransform,
        )

    def test_unknown_in_a_document(self):
        """An unregistered link in a chain is an UnsupportedTransform at its place."""
        document = chain(immediate(1), Scale(2)).serialize()
        document["transform_chain"]["links"][1]["link_type"] = "Load"
        self.assert_refused(
            "transform_chain.links[1].link_type: 'Load' is not registered here, "
            "expected one of Scale, TransformImmediate",
            TransformChain.deserialize,
            document,
            kind=UnsupportedTransform,
        )

    def test_bad_registrations(self):
        """Only a subclass of TransformLinkBase can be registered, under a name that is text."""
        self.assert_refused("link_type: '', expected a name", TransformRegistry.register_link, "", Scale)
        self.assert_refused("link_type: 3, expected a name", TransformRegistry.register_link, 3, Scale)
        self.assert_refused(
            "link_class: <class 'int'>, expected a subclass of TransformLinkBase",
            TransformRegistry.register_link,
            "X",
            int,
        )
        with self.assertRaises(UnsupportedTransform):
            TransformRegistry.get_link_class("X")

    def test_base_is_abstract(self):
        """TransformLinkBase itself, or a subclass that lacks a method, cannot be made."""

        class Half(TransformLinkBase):
            def apply(self, buffer):
                return buffer

        for item in (TransformLinkBase, Half):
            with self.subTest(item.__name__):
                self.assertRaises(TypeError, item)


if __name__ == "__main__":
    unittest.main()
