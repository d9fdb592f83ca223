#!/usr/bin/env python3
"""oversubscription.py: an agent lends cpus, who takes them is preempted by the machine's load, and offers follow the estimate.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, get  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, amounts, task  # noqa: E402

LIMIT_S = 40
LENT = 3.0
ESTIMATE = ["--resource-estimator", f"fixed=cpus:{LENT:.0f};mem:1024", "--oversubscribed-resources-interval", "1secs"]
# No machine has so little to do, and none has so much.
ALWAYS, NEVER = "load=5min:0;15min:0", "load=5min:100000"
report = Report()


def cpus(offer, revocable):
    found = [r for r in offer["resources"] if r["name"] == "cpus" and ("revocable" in r) == revocable]
    return sum(r["scalar"]["value"] for r in found)


def on_lent(name, offer, command):
    """A task on one of the cpus that were lent."""
    found = task(name, offer, command, 1.0, 32)
    for resource in found["resources"]:
        if resource["name"] == "cpus":
            resource["revocable"] = {}
    return found


class Checks:
    def __init__(self, house):
        self.house, self.agent = house, house.agents[0]
        self.plain = Scheduler(house.address, "plain")
        self.taker = Scheduler(house.address, "taker", failover_timeout=600, capabilities=["REVOCABLE_RESOURCES", "PARTITION_AWARE"])
        self.unaware = Scheduler(house.address, "unaware", failover_timeout=600, capabilities=["REVOCABLE_RESOURCES"])

    def restart(self, *flags):
        """The agent again, with these flags behind its own."""
        self.agent.kill()
        self.agent.command = self.command + list(flags)
        self.agent.start()

    def lent(self):
        """What the master believes that the agent lends."""
        agents = self.house.get("/slaves")["slaves"]
        return agents[0]["resources"].get("cpus_revocable", 0) if agents else 0

    def nothing_is_lent(self):
        self.command = self.agent.command
        self.taker.subscribe()
        offer = self.taker.wait_offer(cpus=2)
        report.equal("by default nothing is lent", (cpus(offer, False), cpus(offer, True)), (2.0, 0))
        self.taker.decline(offer, 0.1)
        self.taker.call("SUPPRESS")

    def lends(self):
        self.restart(*ESTIMATE, "--qos-controller", NEVER)
        report.check("the master is told of what is lent", wait(lambda: self.lent() == LENT, LIMIT_S), self.agent.log_tail())
        self.plain.subscribe()
        offer = self.plain.wait_offer(cpus=1, limit_s=LIMIT_S)
        report.equal("who does not know of it is offered what the agent has", (cpus(offer, False), cpus(offer, True)), (2.0, 0))
        self.plain.teardown()
        self.taker.call("REVIVE")
        offer = self.taker.wait_offer(cpus=LENT, limit_s=LIMIT_S)
        report.equal("who does is offered what is lent beside it", (cpus(offer, False), cpus(offer, True)), (2.0, LENT))
        self.taker.launch(offer, [on_lent("lent", offer, "sleep 1000"), task("own", offer, "sleep 1000", 0.5, 32)])
        self.taker.wait_state("lent", "TASK_RUNNING")
        self.taker.wait_state("own", "TASK_RUNNING")
        report.check("a task runs on it, and one beside it", True)
        report.equal("what is lent in all stays the same", self.lent(), LENT)
        metrics = self.agent_metrics()
        report.equal("the agent counts both", [metrics[f"slave/cpus{kind}_{what}"] for kind in ("", "_revocable") for what in ("total", "used")][2:], [LENT, 1.0])

    def agent_metrics(self):
        return get(self.agent.port, "/metrics/snapshot")

    def less(self):
        """What is lent follows the estimate, and so do offers."""
        offer = self.taker.wait_offer(cpus=LENT - 1, limit_s=LIMIT_S)
        report.equal("the rest of it is offered", cpus(offer, True), LENT - 1)
        with self.taker.changed:
            self.taker.offers.append(offer)
        self.restart("--resource-estimator", "fixed=cpus:2", "--oversubscribed-resources-interval", "1secs")
        self.taker.wait(lambda: all(o["id"] != offer["id"] for o in self.taker.offers), LIMIT_S, "RESCIND")
        report.check("less is lent after a restart", wait(lambda: self.lent() == 2.0, LIMIT_S), self.lent())
        again = self.taker.wait(lambda: next((o for o in self.taker.offers if cpus(o, True) == 1.0), None), LIMIT_S, "offer of one lent cpu")
        report.equal("and what is left of that is offered", cpus(again, True), 1.0)

    def preempted(self):
        self.unaware.subscribe()
        self.taker.call("SUPPRESS")
        for offer in list(self.taker.offers):
            self.taker.decline(offer)
        # What the taker declined may come in several offers, the lent cpus in one without memory.
        offer = self.unaware.take_offer(lambda o: cpus(o, True) >= 1.0 and amounts(o)[1] >= 32, LIMIT_S)
        self.unaware.launch(offer, [on_lent("theirs", offer, "sleep 1000")])
        self.unaware.wait_state("theirs", "TASK_RUNNING")
        self.restart(*ESTIMATE, "--qos-controller", ALWAYS)
        gone = self.taker.wait_state("lent", "TASK_GONE", limit_s=LIMIT_S)
        report.equal("under load the task on lent cpus is gone", (gone["reason"], gone["message"]), ("REASON_CONTAINER_PREEMPTED", "Container preempted by QoS correction"))
        lost = self.unaware.wait_state("theirs", "TASK_LOST", limit_s=LIMIT_S)
        report.equal("who does not know of partitions is told that it is lost", lost["reason"], "REASON_CONTAINER_PREEMPTED")
        report.check("the agent counts them", wait(lambda: self.agent_metrics()["slave/executors_preempted"] == 2.0, LIMIT_S), self.agent_metrics()["slave/executors_preempted"])
        report.equal("the task on its own cpus runs on", self.taker.reconcile(["own"]), {"own": "TASK_RUNNING"})

    def capabilities(self):
        """A framework that gives the capability up is offered nothing of it any more, and again once it has it back."""
        self.restart(*ESTIMATE)
        report.check("the agent lends again", wait(lambda: self.lent() == LENT, LIMIT_S), self.lent())
        capabilities = self.unaware.info["capabilities"]
        self.unaware.info["capabilities"] = []
        self.unaware.subscribe()
        offer = self.unaware.wait_offer(cpus=1, limit_s=LIMIT_S)
        report.equal("without the capability there are no lent cpus", cpus(offer, True), 0)
        self.unaware.info["capabilities"] = capabilities
        self.unaware.subscribe()
        found = self.unaware.wait(lambda: any(cpus(o, True) > 0 for o in self.unaware.offers), LIMIT_S, "offer of lent cpus")
        report.check("with it there are", found)
        self.unaware.teardown()
        self.taker.teardown()


def main():
    with House(resources="cpus:2;mem:2048;disk:1000;ports:[31000-31100]") as house:
        checks = Checks(house)
        report.run(checks.nothing_is_lent)
        if not report.failed:
            report.run(checks.lends, checks.less, checks.preempted, checks.capabilities)
        for framework in (checks.plain, checks.taker, checks.unaware):
            framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
