async def app(scope, receive, send):
    if scope["type"] == "http":
        status = 200 if scope["path"] == "/alive" else 404
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"asgi"})
