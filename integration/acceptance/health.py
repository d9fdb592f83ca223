"""Asks an agent for `/health` all the time, as a load balancer does, and notes how long it takes. Standard library only.

    with Health(port) as health: ...
    print(health.figures())                     # of fresh connections and of one that is kept
    health.worst_s                              # inf where an answer did not come
"""
import http.client
import math
import threading
import time

EVERY_S = 0.02
GIVE_UP_S = 30


class Health:
    def __init__(self, port):
        self.port, self.over = port, threading.Event()
        self.seconds = {"fresh": [], "kept": []}
        self.threads = [threading.Thread(target=self.ask, args=(kind,), daemon=True) for kind in self.seconds]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(GIVE_UP_S + 1)

    def ask(self, kind):
        connection = None
        while not self.over.wait(EVERY_S):
            begun = time.monotonic()
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=GIVE_UP_S)
                connection.request("GET", "/health")
                answer = connection.getresponse()
                answer.read()
                taken = time.monotonic() - begun if answer.status == 200 else math.inf
            except (OSError, http.client.HTTPException):
                taken, connection = math.inf, None
            self.seconds[kind].append(taken)
            if kind == "fresh" and connection:
                connection.close()
                connection = None
        if connection:
            connection.close()

    @property
    def worst_s(self):
        return max((max(seconds, default=math.inf) for seconds in self.seconds.values()), default=math.inf)

    def figures(self):
        def of(seconds):
            ordered = sorted(seconds)
            at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000  # noqa: E731
            return f"p50 {at(0.5):.1f} p99 {at(0.99):.1f} max {at(1):.1f} ms of {len(ordered)}"
        return ", ".join(f"{kind}: {of(seconds)}" for kind, seconds in self.seconds.items() if seconds)
