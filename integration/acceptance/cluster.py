"""Starts `tepui dev` for one test on free ports, with its own data, and takes it down again. Standard library only.

    with Dev() as dev:
        dev.get("/state")                       # parsed JSON of the master
        dev.post({"type": "GET_AGENTS"})        # parsed answer of /api/v1
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts"))
from free_port import free_ranges  # noqa: E402

READY_LIMIT_S = 30
STOP_LIMIT_S = 10


class NotReady(Exception):
    """The cluster did not come up; the text holds the last lines it printed."""


class Dev:
    """A `tepui dev` process: its masters listen from `port` on, its agents on the ports after them."""

    def __init__(self, agents=1, masters=1, extra=(), env=None):
        self.bin = os.environ["TEPUI_BIN"]
        self.agents, self.masters, self.extra, self.env = agents, masters, list(extra), env
        self.port = free_ranges(agents + masters, 1)[0]
        self.address = f"127.0.0.1:{self.port}"
        self.folder = tempfile.mkdtemp(prefix="tepui-acceptance.")
        self.log_path = os.path.join(self.folder, "dev.log")
        self.process = None

    def __enter__(self):
        command = [self.bin, "dev", "--port", str(self.port), "--agents", str(self.agents), "--masters", str(self.masters),
                   "--data", os.path.join(self.folder, "data"), *self.extra]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **(self.env or {})})
        try:
            self.wait_ready()
        except NotReady:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait_ready(self):
        """Returns when the master lists all agents; the ready line on stdout is not relied on, the API is."""
        end = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise NotReady(f"tepui dev ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                if len(self.get("/slaves")["slaves"]) == self.agents:
                    return
            except (OSError, ValueError, KeyError):
                pass
            time.sleep(0.1)
        raise NotReady(f"no master with {self.agents} agents on {self.address} within {READY_LIMIT_S} s:\n{self.log_tail()}")

    def log_tail(self, lines=15):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def get(self, path, port=None, timeout=10):
        with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}{path}", timeout=timeout) as answer:
            return json.loads(answer.read())

    def post(self, body, path="/api/v1", port=None, timeout=10):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.port}{path}", data=json.dumps(body).encode(), method="POST",
            headers={"Content-Type": "application/json", "Accept": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read()
            return json.loads(text) if text else {}
