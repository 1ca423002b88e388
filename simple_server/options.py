"""The command line options and their environment variables."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

LOG_FORMATS = ("json", "text", "none")
LONGEST = 600.0  # seconds


@dataclass(frozen=True)
class Options:
    """The options; `drain` and `start_delay` are in seconds, `log_format` is one of LOG_FORMATS."""

    host: str
    port: int
    drain: float
    log_format: str
    log_probes: bool
    faults: bool
    start_delay: float


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[:1].upper()}{message[1:]}. See: {self.prog} --help\n")


def _host(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not an address")
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 5 or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds (0 to {LONGEST:.0f})")
    return seconds


def _format(text: str) -> str:
    if text not in LOG_FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(LOG_FORMATS)}")
    return text


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither 1 (on) nor 0 (off)")
    return text == "1"


def read(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Options:
    """Read the options; each overrides its variable, which overrides its default. Exit with code 2 on a wrong value."""
    parser = _Parser(
        prog="python -m simple_server",
        description="A small web server that counts the requests it has served in its lifetime.",
        epilog="Each option has an environment variable, which it overrides.",
        allow_abbrev=False,
    )

    def add(name: str, variable: str, default: str, kind: Callable[[str], object], metavar: str, about: str) -> None:
        if environment.get(variable):
            try:
                kind(environment[variable])
            except argparse.ArgumentTypeError as error:
                parser.error(f"{variable}: {error}")
        about = f"{about} [{variable}, default: {default}]"
        value = environment.get(variable) or default
        if kind is _switch:
            parser.add_argument(name, action="store_true", default=_switch(value), help=about)
        else:
            parser.add_argument(name, type=kind, default=value, metavar=metavar, help=about)

    add("--host", "LISTEN_HOST", "127.0.0.1", _host, "ADDRESS", "listen on this address")
    add("--port", "LISTEN_PORT", "8080", _port, "PORT", "listen on this port; 0: any free port")
    add("--drain", "DRAIN_SECONDS", "1", _seconds, "SECONDS", "after SIGTERM, fail /readyz and answer requests for this long")
    add("--log-format", "LOG_FORMAT", "json", _format, "|".join(LOG_FORMATS), "format of the log on standard output")
    add("--log-probes", "LOG_PROBES", "0", _switch, "", "log /healthz, /readyz and /metrics too")
    add("--faults", "FAULTS", "0", _switch, "", "enable POST /fault/NAME: crash, hang, not-ready, ready")
    add("--start-delay", "START_DELAY_SECONDS", "0", _seconds, "SECONDS", "with --faults: wait this long before listening")
    options = Options(**vars(parser.parse_args(arguments)))
    if options.start_delay and not options.faults:
        parser.error("a start delay is fault injection: --start-delay needs --faults")
    return options
