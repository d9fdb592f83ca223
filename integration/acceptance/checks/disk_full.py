#!/usr/bin/env python3
"""disk_full.py: a task fills the disk of its agent (a small tmpfs): the agent stays, its tasks run on and are told truly, it comes back after
kill -9 while the disk is full, and takes work again by itself once there is room.

Wants TEPUI_BIN. Ends with 0 or 1. Only as root.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

LIMIT_S = 30
SIZE = "160m"
# A tenth of it.
RESERVE = 16 << 20
report = Report()


class SmallDisk(House):
    """The agent's work directory is a file system of its own."""

    def __init__(self):
        super().__init__()
        os.mkdir(self.path("agent0"))
        self.agents[0].command += ["--disk-watch-interval", "1secs", "--gc-delay", "2secs"]
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tepui-disk-full", self.path("agent0")], check=True)

    def __exit__(self, *exception):
        super().__exit__(*exception)
        subprocess.run(["umount", "-l", self.path("agent0")], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def left(self):
        found = os.statvfs(self.path("agent0"))
        return found.f_bavail * found.f_frsize


class Checks:
    def __init__(self, house):
        self.house, self.agent = house, house.agents[0]
        self.framework = Scheduler(house.address, "full", failover_timeout=60).subscribe()

    def launch(self, name, command, state="TASK_RUNNING"):
        """What a task writes to a tmpfs counts as its memory."""
        offer = self.framework.wait_offer(cpus=0.2, mem=512, limit_s=LIMIT_S)
        self.framework.launch(offer, [task(name, offer, command, cpus=0.2, mem=512)])
        return self.framework.wait_state(name, state, limit_s=LIMIT_S)

    def logged(self, text):
        return wait(lambda: text in self.agent.log_tail(50), LIMIT_S)

    def fills(self):
        go = self.house.path("go")
        self.launch("lives", "exec sleep 600")
        self.launch("ends", f"until test -e {go}; do sleep 0.1; done; exit 7")
        # To the last byte, and each one that comes free later.
        self.launch("fills", "dd if=/dev/zero of=fill bs=1M; "
                             "while :; do dd if=/dev/zero bs=4k oflag=append conv=notrunc of=fill; sleep 0.5; done 2>/dev/null")
        report.need("a task fills the disk", wait(lambda: self.house.left() == 0, LIMIT_S), self.house.left())
        report.check("the agent's log says so", self.logged("MiB left: tasks there cannot write any more"), self.agent.log_tail())
        with open(go, "w", encoding="ascii"):
            pass
        told = self.framework.wait_state("ends", "TASK_FAILED", limit_s=LIMIT_S)
        report.check("a task that ends is told with its status", "exited with status 7" in told.get("message", ""), told)
        report.check("the agent goes on", self.agent.registered() and self.agent.running(), self.agent.log_tail())

    def restarts(self):
        for time in ("once", "again"):
            self.agent.kill()
            self.agent.start()
            report.need(f"after kill -9 it is back {time}", wait(self.agent.registered, LIMIT_S), self.agent.log_tail())
        expected = {name: "TASK_RUNNING" for name in ("lives", "fills")}
        report.equal("its tasks run on", self.framework.reconcile(list(expected)), expected)
        states = {name: self.framework.told(name) for name in expected}
        report.equal("and were told nothing else", states, {name: ["TASK_STARTING", "TASK_RUNNING"] for name in expected})

    def has_room_again(self):
        for name in ("lives", "fills"):
            self.framework.end(name, limit_s=LIMIT_S)
        report.check("the sandbox of the task that filled it goes", self.logged("has room again"), self.agent.log_tail())
        self.launch("next", "dd if=/dev/zero of=small bs=1M count=8 && test -s small", "TASK_FINISHED")
        reserve = os.path.join(self.house.path("agent0"), "reserve")
        whole = wait(lambda: os.path.exists(reserve) and os.stat(reserve).st_blocks * 512 == RESERVE, LIMIT_S)
        report.check("room for the next start is reserved again", whole, os.path.exists(reserve) and os.stat(reserve))


def main():
    if os.geteuid() != 0:
        print("left out: a small disk needs root")
        return 0
    with SmallDisk() as house:
        checks = Checks(house)
        report.run(checks.fills, checks.restarts, checks.has_room_again)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
