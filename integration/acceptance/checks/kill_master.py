#!/usr/bin/env python3
"""kill_master.py: `kill -9` of the master with ten running tasks, then of the agent; nothing is lost and nothing starts twice.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, alive  # noqa: E402
from pid_files import pids_of  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

TASKS = [f"long-{number}" for number in range(10)]
ENDS = "ends-while-the-agent-is-away"
BACK_LIMIT_S = 2.0
MANY = 3000  # more than there is room for messages to one scheduler
report = Report()


class Checks:
    def __init__(self, house):
        self.house, self.agent = house, house.agents[0]
        self.framework = Scheduler(house.address, "survivor", failover_timeout=600)

    def command(self, name):
        """Notes its pid each time it is started, and ends with the status that a file tells it to."""
        note, end = self.house.path(f"{name}.pids"), self.house.path(f"{name}.end")
        return f"echo $$ >> {note}; while [ ! -e {end} ]; do sleep 0.3; done; exit $(cat {end})"

    def all_pids(self):
        return {name: pids_of(self.house, name) for name in TASKS}

    def same_processes(self, when):
        now = self.all_pids()
        report.check(f"{when}: none of the ten was started twice", all(len(pids) == 1 for pids in now.values()), now)
        report.equal(f"{when}: the same ten processes live", {n: p for n, p in now.items() if p and alive(p[-1])}, self.started)

    def ten_run(self):
        self.framework.subscribe()
        offer = self.framework.wait_offer(cpus=4)
        self.framework.launch(offer, [task(name, offer, self.command(name)) for name in TASKS])
        for name in TASKS:
            self.framework.wait_state(name, "TASK_RUNNING")
        wait(lambda: all(pids_of(self.house, name) for name in TASKS), 5)
        self.started = self.all_pids()
        self.agent_id = offer["agent_id"]["value"]
        report.need("ten tasks run, each started once", all(len(p) == 1 and alive(p[0]) for p in self.started.values()), self.started)

    def many_reconciled(self):
        names = [f"unknown-{number}" for number in range(MANY)]
        told = self.framework.reconcile(names)
        report.equal(f"one RECONCILE of {MANY} tasks is answered for each", sum(name in told for name in names), MANY)
        report.check("and its stream goes on", not self.framework.ended)

    def master_killed(self):
        self.house.master.kill()
        report.check("the scheduler sees its stream end", wait(lambda: self.framework.ended, 5))
        self.same_processes("without a master")
        self.house.master.start()
        report.need("the master answers again", wait(lambda: self.house.get("/slaves") is not None, 15), self.house.master.log_tail())
        answered = time.monotonic()
        back = wait(lambda: self.house.active_agents() == 1, 10)
        took = time.monotonic() - answered
        report.check(f"the agent is back within {BACK_LIMIT_S:.0f} s of the master's return", back and took <= BACK_LIMIT_S, f"{took:.2f} s, active {back}")
        print(f"     the agent was back {took * 1000:.0f} ms after the master's first answer", flush=True)
        report.equal("the agent has its old id", self.house.get("/slaves")["slaves"][0]["id"], self.agent_id)

    def scheduler_returns(self):
        before = self.framework.id
        self.framework.subscribe()
        report.equal("the framework keeps its id", self.framework.id, before)
        report.equal("explicit RECONCILE says all ten run", self.framework.reconcile(TASKS), dict.fromkeys(TASKS, "TASK_RUNNING"))
        listed = {t["id"]: t["state"] for t in self.house.get("/tasks")["tasks"]}
        report.equal("/tasks lists all ten as running", listed, dict.fromkeys(TASKS, "TASK_RUNNING"))
        self.same_processes("after the master's return")
        offer = self.framework.wait_offer(cpus=2)
        self.framework.launch(offer, [task(ENDS, offer, self.command(ENDS))])
        self.framework.wait_state(ENDS, "TASK_RUNNING")
        report.check("a new task runs under the new master", wait(lambda: pids_of(self.house, ENDS), 5))

    def agent_killed(self):
        since = len(self.framework.updates)
        pid = pids_of(self.house, ENDS)[0]
        self.agent.kill()
        self.same_processes("without the agent")
        with open(self.house.path(f"{ENDS}.end"), "w", encoding="ascii") as end:
            end.write("7")
        report.need("a task ends while the agent is away", wait(lambda: not alive(pid), 5))
        self.agent.start()
        status = self.framework.wait_state(ENDS, "TASK_FAILED", since)
        report.equal("its end is told truly", status.get("message"), "Command exited with status 7")
        report.check("the agent is active again", wait(lambda: self.house.active_agents() == 1, 10), self.house.agents[0].log_tail())
        report.equal("with its old id", [a["id"] for a in self.house.get("/slaves")["slaves"]], [self.agent_id])
        self.same_processes("after the agent's return")
        report.equal("RECONCILE says all ten still run", self.framework.reconcile(TASKS), dict.fromkeys(TASKS, "TASK_RUNNING"))
        told = {s["task_id"]["value"] for s in self.framework.updates[since:] if s["state"] not in ("TASK_RUNNING", "TASK_STARTING")}
        report.equal("nobody else was said to have ended", told, {ENDS})

    def tasks_killed(self):
        since = len(self.framework.updates)
        for name in TASKS[:-1]:
            self.framework.kill(name)
        for name in TASKS[:-1]:
            self.framework.wait_state(name, "TASK_KILLED", since)
        report.check("KILL ends nine as TASK_KILLED", True)
        report.check("their processes are gone", wait(lambda: not any(alive(pids_of(self.house, n)[0]) for n in TASKS[:-1]), 5))
        with open(self.house.path(f"{TASKS[-1]}.end"), "w", encoding="ascii") as end:
            end.write("0")
        self.framework.wait_state(TASKS[-1], "TASK_FINISHED", since)
        report.check("the tenth ends by itself as TASK_FINISHED", True)
        self.framework.teardown()


def main():
    with House() as house:
        checks = Checks(house)
        report.run(checks.ten_run, checks.many_reconciled)
        if not report.failed:
            report.run(checks.master_killed, checks.scheduler_returns, checks.agent_killed, checks.tasks_killed)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
