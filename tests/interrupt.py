"""In a process that a test starts: Ctrl-C after some work, and an end if nothing answers."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

IMPORT = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from interrupt import interrupt_after"
)
UNANSWERED = 86  # exit code that nothing else uses


def interrupt_after(seconds: float, answer_within: float = 1.0) -> threading.Event:
    """Both in processor time of all threads: what else the machine does makes no difference.

    The caller sets the event, or ends, when it has answered.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored
    answered = threading.Event()

    def watch() -> None:
        begin = time.process_time()
        while time.process_time() - begin < seconds:
            time.sleep(0.01)
        sent = time.process_time()
        os.kill(os.getpid(), signal.SIGINT)
        while not answered.wait(0.01):
            if time.process_time() - sent > answer_within:
                print(f"no answer to an interrupt in {answer_within} s of processor time", file=sys.stderr)
                os._exit(UNANSWERED)

    threading.Thread(target=watch, daemon=True).start()
    return answered
