#!/usr/bin/env python3
"""orphans.py: tasks that look after none of the processes they make, beside an agent that is the first process of its namespace, as in a container:
nobody else reaps for it. All are reaped, also those whose shim was killed.

Wants TEPUI_BIN and root. Prints figures; ends with 0 or 1.
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from agent_api import executor_of  # noqa: E402
from daemons import House, alive  # noqa: E402
from remains import Remains  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, amounts, task  # noqa: E402

report = Report()
LIMIT_S = 90
ZOMBIES = int(os.environ.get("TEPUI_ZOMBIES", "10000"))
SLEEPERS = 100
# Children that nobody waits for, then as many grandchildren whose parent has ended; some of these stay.
SCRIPT = """exec {python} -S -c '
import os, time
for _ in range({count}):
    if not os.fork():
        os._exit(0)
for number in range({count}):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    if not os.fork() and number < {sleepers}:
        os.setsid()
        time.sleep(600)
    os._exit(0)
os.close(os.open("made", os.O_CREAT))
while not os.path.exists("go"):
    time.sleep(0.02)
'"""


def field(pid, number):
    """One of proc_pid_stat(5), from the state, 3, on."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[number - 3]


def processes():
    """State and parent of all by pid."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found[int(pid)] = (field(pid, 3), int(field(pid, 4)))
        except OSError:
            continue
    return found


class Checks:
    def __init__(self, house, remains):
        self.house, self.remains = house, remains
        self.framework = Scheduler(house.address, "orphans").subscribe()
        self.port = house.agents[0].port
        # The agent is the child of unshare.
        self.agent = next(pid for pid, (_, parent) in processes().items() if parent == house.agents[0].process.pid)
        remains.known.add(self.agent)

    def below(self):
        """State of each process below the agent."""
        all_of_them, ahead, found = processes(), [self.agent], {}
        while ahead:
            parent = ahead.pop()
            children = [pid for pid, (_, of) in all_of_them.items() if of == parent]
            found.update({pid: all_of_them[pid][0] for pid in children})
            ahead += children
        return found

    def zombies(self):
        return [pid for pid, state in self.below().items() if state == "Z"]

    def start(self, name, command):
        offer = self.framework.take_offer(lambda it: amounts(it)[0] >= 1 and amounts(it)[1] >= 512, LIMIT_S)
        self.framework.launch(offer, [task(name, offer, command, 1, 512)])
        status = self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)
        return executor_of(self.port, name)["directory"], status

    def is_first(self):
        with open(f"/proc/{self.agent}/status", encoding="ascii", errors="replace") as status:
            words = next(line for line in status if line.startswith("NSpid")).split()
        report.equal("the agent is the first process there", words[-1], "1")

    def end(self, name, count, end):
        """So many of each kind."""
        before = len(self.below())
        sandbox, _ = self.start(name, SCRIPT.format(python=sys.executable, count=count, sleepers=SLEEPERS))
        report.need(f"{name}: its processes are made", wait(lambda: os.path.exists(os.path.join(sandbox, "made")), LIMIT_S, 0.2))
        found = list(self.below().values())
        asleep = len(found) - found.count("Z")
        report.check(f"{name}: nobody has waited for {count} of them, all others that ended are reaped",
                     found.count("Z") == count and asleep < SLEEPERS + before + 10, (found.count("Z"), asleep))
        begun = time.monotonic()
        end(name, sandbox)
        gone = wait(lambda: not self.remains.processes() and not self.zombies(), LIMIT_S, 0.05)
        print(f"{name}: all of them were gone {time.monotonic() - begun:.2f} s after its end", flush=True)
        report.check(f"{name}: all are reaped", gone, (self.remains.processes()[:5], len(self.zombies())))

    def ends(self):
        def end(name, sandbox):
            os.close(os.open(os.path.join(sandbox, "go"), os.O_CREAT))
            self.framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)
        self.end("ends", ZOMBIES // 2, end)

    def killed(self):
        def end(name, _):
            self.framework.end(name, limit_s=LIMIT_S)
        self.end("killed", ZOMBIES // 10, end)

    def without_shim(self):
        """Then the orphans come to the agent."""
        _, status = self.start("lost", "sleep 600 & sleep 601 & exec sleep 602")
        inner = status["container_status"]["executor_pid"]
        command = next(pid for pid in self.below() if self.inner_pid(pid) == inner)
        shim = int(field(command, 4))
        below = [pid for pid, (_, parent) in processes().items() if parent in (shim, command)]
        os.kill(shim, signal.SIGKILL)
        self.framework.wait_state("lost", "TASK_FAILED", limit_s=LIMIT_S)
        report.check("lost: its processes are ended", wait(lambda: not any(alive(pid) for pid in below), LIMIT_S), below)
        report.check("lost: and reaped", wait(lambda: not self.zombies(), LIMIT_S, 0.1), {pid: self.below()[pid] for pid in self.zombies()})

    @staticmethod
    def inner_pid(pid):
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
                return int(next(line for line in status if line.startswith("NSpid")).split()[-1])
        except (OSError, StopIteration):
            return None

    def rest(self):
        report.check("nothing is left", wait(lambda: not self.remains.of(), LIMIT_S), self.remains.of())


def main():
    if os.geteuid() != 0:
        report.check("left out: namespaces need root", True)
        sys.exit(report.end())
    house = House(resources="cpus:4;mem:4096;disk:1000")
    agent = house.agents[0]
    agent.command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *agent.command, "--container-pids-limit", "0"]
    with Remains(house) as remains, house:
        checks = Checks(house, remains)
        report.run(checks.is_first, checks.ends, checks.killed, checks.without_shim, checks.rest)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
