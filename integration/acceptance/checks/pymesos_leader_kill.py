#!/usr/bin/env python3
"""pymesos_leader_kill.py: pymesos as others wrote it runs through a leader kill. Clients 01 and 02 run against three masters each, once with
an address, where the killed master comes back and redirects, and once with `zk://`. In the middle of a client, its leader gets SIGKILL;
when the framework is back at another leader the client goes on, and all its checks must still pass.

Wants TEPUI_BIN, and the clients that clients.sh installs. Ends with 0 or 1.
"""
import concurrent.futures
import os
import runpy
import subprocess
import sys
import threading
import time

ACCEPTANCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, ACCEPTANCE)
CLIENTS = os.environ.get("CLIENTS_HOME") or os.path.expanduser("~/.cache/tepui-clients")
PYTHON = os.path.join(CLIENTS, "pymesos", "bin", "python")
# The client, how many checks it has on Mesos 1.11.0, and the check after which its leader is killed: tasks run by then.
RUNS = [("01_pymesos_command.py", 36, "long: TASK_RUNNING"), ("02_pymesos_executor.py", 27, "task b RUNNING")]
NOW = "kill the leader now"
GO_ON = "go on"
CLIENT_LIMIT_S = 200
LIMIT_S = 30


def client(script, master, last, addresses):
    """In a process of its own: the script as it is, but that it stops after the check `last` until it is told to go on, and that its
    operator calls, which are not pymesos', go to whoever leads."""
    sys.path.insert(0, os.path.join(ACCEPTANCE, "clients"))
    import accept_lib
    plain_check, plain_post = accept_lib.check, accept_lib.post

    def check(name, ok, detail=""):
        plain_check(name, ok, detail)
        if name == last:
            print(NOW, flush=True)
            sys.stdin.readline()
        return ok

    def post(_, body, **words):
        error = None
        for address in addresses.split(","):
            try:
                return plain_post(address, body, **words)
            except OSError as tried:
                error = tried
        raise error

    accept_lib.check, accept_lib.post = check, post
    sys.argv = [script, master]
    runpy.run_path(os.path.join(ACCEPTANCE, "clients", script), run_name="__main__")


if sys.argv[1:2] == ["--client"]:
    client(*sys.argv[2:])
    sys.exit()

from clients import parse_checks  # noqa: E402
from daemons import House, get  # noqa: E402
from report import Report, wait  # noqa: E402

report = Report()
saying = threading.Lock()


class Run:
    """One client through one kill."""

    def __init__(self, script, expected, last, by_zk):
        self.script, self.expected, self.last, self.by_zk = script, expected, last, by_zk
        self.name = f"{script.partition('.')[0]} by {'zk://' if by_zk else 'redirect'}"
        self.output, self.problem, self.gap_s = "", None, None

    def __call__(self):
        try:
            with House(agents=1, masters=3, zookeeper=True) as house:
                self.through(house)
        except (OSError, RuntimeError, ValueError) as error:
            self.problem = f"{type(error).__name__}: {error}"
        return self

    def through(self, house):
        leader = house.leader(house.masters)
        zk = ",".join(f"127.0.0.1:{port}" for port in house.zk_ports)
        address = f"zk://{zk}/mesos" if self.by_zk else f"127.0.0.1:{leader.port}"
        addresses = ",".join(f"127.0.0.1:{master.port}" for master in house.masters)
        words = [PYTHON, os.path.abspath(__file__), "--client", self.script, address, self.last, addresses]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        ended = threading.Timer(CLIENT_LIMIT_S, process.kill)
        ended.start()
        try:
            for line in process.stdout:
                self.output += line
                if line.strip() == NOW:
                    self.kill(house, leader)
                    process.stdin.write(f"{GO_ON}\n")
                    process.stdin.flush()
        finally:
            ended.cancel()
            process.kill()
            process.wait()

    def kill(self, house, old):
        others = [master for master in house.masters if master is not old]
        old.kill()
        since = time.monotonic()
        leader = wait(lambda: house.leader(others), LIMIT_S)
        if not self.by_zk:
            # pymesos knows only this address.
            old.start()
        if not leader or not wait(lambda: self.is_back(leader), LIMIT_S):
            self.problem = f"the framework is not back within {LIMIT_S} s"
            return
        self.gap_s = time.monotonic() - since

    @staticmethod
    def is_back(leader):
        return any(framework["connected"] for framework in get(leader.port, "/frameworks")["frameworks"])

    def judge(self):
        checks = parse_checks(self.output)
        failed = [name for name, passed in checks if not passed]
        passed = report.check(f"{self.name}: all {self.expected} checks pass", len(checks) == self.expected and not failed and not self.problem,
                              (len(checks), failed, self.problem))
        report.check(f"{self.name}: through the kill of its leader", self.gap_s is not None)
        if self.gap_s is not None:
            print(f"     {self.name}: the framework was back {self.gap_s:.1f} s after the kill", flush=True)
        if not passed:
            told = [*(self.problem or "").splitlines(), *self.output.splitlines()[-40:]]
            print("\n".join(f"       {line}" for line in told), flush=True)


def main():
    if not os.path.exists(PYTHON):
        sys.exit(f"FAIL no pymesos in {CLIENTS}: run integration/acceptance/clients.sh, which installs it")
    runs = [Run(*run, by_zk) for run in RUNS for by_zk in (False, True)]
    with concurrent.futures.ThreadPoolExecutor(len(runs)) as pool:
        for run in pool.map(Run.__call__, runs):
            run.judge()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
