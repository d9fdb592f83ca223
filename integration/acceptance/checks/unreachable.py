#!/usr/bin/env python3
"""unreachable.py: an agent that falls silent for longer than its pings are waited for, and comes back: its tasks are told of as unreachable or
lost, as their frameworks know of partitions or do not, and run on.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, alive  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

LIMIT_S = 20
report = Report()


class Checks:
    def __init__(self, house):
        self.house, self.agent = house, house.agents[0]
        self.aware = Scheduler(house.address, "aware", failover_timeout=60, capabilities=["PARTITION_AWARE"]).subscribe()
        self.plain = Scheduler(house.address, "plain", failover_timeout=60).subscribe()

    def launch(self, framework, name):
        offer = framework.wait_offer(cpus=1, mem=64, limit_s=LIMIT_S)
        framework.launch(offer, [task(name, offer, "exec sleep 600", cpus=1)])
        return framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)["container_status"]["executor_pid"]

    def falls_silent(self):
        self.pids = {name: self.launch(framework, name) for framework, name in ((self.aware, "knows"), (self.plain, "does-not"))}
        self.agent.pause()
        told = self.aware.wait_state("knows", "TASK_UNREACHABLE", limit_s=LIMIT_S)
        report.equal("a framework that knows of partitions hears why", told["reason"], "REASON_AGENT_REMOVED")
        report.check("and since when", told["unreachable_time"]["nanoseconds"] > 0, told)
        told = self.plain.wait_state("does-not", "TASK_LOST", limit_s=LIMIT_S)
        report.equal("another one that the task is lost", told["reason"], "REASON_AGENT_REMOVED")
        report.check("both go on meanwhile", all(alive(pid) for pid in self.pids.values()), self.pids)
        metrics = self.house.get("/metrics/snapshot")
        report.equal("it is counted", (metrics["master/slave_removals/reason_unhealthy"], metrics["master/slaves_unreachable"]), (1.0, 1.0))
        absent = self.house.get("/tepui/v1/absent-agents")["unreachable"]
        report.equal("and named", [it["hostname"] for it in absent], ["127.0.0.1"])
        report.check("the log says so", "the agent is unreachable" in self.house.master.log_tail(50), self.house.master.log_tail())

    def comes_back(self):
        told = {framework: len(framework.updates) for framework in (self.aware, self.plain)}
        self.agent.resume()
        report.check("the agent is a member again", wait(lambda: self.house.active_agents() == 1, LIMIT_S), self.agent.log_tail())
        for framework, name in ((self.aware, "knows"), (self.plain, "does-not")):
            # What was not acknowledged when the agent fell silent comes again, too.
            news = framework.wait(lambda f=framework: [it for it in f.updates[told[f]:] if it.get("reason") == "REASON_AGENT_REREGISTERED"], LIMIT_S, "news of its task")
            report.equal(f"{name}: its framework hears that it runs", [it["state"] for it in news], ["TASK_RUNNING"])
            report.equal(f"{name}: RECONCILE says so too", framework.reconcile([name]), {name: "TASK_RUNNING"})
            report.check(f"{name}: it is the process that it was", alive(self.pids[name]))
            framework.end(name, limit_s=LIMIT_S)
        report.equal("the agent is not counted any more", self.house.get("/metrics/snapshot")["master/slaves_unreachable"], 0.0)
        self.aware.teardown()
        self.plain.teardown()


def main():
    house = House()
    house.master.command += ["--agent-ping-timeout", "1secs", "--max-agent-ping-timeouts", "2"]
    with house:
        checks = Checks(house)
        report.run(checks.falls_silent, checks.comes_back)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
