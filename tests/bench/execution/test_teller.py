import signal
import threading
from multiprocessing import Pipe

import pytest

from bench.execution.teller import Teller


@pytest.fixture
def pipe():
    before = signal.getsignal(signal.SIGTERM)
    receiver, sender = Pipe(duplex=False)
    yield receiver, sender
    receiver.close()
    sender.close()
    signal.signal(signal.SIGTERM, before)


def test_sigterm_interrupts_once(pipe):
    Teller(pipe[1])
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)


def test_sigterm_in_a_message_waits_for_its_end(pipe):
    """The pipe is full and its reader late, so that the signal comes while the message is being written."""
    receiver, sender = pipe
    tell = Teller(sender)
    values = list(range(200_000))
    received = []

    def interrupt_then_read():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        received.append(receiver.recv())

    threading.Timer(0.2, interrupt_then_read).start()
    with pytest.raises(KeyboardInterrupt):
        tell("phase", values=values)
    while not received:
        pass
    assert received == [{"kind": "phase", "values": values}]


def test_a_reader_that_stands_still_misses_steps_and_stops_nothing(pipe):
    receiver, sender = pipe
    tell = Teller(sender)
    for step in range(20_000):
        tell("step", step=step)
    first = receiver.recv()
    assert first == {"kind": "step", "step": 0}
