#!/usr/bin/env python3
"""hundred_tasks.py: what an idle command task costs beyond its command, and 100 of them over kill -9 of their agent.

Wants TEPUI_BIN. Prints the figures; ends with 0 or 1.
"""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, alive  # noqa: E402
from pid_files import pid_in  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

LIMIT_S = 60
TASKS = 100
# It ends by itself while the agent is away.
SHORT = "ends"
EXIT_CODE = 7
# The goal of PERFORMANCE: Mesos has 5.8 MB.
MAX_PRIVATE_KIB = 1536
report = Report()


def private_kib(pid):
    """Memory that would be free if this process were not there."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(kib) for kib in re.findall(r"Private_\w+:\s+(\d+)", file.read()))


def parent(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


class Checks:
    def __init__(self, house):
        self.house = house
        self.framework = Scheduler(house.address, "hundred", failover_timeout=60).subscribe()
        self.pids = {}

    def pid_file(self, name):
        return f"{self.house.folder}/{name}.pid"

    def launch(self):
        names = [f"t{index}" for index in range(TASKS - 1)]
        offer = self.framework.wait_offer(cpus=10, mem=64, limit_s=LIMIT_S)
        tasks = [task(name, offer, f"echo $$ > {self.pid_file(name)}; exec sleep 600") for name in names]
        tasks.append(task(SHORT, offer, f"echo $$ > {self.pid_file(SHORT)}; while [ ! -e {self.house.folder}/end ]; do sleep 0.05; done; exit {EXIT_CODE}"))
        self.framework.launch(offer, tasks)
        for name in [*names, SHORT]:
            self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)
            self.pids[name] = wait(lambda name=name: pid_in(self.pid_file(name)), LIMIT_S)
        report.equal("they run", len(set(self.pids.values())), TASKS)

    def memory(self):
        kept = [private_kib(parent(pid)) for pid in self.pids.values()]
        print(f"private KiB of what stands beside an idle command: median {sorted(kept)[TASKS // 2]}, most {max(kept)}", flush=True)
        report.check(f"none costs more than {MAX_PRIVATE_KIB} KiB beyond its command", max(kept) <= MAX_PRIVATE_KIB, max(kept))

    def killed_agent(self):
        agent = self.house.agents[0]
        agent.kill()
        with open(f"{self.house.folder}/end", "w", encoding="ascii"):
            pass
        ended = self.pids.pop(SHORT)
        report.check("one ends while the agent is away", wait(lambda: not alive(ended), LIMIT_S))
        begun = time.monotonic()
        agent.start()
        report.check("the agent comes back", wait(agent.registered, LIMIT_S), agent.log_tail())
        print(f"registered again {time.monotonic() - begun:.2f} s after its start, with {TASKS} containers", flush=True)
        status = self.framework.wait_state(SHORT, "TASK_FAILED", limit_s=LIMIT_S)
        report.check("the end in between is told with its code", f"status {EXIT_CODE}" in status.get("message", ""), status)
        report.equal("all others run on with the same pids", [name for name, pid in self.pids.items() if not alive(pid)], [])
        known = {entry["id"]: entry["state"] for entry in self.house.get("/tasks")["tasks"]}
        report.equal("and the master knows them as running", {known.get(name) for name in self.pids}, {"TASK_RUNNING"})

    def end_all(self):
        os.kill(self.pids["t7"], signal.SIGTERM)
        self.framework.wait_state("t7", "TASK_FAILED", limit_s=LIMIT_S)
        self.framework.teardown()
        report.check("and all end with their framework", wait(lambda: not any(alive(pid) for pid in self.pids.values()), LIMIT_S))


def main():
    with House(resources="cpus:200;mem:65536;disk:1000") as house:
        checks = Checks(house)
        report.run(checks.launch, checks.memory, checks.killed_agent, checks.end_all)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
