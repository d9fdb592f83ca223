#!/usr/bin/env python3
"""stuck_kill.py: tasks that wait in the kernel, for a file server that does not answer, and take no signal. The agent is not held up, also by a
restart, other tasks go on, what hangs keeps its resources and is shown; when the kernel lets go its end is told.

Wants TEPUI_BIN and root. Ends with 0 or 1. All of it is in a mount namespace of its own.
"""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from alone import alone  # noqa: E402
from daemons import House, get  # noqa: E402
from health import Health  # noqa: E402
from hung_files import HungFiles  # noqa: E402
from remains import Remains, stuck  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, amounts, task  # noqa: E402

report = Report()
LIMIT_S = 30
HEALTH_LIMIT_S = 5
HELD_CPUS = 1.0
ALIVE = ("TASK_STARTING", "TASK_RUNNING", "TASK_KILLING")
# The command itself waits; or one that it began, and it ends as it is told to.
SCRIPTS = {"hangs": "exec cat {}/one", "leaves": "cat {}/other & wait"}


class Checks:
    def __init__(self, house, remains, hung):
        self.house, self.remains, self.hung = house, remains, hung
        self.agent = house.agents[0]
        self.framework = Scheduler(house.address, "stuck", failover_timeout=60, capabilities=["TASK_KILLING_STATE"]).subscribe()

    def start(self, name, command, cpus):
        offer = self.framework.take_offer(lambda it: amounts(it)[0] >= cpus and amounts(it)[1] >= 32, LIMIT_S)
        self.framework.launch(offer, [task(name, offer, command, cpus)])

    def hang(self):
        for name, script in SCRIPTS.items():
            self.start(name, script.format(self.hung.folder), HELD_CPUS)
            self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)
            report.need(f"{name}: it waits for the file server", self.hung.asked.wait(LIMIT_S))
            self.hung.asked.clear()
        with Health(self.agent.port) as health:
            for name in SCRIPTS:
                self.framework.call("KILL", kill={"task_id": {"value": name}, "kill_policy": {"grace_period": {"nanoseconds": 0}}})
            report.check("both are shown as what cannot be killed", wait(lambda: len(self.shown()) == 2, LIMIT_S), self.shown())
            self.others("beside")
        print(f"/health {health.figures()}", flush=True)
        report.check(f"each question for health is answered, within {HEALTH_LIMIT_S} s", health.worst_s < HEALTH_LIMIT_S, health.figures())
        self.told()

    def shown(self):
        """By Mesos' list of what the containerizer waits for: why, by container."""
        pending = get(self.agent.port, "/containerizer/debug")["pending"]
        return {it["args"]["containerId"]: it["args"]["reason"] for it in pending if it["operation"] == "destroy"}

    def others(self, prefix):
        for number in range(3):
            self.start(f"{prefix}-{number}", "exit 0", 0.1)
            self.framework.wait_state(f"{prefix}-{number}", "TASK_FINISHED", limit_s=LIMIT_S)
        report.check(f"other tasks come and go ({prefix})", True)

    def told(self):
        reasons = list(self.shown().values())
        report.check("with the process, and that it waits in the kernel", all("(cat, state D" in reason for reason in reasons), reasons)
        report.equal("they are counted", stuck(self.agent.port), [2, 0])
        report.check("so are the tries", get(self.agent.port, "/metrics/snapshot")["containerizer/mesos/container_destroy_errors"] >= 2)
        report.check("and the log tells of them", "they hang in the kernel" in self.agent.log_tail(200))
        for name in SCRIPTS:
            status = wait(lambda name=name: next((s for s in list(self.framework.updates) if s["task_id"]["value"] == name and self.is_told(s)), None), LIMIT_S)
            report.equal(f"{name}: its framework is told", status and status["state"], "TASK_KILLING")
        tasks = {it["task_id"]["value"]: it["statuses"] for it in self.house.post({"type": "GET_TASKS"})["get_tasks"]["tasks"]}
        report.equal("the master shows the same", [any(self.is_told(status) for status in tasks[name]) for name in SCRIPTS], [True, True])
        self.held()

    @staticmethod
    def is_told(status):
        return "(cat, state D" in status.get("message", "")

    def held(self):
        report.equal("nobody is told that they have ended", [[s for s in self.framework.told(name) if s not in ALIVE] for name in SCRIPTS], [[], []])
        used = self.house.get("/slaves")["slaves"][0]["used_resources"]["cpus"]
        report.check("they hold what they had", used >= 2 * HELD_CPUS, used)
        self.framework.wait(lambda: self.framework.offers, LIMIT_S, "offer")
        with self.framework.changed:
            offered = sum(amounts(offer)[0] for offer in self.framework.offers)
        report.check("which is offered to nobody", offered <= 4 - 2 * HELD_CPUS, offered)

    def restart(self):
        self.agent.kill()
        self.agent.start()
        report.check("an agent that is started again is not held up", wait(self.agent.registered, LIMIT_S), self.agent.log_tail())
        report.check("and shows them again", wait(lambda: len(self.shown()) == 2, LIMIT_S), self.shown())
        self.others("after")
        self.held()

    def release(self):
        self.hung.release()
        for name in SCRIPTS:
            status = self.framework.wait_state(name, "TASK_KILLED", limit_s=LIMIT_S)
            report.equal(f"{name}: its end is told once", self.framework.told(name).count(status["state"]), 1)
        report.check("nothing is left of them", wait(lambda: not self.remains.of(), LIMIT_S), self.remains.of())
        report.check("nor shown", wait(lambda: not self.shown(), LIMIT_S), self.shown())
        report.equal("nor counted", stuck(self.agent.port), [0, 0])
        free = wait(lambda: self.house.get("/slaves")["slaves"][0]["used_resources"]["cpus"] == 0, LIMIT_S)
        report.check("what they held is free", free)


def main():
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        report.check("left out: a file server needs root and /dev/fuse", True)
        sys.exit(report.end())
    alone()
    house = House(resources="cpus:4;mem:1024;disk:1000")
    house.agents[0].command += ["--cgroups-destroy-timeout", "2secs"]
    # Not in the house: whoever looked around there would hang.
    folder = tempfile.mkdtemp(prefix="tepui-hung.")
    try:
        with Remains(house) as remains, house, HungFiles(os.path.join(folder, "files")) as hung:
            checks = Checks(house, remains, hung)
            report.run(checks.hang, checks.restart, checks.release)
            checks.framework.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
