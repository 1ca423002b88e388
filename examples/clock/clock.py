"""An ASGI application that knows nothing about pods: it tells the time."""

from datetime import UTC, datetime


async def app(scope, receive, send):
    if scope["type"] != "http":  # lifespan events are not supported
        return
    status = 200 if scope["path"] in ("/", "/healthz") else 404
    text = datetime.now(UTC).isoformat(timespec="seconds") if status == 200 else "There is nothing here."
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
