"""The tree of errors: messages, facts, and the way back from another process."""

from __future__ import annotations

import copy
import pickle
import unittest

import gsp_network
from gsp_network import errors
from gsp_network.errors import (
    AccessDenied,
    BadResponse,
    ClientError,
    DeadlineExceeded,
    DeviceLimitExceeded,
    GspNetworkError,
    InvalidScene,
    LimitExceeded,
    MalformedBody,
    MissingBuffers,
    OtherRenderer,
    RendererUnavailable,
    RenderTimeout,
    RequestRefused,
    ServerBusy,
    ServerError,
    ServerStartError,
    ServerUnreachable,
    UnsupportedTransform,
    VideoError,
    WorkerCrashed,
)
from gsp_network.settings import SettingError

FACTS = ("status", "type", "where", "limit", "request_id")

# Error, its message, its (status, type, where, limit, request_id).
EXAMPLES = [
    (GspNetworkError("out of luck"), "out of luck", (500, "internal_error", None, None, None)),
    (
        InvalidScene("visuals[0].sizes", "2 items, expected 1"),
        "visuals[0].sizes: 2 items, expected 1",
        (422, "invalid_scene", "visuals[0].sizes", None, None),
    ),
    (
        LimitExceeded("canvas.width", "9000 px, expected at most 8192", "max_canvas_side"),
        "canvas.width: 9000 px, expected at most 8192 (setting max_canvas_side)",
        (422, "scene_too_large", "canvas.width", "max_canvas_side", None),
    ),
    (
        DeviceLimitExceeded("canvas.width", "9000 px, expected at most 8192", "maxImageDimension2D"),
        "canvas.width: 9000 px, expected at most 8192 (limit maxImageDimension2D of the server's graphics device)",
        (422, "scene_too_large", "canvas.width", "maxImageDimension2D", None),
    ),
    (
        MissingBuffers("visuals[0].sizes", ["ab", "cd"]),
        "visuals[0].sizes: named by its hash and not kept here, expected data_base64 too (sha256 ab and 1 more)",
        (409, "missing_buffers", "visuals[0].sizes", None, None),
    ),
    (OtherRenderer("datoviz"), "this scene is for datoviz", (500, "internal_error", None, None, None)),
    (
        UnsupportedTransform("link_type", "'X' is not registered here"),
        "link_type: 'X' is not registered here",
        (422, "unsupported_transform", "link_type", None, None),
    ),
    (MalformedBody("body: byte 0 is not UTF-8"), "body: byte 0 is not UTF-8", (400, "not_json", "body", None, None)),
    (
        MalformedBody("body: nested too deep", "json_too_deep"),
        "body: nested too deep",
        (400, "json_too_deep", "body", None, None),
    ),
    (
        RequestRefused(413, "body_too_large", "body: 9 bytes, expected at most 8", "max_body_bytes"),
        "body: 9 bytes, expected at most 8",
        (413, "body_too_large", None, "max_body_bytes", None),
    ),
    (RequestRefused(404, "not_found", "no such path"), "no such path", (404, "not_found", None, None, None)),
    (RendererUnavailable("not installed"), "not installed", (422, "renderer_unavailable", None, None, None)),
    (
        AccessDenied(421, "unknown_host", "Host: not a name of this server"),
        "Host: not a name of this server",
        (421, "unknown_host", None, None, None),
    ),
    (ServerBusy("shutting down"), "shutting down", (503, "busy", None, None, None)),
    (ServerBusy("no turn", "queue_timeout"), "no turn", (503, "busy", None, "queue_timeout", None)),
    (VideoError("no ffmpeg here"), "no ffmpeg here", (None, "video_error", None, None, None)),
    (WorkerCrashed("the process died"), "the process died", (500, "worker_crashed", None, None, None)),
    (RenderTimeout("too late"), "too late", (504, "render_timeout", None, "render_timeout", None)),
    (ServerStartError("port 5000 is in use"), "port 5000 is in use", (500, "cannot_listen", None, None, None)),
    (ClientError("something"), "something", (None, "client_error", None, None, None)),
    (ServerUnreachable("nobody"), "nobody", (None, "unreachable", None, None, None)),
    (DeadlineExceeded("60 s are over"), "60 s are over", (None, "deadline_exceeded", None, None, None)),
    (BadResponse("no PNG"), "no PNG", (None, "bad_response", None, None, None)),
    (ServerError(502, "bad gateway"), "bad gateway (HTTP 502)", (502, "server_error", None, None, None)),
    (
        ServerError(422, "canvas.width: too large", "scene_too_large", "canvas.width", "max_canvas_side", "r-7"),
        "canvas.width: too large (HTTP 422, request r-7)",
        (422, "scene_too_large", "canvas.width", "max_canvas_side", "r-7"),
    ),
    (SettingError("setting port: -1"), "setting port: -1", (500, "internal_error", None, None, None)),
]


def facts(error: GspNetworkError) -> tuple:
    return tuple(getattr(error, name) for name in FACTS)


def tree() -> list:
    """The classes of errors.py."""
    return [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, BaseException)]


class Errors(unittest.TestCase):
    def test_every_class_has_an_example(self):
        """The examples of this file cover every class of the tree."""
        self.assertEqual(set(tree()) - {type(error) for error, _, _ in EXAMPLES}, set())

    def test_one_tree(self):
        """Every class is a GspNetworkError, stands in the module's docstring and is a public name."""
        for item in tree():
            with self.subTest(item.__name__):
                self.assertTrue(issubclass(item, GspNetworkError))
                self.assertRegex(errors.__doc__, rf"\b{item.__name__}\b")
                self.assertIn(item.__name__, gsp_network.__all__)

    def test_messages(self):
        """str() says where, what was found and what was wanted."""
        for error, message, _ in EXAMPLES:
            with self.subTest(type(error).__name__):
                self.assertEqual(str(error), message)

    def test_facts(self):
        """Each error carries the HTTP status, the problem type and the facts it knows."""
        for error, message, expected in EXAMPLES:
            with self.subTest(message):
                self.assertEqual(facts(error), expected)

    def test_pickling(self):
        """Every error survives pickling with its class, message and facts."""
        for error, message, expected in EXAMPLES:
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                with self.subTest(message, protocol=protocol):
                    again = pickle.loads(pickle.dumps(error, protocol))
                    self.assertIs(type(again), type(error))
                    self.assertEqual((str(again), again.args, facts(again)), (message, error.args, expected))

    def test_pickling_keeps_what_was_added(self):
        """A request id that was put on an error later comes along."""
        for error, message, _ in EXAMPLES:
            with self.subTest(message):
                changed = copy.copy(error)
                changed.request_id = "r-8"
                self.assertEqual(pickle.loads(pickle.dumps(changed)).request_id, "r-8")

    def test_copy(self):
        """copy.copy gives the same error."""
        for error, message, expected in EXAMPLES:
            with self.subTest(message):
                again = copy.copy(error)
                self.assertEqual((type(again), str(again), facts(again)), (type(error), message, expected))

    def test_input_errors_are_value_errors(self):
        """Whoever catches ValueError catches what is wrong with a scene, a body or a setting."""
        for item in (InvalidScene, LimitExceeded, UnsupportedTransform, MalformedBody, SettingError):
            self.assertTrue(issubclass(item, ValueError), item)
        self.assertFalse(issubclass(ClientError, ValueError))

    def test_inside(self):
        """inside() puts the place into a longer path and keeps class, problem and limit."""
        table = [
            (InvalidScene("sizes", "2 items, expected 1"), "visuals[0].sizes: 2 items, expected 1"),
            (LimitExceeded("sizes", "too many", "max_vertices"), "visuals[0].sizes: too many (setting max_vertices)"),
            (UnsupportedTransform("link_type", "'X' is unknown"), "visuals[0].link_type: 'X' is unknown"),
        ]
        for error, message in table:
            with self.subTest(message):
                longer = error.inside("visuals[0]")
                self.assertIs(type(longer), type(error))
                self.assertEqual((str(longer), longer.limit), (message, error.limit))
                self.assertEqual(longer.where, "visuals[0]." + error.where)
                self.assertEqual(str(pickle.loads(pickle.dumps(longer))), message)

    def test_inside_twice(self):
        """inside() can be applied again on the way up, and leaves the error it came from as it is."""
        error = InvalidScene("c", "missing")
        self.assertEqual(str(error.inside("b").inside("a")), "a.b.c: missing")
        self.assertEqual(str(error), "c: missing")

    def test_types_are_words(self):
        """Problem types are short words in lower case, for programs to compare."""
        for error, message, _ in EXAMPLES:
            with self.subTest(message):
                self.assertRegex(error.type, r"\A[a-z_]+\Z")

    def test_raised_and_caught(self):
        """Each error is caught as GspNetworkError."""
        for error, message, _ in EXAMPLES:
            with self.subTest(message):
                with self.assertRaises(GspNetworkError) as caught:
                    raise error
                self.assertIs(caught.exception, error)


if __name__ == "__main__":
    unittest.main()
