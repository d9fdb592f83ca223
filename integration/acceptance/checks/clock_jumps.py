#!/usr/bin/env python3
"""clock_jumps.py: the clock on the wall is set by an hour and by ten years, forth and back, under three masters and two agents with running
tasks. No election, no lost agent, no lost task; and a leader killed while it is wrong has a successor as ever.

Wants TEPUI_BIN and libfaketime, which sets the clock of the daemons alone: not the monotonic one, and not the kernel's, so what becomes of sandboxes, whose
ages are the kernel's, stands in unit tests. Ends with 0 or 1.
"""
import glob
import http.client
import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, get, request  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

LIMIT_S = 30
YEAR_S = 365 * 24 * 3600
# Some sweeps of sandboxes, heartbeats and Raft's timeouts.
WATCHED_S = 4
report = Report()


class Clock:
    """What the daemons take for the time of day."""

    def __init__(self, folder):
        self.file = os.path.join(folder, "clock")
        self.env = {"LD_PRELOAD": glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")[0], "FAKETIME_TIMESTAMP_FILE": self.file,
                    "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
        self.set(0)

    def set(self, shift_s):
        with open(self.file + ".new", "w", encoding="ascii") as file:
            file.write(f"{shift_s:+d}\n")
        os.replace(self.file + ".new", self.file)


class Checks:
    def __init__(self, house, clock):
        self.house, self.clock = house, clock
        self.framework = None

    def leader(self):
        """The address and the term that a majority names; None while there is none."""
        named = []
        for master in self.house.masters:
            try:
                status, _, body = request(master.port, "GET", "/tepui/v1/leader")
                named += [(told["leader"], told["term"]) for told in [json.loads(body)] if status == 200]
            except (OSError, ValueError, KeyError, http.client.HTTPException):
                pass
        return next((it for it in named if named.count(it) >= 2), None)

    def state(self):
        return get(int(self.leader()[0].rpartition(":")[2]), "/state")

    def run(self, task_id, command, state):
        """Launches a task; when its update was made by the agent's clock, in seconds from now."""
        offer = self.framework.wait_offer(cpus=0.1, mem=32, limit_s=LIMIT_S)
        self.framework.launch(offer, [task(task_id, offer, command, 0.1, 32)])
        return self.framework.wait_state(task_id, state, limit_s=LIMIT_S)["timestamp"] - time.time()

    def begin(self):
        leader = wait(self.leader, LIMIT_S)
        report.need("a master leads", leader)
        self.framework = Scheduler(leader[0], "clock", failover_timeout=3600).subscribe()
        self.run("lives", "exec sleep 1000", "TASK_RUNNING")

    def jumps(self):
        before = self.leader()
        for name, shift_s in (("an hour on", 3600), ("an hour back", -3600), ("ten years on", 10 * YEAR_S), ("ten years back", -10 * YEAR_S), ("right again", 0)):
            self.clock.set(shift_s)
            time.sleep(WATCHED_S)
            report.equal(f"{name}: no election", self.leader(), before)
            state = self.state()
            report.equal(f"{name}: both agents are there", [agent["active"] for agent in state["slaves"]], [True, True])
            living = [it["id"] for it in state["frameworks"][0]["tasks"] if it["state"] == "TASK_RUNNING"]
            report.equal(f"{name}: the task lives", living, ["lives"])
            off_s = self.run(name.replace(" ", "-"), "true", "TASK_FINISHED")
            report.check(f"{name}: the agent's clock was set, and tasks run and end", abs(off_s - shift_s) < 600, off_s)
        for agent in self.house.agents:
            with open(agent.log, encoding="utf-8", errors="replace") as log:
                report.check("an agent notices it before it removes sandboxes", "the clock was set" in log.read(), agent.log_tail())
        report.check("the framework was told of nothing else", not self.framework.ended and self.framework.error is None
                     and self.framework.told("lives")[-1] == "TASK_RUNNING", (self.framework.error, self.framework.told("lives")))

    def successor(self):
        """Who is elected under a clock that is ten years ahead takes over everything; the way back takes nothing."""
        self.clock.set(10 * YEAR_S)
        led, term = self.leader()
        next(it for it in self.house.masters if it.port == int(led.rpartition(":")[2])).kill()
        later = wait(lambda: next((it for it in [self.leader()] if it and it[1] > term), None), LIMIT_S)
        report.need("a leader that is killed has a successor", later)
        back = wait(lambda: [agent["active"] for agent in self.state()["slaves"]] == [True, True], LIMIT_S)
        self.framework.address = later[0]
        self.framework.subscribe()
        self.clock.set(0)
        time.sleep(WATCHED_S)
        states = {it["id"]: it["state"] for it in self.state()["frameworks"][0]["tasks"]}
        report.check("the agents and the task are there", back and states.get("lives") == "TASK_RUNNING", states)
        self.framework.teardown()
        self.framework.close()


def main():
    with tempfile.TemporaryDirectory(prefix="tepui-acceptance.") as folder:
        house, clock = House(agents=2, masters=3), Clock(folder)
        for daemon in [*house.masters, *house.agents]:
            daemon.env.update(clock.env)
        for agent in house.agents:
            agent.command += ["--disk-watch-interval", "1secs"]
        with house:
            checks = Checks(house, clock)
            report.run(checks.begin)
            if not report.failed:
                report.run(checks.jumps, checks.successor)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
