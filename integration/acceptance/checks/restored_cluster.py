#!/usr/bin/env python3
"""restored_cluster.py: a registry is restored from a backup while the agents and frameworks of the old cluster live, those that came after the
backup among them; then a master of the old group comes back beside the new one.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "scripts"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import Daemon, House, alive, request  # noqa: E402
from free_port import free_ranges  # noqa: E402
from pid_files import pid_in  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Refused, Scheduler, task  # noqa: E402
from tepui_command import tepui  # noqa: E402

LIMIT_S = 30
# Agents ask other masters after a beat or two without one of their own.
QUIET_S = 6
report = Report()


class Restored(House):
    """Its agents know the old master and the one that will be restored. The last of them starts late."""

    def __init__(self):
        super().__init__(agents=3)
        port, bridge = free_ranges(1, 2)
        self.old = self.master
        words = ["master", "--work-dir", self.path("restored"), "--name", "again", "--port", str(port), "--bridge-port", str(bridge)]
        self.new = Daemon(words, port, self.path("again.log"))
        both = f"{self.address},127.0.0.1:{port}"
        for agent in self.agents:
            agent.command[agent.command.index("--master") + 1] = both
        self.late = self.agents.pop()

    def start_late(self):
        self.agents.append(self.late)
        self.late.start()
        report.need("an agent comes after the backup", wait(lambda: len(self.ids()) == 3, LIMIT_S), self.late.log_tail())

    def start_restored(self):
        self.masters.append(self.new)
        self.new.start()
        self.port = self.new.port

    def cluster(self, *words):
        code, out, err = tepui("cluster", *words)
        report.need(f"{words[0]} is done", code == 0, out + err)

    def ids(self):
        """Of the agents that are there, by their ports."""
        return {agent["port"]: agent["id"] for agent in self.get("/slaves")["slaves"] if agent["active"]}


def on(house, framework, name, agent_id):
    """Runs a task on this agent; returns the pid of its command."""
    pid_file = house.path(f"{name}.pid")
    offer = framework.take_offer(lambda it: it["agent_id"]["value"] == agent_id, LIMIT_S)
    framework.launch(offer, [task(name, offer, f"echo $$ > {pid_file}; exec sleep 600")])
    framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)
    return wait(lambda: pid_in(pid_file), LIMIT_S)


def back(house, framework):
    """Subscribes again, at the new master."""
    framework.address = f"127.0.0.1:{house.new.port}"
    try:
        return bool(framework.subscribe())
    except (OSError, Refused, RuntimeError):
        return False


def main():
    with Restored() as house:
        first, second = house.agents
        before = house.ids()
        early = Scheduler(house.address, "early", failover_timeout=600).subscribe()
        pids = [on(house, early, "one", before[first.port])]
        early.call("SUPPRESS")
        for offer in list(early.offers):
            early.decline(offer)
        house.cluster("backup", house.path("backup"), "--master", house.address)

        house.start_late()
        known = house.ids()
        late = Scheduler(house.address, "late", failover_timeout=600).subscribe()
        pids += [on(house, late, "two", known[house.late.port]), on(house, late, "three", before[second.port])]

        house.old.kill()
        house.cluster("restore", house.path("backup"), "--work-dir", house.path("restored"), "--name", "again")
        house.start_restored()
        report.need("all agents follow the restored master, with the ids they had", wait(lambda: house.ids() == known, LIMIT_S),
                    house.late.log_tail() + house.new.log_tail())
        report.check("both frameworks come back", wait(lambda: back(house, early), LIMIT_S) and wait(lambda: back(house, late), LIMIT_S),
                     house.new.log_tail())
        report.equal("their tasks run, those that came after the backup too", (early.reconcile(["one"]), late.reconcile(["two", "three"])),
                     ({"one": "TASK_RUNNING"}, {"two": "TASK_RUNNING", "three": "TASK_RUNNING"}))

        house.old.start()
        report.need("a master of the old group leads itself", wait(lambda: request(house.old.port, "GET", "/slaves")[0] == 200, LIMIT_S),
                    house.old.log_tail())
        lost = wait(lambda: house.ids() != known, QUIET_S)
        report.check("no agent leaves the restored one for it", not lost, house.ids())
        second.kill()
        second.start()
        report.check("nor does one that starts anew", wait(second.registered, LIMIT_S) and house.ids() == known, second.log_tail())
        report.check("the tasks are the processes they were", all(alive(pid) for pid in pids), pids)
        for framework, name in ((early, "one"), (late, "two"), (late, "three")):
            framework.end(name, limit_s=LIMIT_S)
        report.check("and end when they are killed", wait(lambda: not any(alive(pid) for pid in pids), LIMIT_S), pids)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
