"""Render a saved request again, or play a recorded session.

``python -m gsp_network.tools.replay FILE.json [-o out.png] [--server URL]`` draws what a server saved with --debug;
``python -m gsp_network.tools.replay SESSION [--speed 2] [-o video.mp4] [--server URL]`` plays what a SessionRecorder wrote.

A server's token is taken from the environment variable GSP_NETWORK_TOKEN; command lines are no place for secrets.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import math
import os
import pathlib
import sys
import time
from typing import Any, Callable, Iterator, Optional

from ..animator.animator_network import LEAST_FPS, MOST_FPS
from ..animator.live import LONGEST_WAIT_SECONDS, SHORTEST_WAIT_SECONDS, let_go, window_of
from ..animator.progress import ProgressBar
from ..animator.video import check_video, writing
from ..commands import calling
from ..debugging import write_whole
from ..errors import GspNetworkError
from ..packed import media_type
from ..recording import Session, is_session
from ..renderer import NetworkRenderer
from ..rendering import render_payload
from ..transport import TOKEN_VARIABLE, Transport, environment_token, picture_of

DEFAULT_FPS = 25.0
MOST_FRAMES = 1_000_000  # of a video
SAME_INSTANT_SECONDS = 1e-6  # sessions tell times in microseconds

Draw = Callable[[bytes], bytes]


def main(argv: Optional[list[str]] = None) -> int:
    """Render the request in a file, or play the session in it, in this process or on a server.

    Returns:
        0, or 1 where there is no picture or video; the reason goes to standard error. 130 after Ctrl-C.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if args.cafile and not args.server:
        parser.error("--cafile needs --server")
    try:
        session = is_session(args.file)
        if not session and (args.speed or args.fps):
            parser.error(f"--speed and --fps need a recorded session; {args.file} is none")
        if session and args.fps and not args.output:
            parser.error("--fps needs -o: in a window each frame is shown at its time")
        with _drawing(args.server, args.timeout, args.cafile) as draw:
            if session:
                with Session(args.file) as opened:
                    _replay_session(opened, draw, args.speed or 1.0, args.output, args.fps or DEFAULT_FPS)
            else:
                output: pathlib.Path = args.output or args.file.with_suffix(".png")
                write_whole(output, draw(args.file.read_bytes()))
                print(f"wrote {output}")
    except (GspNetworkError, OSError) as exc:
        print(f"replay: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=calling("replay"),
        description="Render a request that a server saved with --debug, or play a session that a SessionRecorder wrote.",
        epilog=f"The server's token, where it wants one, is read from the environment variable {TOKEN_VARIABLE}.",
    )
    parser.add_argument("file", type=pathlib.Path, help="a request's body, a .json file, or a recorded session")
    parser.add_argument(
        "-o",
        "--output",
        type=pathlib.Path,
        help="where the picture goes (default: FILE with .png); of a session, a video: .mp4, .gif, .apng, .webp "
        "(default: it is played in a window, until that is closed)",
    )
    parser.add_argument("--speed", type=_positive, help="how much faster than it was recorded (default 1)")
    parser.add_argument("--fps", type=_rate, help=f"frames in a second of a video (default {DEFAULT_FPS:g})")
    parser.add_argument("--server", metavar="URL", help="render on this server (default: in this process)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the server (default 60)")
    parser.add_argument("--cafile", type=pathlib.Path, metavar="FILE", help="PEM file to trust for an https server")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}, expected a number above 0")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not LEAST_FPS <= value <= MOST_FPS:
        raise argparse.ArgumentTypeError(f"{text}, expected {LEAST_FPS:g} to {MOST_FPS:g}")
    return value


@contextlib.contextmanager
def _drawing(url: Optional[str], timeout: float, cafile: Optional[pathlib.Path]) -> Iterator[Draw]:
    """A function that makes a request's body a picture: on the server, else in this process."""
    if url is None:
        yield render_payload
        return
    transport = Transport(url, timeout, token=environment_token(), cafile=cafile)
    try:
        yield lambda body: picture_of(transport.post("/render", body, {"Content-Type": media_type(body)}), url)
    finally:
        transport.close()


def _replay_session(session: Session, draw: Draw, speed: float, output: Optional[pathlib.Path], fps: float) -> None:
    pictures = _Pictures(session, draw)
    if output is not None:
        video = check_video(output, None)
        shown = shown_at_instants(session.times, fps, speed)
        bar = ProgressBar(output.name, len(shown))
        try:
            with writing(video, fps, session.canvas) as writer:
                for done, index in enumerate(shown, 1):
                    writer.add(pictures[index])
                    bar.update(done)
        finally:
            bar.close()
        print(f"wrote {output}: {len(shown)} frames")
        return
    with NetworkRenderer(session.canvas, "http://127.0.0.1") as renderer:  # for its window: it sends nothing
        renderer.display(pictures[0])
        if os.environ.get("GSP_TEST") == "True":
            print(f"rendered the first of {len(session.times)} frames")
            return
        if _play(renderer, pictures, session.times, speed):
            renderer.show()


def shown_at_instants(times: list[float], fps: float, speed: float) -> list[int]:
    """The number of the frame that was shown at each instant, 1/fps apart, from the first frame on until the last is shown.

    Args:
        times: of the frames in seconds, in order.
        fps: instants in a second.
        speed: how many seconds of the frames' time go by in one.
    Raises:
        GspNetworkError: more than MOST_FRAMES.
    """
    seconds = (times[-1] - times[0] - SAME_INSTANT_SECONDS) / speed
    if not seconds * fps < MOST_FRAMES:
        raise GspNetworkError(
            f"{seconds:g} s at {fps:g} frames/s, expected at most {MOST_FRAMES} frames; see --speed, --fps"
        )
    instants = math.ceil(seconds * fps) + 1
    return [_shown_at(times, times[0] + k * speed / fps) for k in range(max(instants, 1))]


def _shown_at(times: list[float], seconds: float) -> int:
    return max(bisect.bisect_right(times, seconds + SAME_INSTANT_SECONDS) - 1, 0)


class _Pictures:
    """A session's pictures by the number of the frame; one that repeats the request before is not drawn again."""

    def __init__(self, session: Session, draw: Draw) -> None:
        self._session = session
        self._draw = draw
        self._index = -1
        self._body = self._picture = b""

    def __getitem__(self, index: int) -> bytes:
        if index != self._index:
            body = self._session.body(index)
            if body != self._body:
                try:
                    self._picture = self._draw(body)
                except GspNetworkError as exc:
                    raise GspNetworkError(f"frame {index + 1} of {len(self._session.times)}: {exc}") from exc
                self._body = body
            self._index = index
        return self._picture


def _play(renderer: NetworkRenderer, pictures: _Pictures, times: list[float], speed: float) -> bool:
    """Show each frame at its time, those left out for which there is none; False where the window was closed meanwhile."""
    try:
        canvas: Any = window_of(renderer).canvas
    except (GspNetworkError, ImportError) as exc:
        raise GspNetworkError(
            "a session is played in a window, and Matplotlib opens none here: choose a backend that does, as by the "
            "environment variable MPLBACKEND=TkAgg, or write a video with -o video.mp4"
        ) from exc
    closed: list[Any] = []

    def on_close(event: Any) -> None:
        closed.append(event)
        event.canvas.stop_event_loop()

    canvas.mpl_connect("close_event", on_close)
    canvas.manager.show()
    began, shown = time.monotonic(), 0
    while shown < len(times) - 1 and not closed:
        due = _shown_at(times, times[0] + (time.monotonic() - began) * speed)
        if due > shown:
            renderer.display(pictures[due])
            shown = due
        canvas.start_event_loop(_wait(times, shown, began, speed))
    if closed:
        let_go(canvas)
    return not closed


def _wait(times: list[float], shown: int, began: float, speed: float) -> float:
    """Seconds for the window until the next frame."""
    following = times[min(shown + 1, len(times) - 1)] - times[0]
    return max(SHORTEST_WAIT_SECONDS, min(began + following / speed - time.monotonic(), LONGEST_WAIT_SECONDS))


if __name__ == "__main__":
    sys.exit(main())
