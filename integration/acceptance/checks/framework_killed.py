#!/usr/bin/env python3
"""framework_killed.py: `kill -9` of a framework. Its tasks live until its failover_timeout is over, and no longer; one that returns in time keeps them.

Wants TEPUI_BIN. Ends with 0 or 1. With --framework it is the framework that gets killed.
"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, alive  # noqa: E402
from pid_files import pids_of  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Refused, Scheduler, task  # noqa: E402

TIMEOUT_S = 3.0
LATE_S = 4.0  # how much later than its timer a framework may be removed on a busy machine
report = Report()


def be_framework(address, name, timeout_s, folder):
    """The framework's own process: launches two tasks, tells its id when they run, and waits for its end."""
    framework = Scheduler(address, name, failover_timeout=float(timeout_s)).subscribe()
    offer = framework.wait_offer(cpus=1)
    names = [f"{name}-{number}" for number in range(2)]
    framework.launch(offer, [task(n, offer, f"echo $$ >> {folder}/{n}.pids; exec sleep 600") for n in names])
    for task_id in names:
        framework.wait_state(task_id, "TASK_RUNNING")
    print(framework.id, flush=True)
    time.sleep(600)


class Checks:
    def __init__(self, house):
        self.house = house

    def start(self, name, timeout_s):
        """Returns (process, framework id, pids of its tasks)."""
        process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--framework", self.house.address, name, str(timeout_s), self.house.folder],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        framework_id = process.stdout.readline().strip()
        wait(lambda: len(self.pids(name)) == 2, 5)
        report.need(f"{name}: two tasks run", framework_id and len(self.pids(name)) == 2, f"id {framework_id!r}, pids {self.pids(name)}")
        return process, framework_id, self.pids(name)

    def pids(self, name):
        return [pid for number in range(2) for pid in pids_of(self.house, f"{name}-{number}")]

    def listed(self, framework_id):
        """Where /frameworks lists it: `frameworks` or `completed_frameworks`, with the object."""
        answer = self.house.get("/frameworks")
        for key in ("frameworks", "completed_frameworks"):
            for framework in answer[key]:
                if framework["id"] == framework_id:
                    return key, framework
        return None, {}

    def kill(self, process):
        process.kill()
        process.wait()
        process.stdout.close()
        return time.monotonic()

    def dead_for_good(self):
        process, framework_id, pids = self.start("mortal", TIMEOUT_S)
        killed = self.kill(process)
        gone = wait(lambda: self.listed(framework_id)[1].get("active") is False, 2)
        report.check("mortal: soon listed as inactive", gone, self.listed(framework_id))
        report.equal("mortal: not completed while its timer runs", self.listed(framework_id)[0], "frameworks")
        report.check("mortal: its tasks live on", all(alive(pid) for pid in pids))
        first_death = wait(lambda: any(not alive(pid) for pid in pids) and time.monotonic(), TIMEOUT_S + LATE_S)
        report.check(f"mortal: no task ends before {TIMEOUT_S:.0f} s are over", not first_death or first_death - killed >= TIMEOUT_S - 0.1, f"{first_death - killed:.2f} s" if first_death else "")
        report.check("mortal: all its tasks are killed afterwards", wait(lambda: not any(alive(pid) for pid in pids), LATE_S))
        wait(lambda: self.listed(framework_id)[0] == "completed_frameworks", LATE_S)
        key, framework = self.listed(framework_id)
        report.equal("mortal: the framework is completed", key, "completed_frameworks")
        states = {t["id"]: t["state"] for t in framework.get("completed_tasks", [])}
        report.equal("mortal: its tasks are told as killed", states, {"mortal-0": "TASK_KILLED", "mortal-1": "TASK_KILLED"})
        used = lambda: self.house.get("/slaves")["slaves"][0]["used_resources"]["cpus"]  # noqa: E731
        report.check("mortal: its resources are free again", wait(lambda: used() == 0, LATE_S), used())
        try:
            Scheduler(self.house.address, "mortal", framework_id=framework_id).subscribe().close()
            report.check("mortal: its id is refused from now on", False, "was subscribed again")
        except Refused as refusal:
            report.equal("mortal: its id is refused from now on", str(refusal), "Framework has been removed")

    def back_in_time(self):
        process, framework_id, pids = self.start("returns", TIMEOUT_S)
        killed = self.kill(process)
        wait(lambda: self.listed(framework_id)[1].get("active") is False, 2)
        framework = Scheduler(self.house.address, "returns", TIMEOUT_S, framework_id=framework_id).subscribe()
        in_time = time.monotonic() - killed < TIMEOUT_S
        report.need("returns: subscribed again before its timer ended", in_time)
        names = ["returns-0", "returns-1"]
        running = dict.fromkeys(names, "TASK_RUNNING")
        report.equal("returns: both tasks run", framework.reconcile(names), running)
        wait(lambda: time.monotonic() > killed + TIMEOUT_S + 1, TIMEOUT_S + 2)
        report.equal("returns: the old timer kills nothing", framework.reconcile(names), running)
        report.equal("returns: the same processes, none started twice", [p for p in self.pids("returns") if alive(p)], pids)
        report.equal("returns: listed as active", (self.listed(framework_id)[0], self.listed(framework_id)[1].get("active")), ("frameworks", True))
        framework.teardown()
        report.check("returns: TEARDOWN ends its tasks", wait(lambda: not any(alive(pid) for pid in pids), 10))
        framework.close()

    def no_timeout(self):
        process, framework_id, pids = self.start("no-timer", 0.0)
        self.kill(process)
        report.check("no-timer: without failover_timeout its tasks end at once", wait(lambda: not any(alive(pid) for pid in pids), LATE_S))
        report.check("no-timer: the framework is completed", wait(lambda: self.listed(framework_id)[0] == "completed_frameworks", LATE_S), self.listed(framework_id)[0])


def main():
    with House() as house:
        checks = Checks(house)
        report.run(checks.dead_for_good, checks.back_in_time, checks.no_timeout)
    sys.exit(report.end())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--framework"]:
        be_framework(*sys.argv[2:])
    else:
        main()
