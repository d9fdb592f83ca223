#!/usr/bin/env python3
"""draining.py: DRAIN_AGENT on real processes, over kill -9 of the agent and of the master.

Wants TEPUI_BIN. Ends with 0 or 1. Who is killed when and told what, what the agent says of itself, and what brings it back.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import json  # noqa: E402

from daemons import House, get, request  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

DEAF = "trap '' TERM; touch ready; while :; do sleep 0.1; done"
report = Report()


class Checks:
    def __init__(self, house, framework):
        self.house, self.framework = house, framework

    def launch(self, name, command, **more):
        offer = self.framework.wait_offer(cpus=0.5, mem=64)
        self.framework.launch(offer, [{**task(name, offer, command), **more}])
        self.framework.wait_state(name, "TASK_RUNNING")
        return offer["agent_id"]

    def operator(self, kind, agent_id, **more):
        call = json.dumps({"type": kind, kind.lower(): {"agent_id": agent_id, **more}})
        status, _, text = request(self.house.port, "POST", "/api/v1", call, {"Content-Type": "application/json"})
        return status, text.decode()

    def shown(self):
        agents = self.house.post({"type": "GET_AGENTS"})["get_agents"].get("agents", [])
        return agents[0] if agents else {}

    def state(self):
        return self.shown().get("drain_info", {}).get("state")

    def of_agent(self):
        return get(self.house.agents[0].port, "/state")

    def killed_in_time(self):
        agent_id = self.launch("deaf", DEAF, kill_policy={"grace_period": {"nanoseconds": 600 * 10**9}})
        begun = time.monotonic()
        status, text = self.operator("DRAIN_AGENT", agent_id, max_grace_period={"seconds": 2})
        report.equal("DRAIN_AGENT is answered", (status, text), (200, ""))
        report.equal("shown as draining", (self.state(), self.shown()["active"], self.shown()["deactivated"]), ("DRAINING", False, True))
        config = {"max_grace_period": {"nanoseconds": 2 * 10**9}, "mark_gone": False}
        report.equal("the agent says that it drains", self.of_agent().get("drain_config"), config)
        status, text = self.operator("REACTIVATE_AGENT", agent_id)
        report.equal("it is not brought back before", (status, text), (400, "Agent is still in the DRAINING state"))
        killed = self.framework.wait_state("deaf", "TASK_KILLED")
        took = time.monotonic() - begun
        report.check("killed when the shorter grace is over", 1.5 < took < 30, f"{took:.1f} s")
        report.equal("told why", killed.get("reason"), "REASON_AGENT_DRAINING")
        report.check("drained with the last acknowledgement", wait(lambda: self.state() == "DRAINED", 10), self.state())
        report.check("the agent says no more of it", "drain_config" not in self.of_agent())

    def stays_drained(self):
        for daemon in (self.house.master, self.house.agents[0]):
            daemon.kill()
            daemon.start()
        report.check("drained after kill -9 of both", wait(lambda: self.state() == "DRAINED", 30), self.state())
        # The scheduler is here again; nothing is offered to it.
        self.framework.subscribe()
        time.sleep(1)
        report.equal("and offered to nobody", self.framework.offers, [])
        status, text = self.operator("REACTIVATE_AGENT", self.shown()["agent_info"]["id"])
        report.equal("REACTIVATE_AGENT is answered", (status, text), (200, ""))
        report.check("then it is offered again", wait(lambda: bool(self.framework.offers), 10))

    def told_again(self):
        agent_id = self.launch("patient", DEAF, kill_policy={"grace_period": {"nanoseconds": 600 * 10**9}})
        self.house.agents[0].kill()
        status, _ = self.operator("DRAIN_AGENT", agent_id, max_grace_period={"seconds": 1})
        report.equal("one that is away is told to drain", status, 200)
        self.house.agents[0].start()
        killed = self.framework.wait_state("patient", "TASK_KILLED")
        report.equal("and drains when it is back", killed.get("reason"), "REASON_AGENT_DRAINING")
        report.check("until it is drained", wait(lambda: self.state() == "DRAINED", 10), self.state())
        self.operator("REACTIVATE_AGENT", agent_id)

    def marked_gone(self):
        agent_id = self.launch("last", "exec sleep 600")
        status, _ = self.operator("DRAIN_AGENT", agent_id, mark_gone=True)
        report.equal("DRAIN_AGENT with mark_gone is answered", status, 200)
        gone = self.framework.wait_state("last", "TASK_GONE_BY_OPERATOR")
        report.equal("its tasks are told as gone", gone.get("reason"), "REASON_AGENT_DRAINING")
        report.check("and then it is gone", wait(lambda: self.shown() == {}, 10), self.shown())


def main():
    with House() as house:
        framework = Scheduler(house.address, "draining", failover_timeout=60, capabilities=("PARTITION_AWARE",)).subscribe()
        checks = Checks(house, framework)
        report.run(checks.killed_in_time, checks.stays_drained, checks.told_again, checks.marked_gone)
        framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
