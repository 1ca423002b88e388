"""`python -m kubetasks`: the tasks. Ctrl-C ends it at once, without a traceback, until a task begins."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it is not ignored
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from kubetasks.program import main  # the imports take a quarter of a second

main()
