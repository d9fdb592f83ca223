#!/usr/bin/env python3
"""allocator_metrics.py: what the allocator and the roles have in /metrics/snapshot while a task comes, a master is killed and the task goes.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

LIMIT_S = 30
QUOTA = "allocator/mesos/quota/roles"
CONSUMED = f"{QUOTA}/*/resources/cpus/consumed"
RESERVED = f"{QUOTA}/r/resources/cpus/consumed"
STATISTICS = ["count", "min", "max", "p50", "p90", "p95", "p99", "p999", "p9999"]
report = Report()


class Checks:
    def __init__(self, house):
        self.house = house
        self.framework = Scheduler(house.address, "counted", failover_timeout=600)

    def metrics(self):
        return self.house.get("/metrics/snapshot")

    def becomes(self, text, name, value):
        """A metric has a value soon; None: it is not there."""
        found = []

        def is_there():
            found.append(self.metrics().get(name))
            return found[-1] == value
        report.check(text, wait(is_there, LIMIT_S), f"{name}: {found[-3:]}, expected {value}")

    def before_anybody(self):
        now = self.metrics()
        names = [f"allocator/mesos/resources/{name}/{what}" for name in ("cpus", "mem", "disk") for what in ("total", "offered_or_allocated")]
        report.equal("what all agents have, and what is offered or used", [now[name] for name in names], [6.0, 0.0, 5120.0, 0.0, 1000.0, 0.0])
        report.equal("a reservation is consumed though nobody has it", now[RESERVED], 2.0)
        report.check("nothing else is", CONSUMED not in now, now.get(CONSUMED))
        report.equal("the queue has a length under both names", [now[f"{name}/event_queue_dispatches"] >= 0 for name in ("allocator", "allocator/mesos")], [True, True])

    def offered(self):
        self.framework.subscribe()
        self.offer = self.framework.wait_offer(cpus=4)
        self.becomes("what is offered counts as offered", "allocator/mesos/resources/cpus/offered_or_allocated", 4.0)
        report.check("and is not consumed", CONSUMED not in self.metrics())
        now = self.metrics()
        report.check("runs are counted", now["allocator/mesos/allocation_runs"] >= 1, now["allocator/mesos/allocation_runs"])
        report.check("the role's dominant share is told", abs(now["allocator/mesos/roles/*/shares/dominant"] - 4 / 5) < 0.2, now)

    def launched(self):
        self.framework.launch(self.offer, [task("t", self.offer, "sleep 1000", 1.5, 64)], refuse_seconds=1000)
        self.framework.wait_state("t", "TASK_RUNNING")
        self.becomes("what a task has is consumed", CONSUMED, 1.5)
        self.becomes("a refusal that stands is counted", "allocator/mesos/offer_filters/roles/*/active", 1.0)

    def timed(self):
        self.framework.call("REVIVE")
        self.framework.decline(self.framework.wait_offer(cpus=2))
        self.becomes("a refusal takes the place of the one that was revived", "allocator/mesos/offer_filters/roles/*/active", 1.0)
        now = self.metrics()
        for timer in ("allocation_run_ms", "allocation_run_latency_ms"):
            missing = [rest for rest in ["", *(f"/{s}" for s in STATISTICS)] if f"allocator/mesos/{timer}{rest}" not in now]
            report.equal(f"{timer} has its statistics", missing, [])

    def master_killed(self):
        self.house.master.kill()
        self.house.master.start()
        report.need("the agent is back", wait(lambda: self.house.active_agents() == 1, LIMIT_S), self.house.master.log_tail())
        self.becomes("what its task has is consumed though nobody has subscribed", CONSUMED, 1.5)
        self.framework.subscribe()
        self.framework.wait_offer(cpus=2)
        report.equal("and once, when its framework is there", self.metrics()[CONSUMED], 1.5)

    def ended(self):
        self.framework.end("t")
        self.becomes("nothing is consumed once it has ended", CONSUMED, None)
        report.equal("but for the reservation", self.metrics()[RESERVED], 2.0)
        self.framework.teardown()


def main():
    with House(resources="cpus:4;mem:4096;disk:1000;cpus(r):2;mem(r):1024") as house:
        checks = Checks(house)
        report.run(checks.before_anybody, checks.offered, checks.launched, checks.timed, checks.master_killed, checks.ended)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
