#!/usr/bin/env python3
"""dev_masters.py: `tepui dev --masters 3` is three processes; `tepui run` and the lists live through the loss of the leader, and the
end of `dev` leaves nothing.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from cluster import Dev  # noqa: E402
from daemons import alive, processes_of, request  # noqa: E402
from report import Report, wait  # noqa: E402

LIMIT_S = 30
report = Report()


class Checks:
    def __init__(self, dev):
        self.dev, self.bin = dev, os.environ["TEPUI_BIN"]
        self.ports = [dev.port + number for number in range(dev.masters)]
        self.masters = ",".join(f"localhost:{port}" for port in self.ports)

    def tepui(self, *words):
        return subprocess.Popen([self.bin, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def leader(self):
        """The port of the master that leads, as the first to know tells it."""
        for port in self.ports:
            try:
                return int(self.dev.get("/tepui/v1/leader", port=port, timeout=3)["leader"].rpartition(":")[2])
            except (OSError, ValueError, KeyError):
                continue
        return None

    def master_on(self, port):
        """The pid of the daemon with this port."""
        for pid in processes_of(self.dev.folder):
            with open(f"/proc/{pid}/cmdline", "rb") as line:
                words = line.read().split(b"\0")
            if b"master" in words and words[words.index(b"--port") + 1] == str(port).encode():
                return pid
        return None

    def three_masters(self):
        self.pids = {port: self.master_on(port) for port in self.ports}
        report.need("three masters run as processes of their own", len(set(self.pids.values())) == 3 and all(self.pids.values()), self.pids)
        leader = self.leader()
        for port in self.ports:
            if port != leader:
                status, headers, _ = request(port, "GET", "/state")
                report.equal("a follower redirects", (status, headers["Location"]), (307, f"//localhost:{leader}/state"))
        status, out, err = self.finish(self.tepui("agents", "--master", f"localhost:{self.ports[0]}", "--json"))
        report.equal("one address of three is enough for the lists", (status, out.count("\n"), err), (0, self.dev.agents, ""))

    def finish(self, process):
        out, err = process.communicate(timeout=LIMIT_S)
        return process.returncode, out, err

    def run_lives_on(self):
        go = os.path.join(self.dev.folder, "go")
        command = f"echo one; while [ ! -e {go} ]; do sleep 0.1; done; echo two; exit 7"
        running = self.tepui("run", "--master", self.masters, "--", "sh", "-c", command)
        report.need("a task runs", wait(lambda: any(t["state"] == "TASK_RUNNING" for t in self.dev.get("/tasks", port=self.leader())["tasks"]), LIMIT_S))
        old = self.leader()
        os.kill(self.pids[old], signal.SIGKILL)
        since = time.monotonic()
        status, _, err = self.finish(self.tepui("ps", "--master", self.masters, "--json"))
        report.equal("ps waits for the next leader", (status, err), (0, ""))

        def listed():
            out = self.finish(self.tepui("ps", "--master", self.masters, "--json"))[1]
            return [json.loads(line)["state"] for line in out.splitlines()]
        report.equal("and lists the task once its agent is back", wait(listed, LIMIT_S), ["TASK_RUNNING"])
        print(f"     ps answered {(time.monotonic() - since) * 1000:.0f} ms after the leader was killed", flush=True)
        report.check("another master leads", wait(lambda: self.leader() not in (None, old), LIMIT_S))
        with open(go, "w", encoding="ascii"):
            pass
        status, out, err = self.finish(running)
        report.equal("run gives the task's whole output and its status", (status, out, err), (7, "one\ntwo\n", ""))
        report.check("dev goes on with two", self.dev.process.poll() is None)


def main():
    with Dev(agents=1, masters=3) as dev:
        checks = Checks(dev)
        report.run(checks.three_masters)
        if not report.failed:
            report.run(checks.run_lives_on)
        dev.process.send_signal(signal.SIGTERM)
        report.equal("dev ends with 0", dev.process.wait(LIMIT_S), 0)
        report.check("and leaves no master", not any(alive(pid) for pid in checks.pids.values()))
    sys.exit(report.end())


if __name__ == "__main__":
    main()
