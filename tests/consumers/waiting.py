"""Waits for conditions, never for times."""
import time

limit = 180  # seconds, for what takes a fraction of one


def wait_for(what, condition):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f'{what} did not come within {limit} s'
        time.sleep(0.005)
