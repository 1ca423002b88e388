import signal, sys
from wsgiref.simple_server import make_server

def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
make_server("", 5000, app).serve_forever()
