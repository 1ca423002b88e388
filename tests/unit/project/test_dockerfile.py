"""What a Dockerfile says about its image, in forms that are common in well-known projects, each written from scratch."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetasks.project import inferred
from kubetasks.project.dockerfile import build_stages, decode, instructions

DEFAULTS = 8080, "/"
SHAPES = {
    "shell form": ("EXPOSE 5000\nHEALTHCHECK CMD curl --fail http://localhost:5000/alive || exit 1", 5000, "/alive"),
    "exec form with escaped quotes": ('HEALTHCHECK CMD ["python3", "-c", "urlopen(\\"http://127.0.0.1/ok\\")"]', 8080, "/ok"),
    "exec form with single quotes": ('HEALTHCHECK CMD ["sh", "-c", "wget -q \'http://localhost/ok\' || exit 1"]', 8080, "/ok"),
    "a list that is no JSON is for a shell": ("HEALTHCHECK CMD ['curl', 'http://localhost/ok']", 8080, "/ok"),
    "flags on lines of their own": ("HEALTHCHECK --interval=5m \\\n  --retries=3 \\\n  CMD curl http://a/ok", 8080, "/ok"),
    "an address of IPv6": ("HEALTHCHECK CMD curl http://[::1]:8000/ok", 8080, "/ok"),
    "a comment within": ("HEALTHCHECK --interval=5s \\\n# often\n\n  CMD curl http://localhost/ok", 8080, "/ok"),
    "the last check counts": ("HEALTHCHECK CMD curl http://a/first\nHEALTHCHECK CMD curl http://a/last", 8080, "/last"),
    "a check without a URL": ("HEALTHCHECK CMD pg_isready -U postgres", *DEFAULTS),
    "a query and a fragment": ("HEALTHCHECK CMD curl 'http://localhost/ok?full=1#x'", 8080, "/ok"),
    "a path in a variable": ("ENV UP=/ok PORT=81\nEXPOSE $PORT\nHEALTHCHECK CMD curl http://a:${PORT}${UP}", 81, "/ok"),
    "a path that nobody knows": ("HEALTHCHECK CMD curl http://localhost/$WHERE", *DEFAULTS),
    "several lines of ports": ("EXPOSE 53/udp\nEXPOSE 443/TCP", 443, "/"),
    "a range": ("EXPOSE 7000-7010", 7000, "/"),
    "a default of a variable": ("EXPOSE ${PORT:-8000}", 8000, "/"),
    "an argument": ("ARG PORT=8001\nEXPOSE ${PORT}/tcp", 8001, "/"),
    "an old ENV": ("ENV PORT 8002\nEXPOSE $PORT", 8002, "/"),
    "an argument from before": ("ARG PORT=8003\nFROM x\nARG PORT\nEXPOSE $PORT", 8003, "/"),
    "an argument from before that is not taken": ("ARG PORT=8003\nFROM x\nEXPOSE $PORT", *DEFAULTS),
    "no port": ("EXPOSE 0 http", *DEFAULTS),
    "a platform, and small letters": ("from --platform=$BUILDPLATFORM x as build\nexpose 1\nfrom build\nexpose 80", 80, "/"),
    "another stage": ("FROM x AS build\nEXPOSE 1\nHEALTHCHECK CMD curl http://a/no\nFROM x\nEXPOSE 80/tcp 81", 80, "/"),
    "the stage that it begins from": ("FROM x AS Base\nEXPOSE 3000\nFROM base AS other\nEXPOSE 1\nFROM base", 3000, "/"),
    "its own port comes first": ("FROM x AS base\nEXPOSE 3000\nFROM base\nEXPOSE 80", 80, "/"),
    "a base in an argument": ("ARG BASE=prod\nFROM x AS prod\nEXPOSE 3000\nFROM y AS dev\nEXPOSE 1\nFROM ${BASE}", 3000, "/"),
    "a check that is taken back": ("FROM x AS base\nHEALTHCHECK CMD curl http://a/ok\nFROM base\nHEALTHCHECK NONE", *DEFAULTS),
    "a here-document": ("RUN <<EOF cat\nEXPOSE 1\nHEALTHCHECK CMD curl http://localhost/no\nEOF\nEXPOSE 80", 80, "/"),
    "two here-documents": ("COPY <<-one <<'two' /\n\tEXPOSE 1\n\tone\nEXPOSE 2\ntwo\nEXPOSE 80", 80, "/"),
    "Windows' ends of lines": ("EXPOSE \\\r\n  81\r\nHEALTHCHECK CMD curl http://localhost/ok\r\n", 81, "/ok"),
    "a last line that goes on into nothing": ("EXPOSE 80 \\\n\n", 80, "/"),
    "no FROM": ("# from nothing\nEXPOSE 80", 80, "/"),
}


@pytest.mark.parametrize(("text", "port", "health"), SHAPES.values(), ids=SHAPES.keys())
def test_port_and_health_path_are_read_however_they_are_written(tmp_path: Path, text: str, port: int, health: str) -> None:
    begun = text if "from" in text.lower() else f"FROM x\n{text}"
    (tmp_path / "Dockerfile").write_text(begun, newline="")
    found = inferred.described(tmp_path, lambda *given: given[-1][0]).table
    assert (found["port"][0], found["health"][0]) == (port, health)


def test_a_target_counts_in_the_place_of_the_last_stage() -> None:
    text = "FROM x AS base\nEXPOSE 1\nFROM base AS Dev\nEXPOSE 2\nHEALTHCHECK CMD curl http://a/dev\nFROM base\nEXPOSE 3\n"
    for target, exposed in {"dev": ["2", "1"], "base": ["1"], "": ["3", "1"], "nowhere": ["3", "1"]}.items():
        stages, _ = build_stages(text, target)
        assert [one.value for stage in stages for one in stage if one.keyword == "EXPOSE"] == exposed


@settings(deadline=None, database=None)
@given(st.binary(max_size=300) | st.text("FROMARGHEALTHCHECK <\\`#=$\"'{}[]:-/\n\r\t019ab", max_size=200).map(str.encode))
def test_any_bytes_are_read_and_come_out_the_same(content: bytes) -> None:
    text = decode(content)
    assert text.encode("utf-8", "surrogateescape") == content
    ends = [one.end for one in instructions(text)]
    assert ends == sorted({*ends} & {*range(1, text.count("\n") + 2)}), "each has a line of its own"
