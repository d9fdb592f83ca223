#!/usr/bin/env python3
"""kill_matrix.py [--cases N] [--only POINT]: an agent that dies, as by `kill -9`, at each point of its way, and is started again.

A first run notes the points: whenever the agent is told something, and before and after whatever it does about it, in a life in which tasks
are launched, updated and killed, and in the life after it, which begins with recovery. Then there is a run for each of them (or N, spread
over all), in which the agent ends there. Nobody helps it but by starting it again. Where there are root and Debian's
containernetworking-plugins and iproute2 the same is done with containers in a network of their own, at the points that concern it. Wants
TEPUI_BIN. Ends with 0 or 1.
"""
import argparse
import concurrent.futures
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "acceptance"))
from alone import alone  # noqa: E402
from daemons import RUNTIME_ROOT, House, alive, get, processes_of  # noqa: E402
from operations import launch, launch_group, reserve  # noqa: E402
from pid_files import pids_of  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import scalars  # noqa: E402
from scheduler import Refused, Scheduler, task  # noqa: E402

LEAST_POINTS = 30
AT_ONCE = 3
LIMIT_S = 40
TERMINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE"}
NEVER_STARTED = {"TASK_LOST", "TASK_DROPPED", "TASK_GONE", "TASK_FAILED"}
ROLE = "kill-matrix"
# How each task ends if it has begun, and words of what is told of that. A group ends with one of it that was never started.
ENDS = {"stays": ({"TASK_FAILED"}, "Command exited with status 5"), "ends": ({"TASK_FAILED"}, "Command exited with status 7"),
        "killed": ({"TASK_KILLED"}, ""), "inner-ends": ({"TASK_FINISHED", "TASK_KILLED"}, ""), "inner-killed": ({"TASK_KILLED"}, "")}
OF_NETWORKS = re.compile(r"runtime\.\w*Network")
PLUGINS = "/usr/lib/cni"
# The agent wakes by the clock: how often it does so within a run is chance. And it is asked to end when all is over.
BY_CHANCE = ("input.Woke", "effect.WakeAt", "input.MasterLost", "input.End", "effect.Exit")


class Network:
    """One that the tasks of a run are in."""

    NAME = "matrix"
    numbers = itertools.count(1)

    def __init__(self, house):
        number = next(self.numbers)
        self.bridge, self.configs, self.leases = f"matrix{number}", house.path("cni"), house.path("leases")
        os.makedirs(self.configs)
        ipam = {"type": "host-local", "dataDir": self.leases, "subnet": f"10.{90 + number // 250}.{number % 250}.0/24"}
        config = {"cniVersion": "0.4.0", "name": self.NAME, "type": "bridge", "bridge": self.bridge, "isGateway": True, "ipam": ipam}
        with open(os.path.join(self.configs, "matrix.conf"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        digest = hashlib.sha256(house.path("agent0").encode()).hexdigest()[:16]
        self.kept = os.path.join(RUNTIME_ROOT, f"{digest}.networks")
        house.agents[0].command += ["--network-cni-plugins-dir", PLUGINS, "--network-cni-config-dir", self.configs]

    def left(self):
        """Addresses, cables and records of containers."""
        def listed(path):
            return os.listdir(path) if os.path.isdir(path) else []
        leases = [name for name in listed(os.path.join(self.leases, self.NAME)) if re.fullmatch(r"[\d.]+", name)]
        links = subprocess.run(["ip", "-o", "link", "show", "master", self.bridge], capture_output=True, text=True, check=False).stdout
        return [*leases, *listed(self.kept), *links.splitlines()]


class Supervisor:
    """Starts the agent again when it has ended by itself, without the order to die."""

    def __init__(self, agent):
        self.agent, self.over, self.deaths, self.next_life = agent, threading.Event(), 0, {}
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.over.wait(0.02):
            process = self.agent.process
            if process is not None and process.poll() is not None:
                self.agent.env = {key: value for key, value in self.agent.env.items() if not key.startswith("TEPUI_CRASH")}
                self.agent.env.update(self.next_life)
                self.next_life = {}
                self.agent.start()
                self.deaths += 1

    def kill(self, **env):
        """Ends the agent; it lives again with these variables."""
        process, before, self.next_life = self.agent.process, self.deaths, env
        process.kill()
        return wait(lambda: self.deaths > before, LIMIT_S)

    def end(self):
        self.over.set()
        self.thread.join()


class Run:
    """One cluster, five tasks, two lives of the agent."""

    def __init__(self, first=None, second=None, joins=False):
        self.first, self.second, self.joins, self.network = first or {}, second or {}, joins, None
        self.problems, self.ran = [], {}

    def wrong(self, text):
        self.problems.append(text)

    def go(self):
        house = House(agents=1)
        self.house, agent = house, house.agents[0]
        agent.env.update(self.first)
        if self.joins:
            self.network = Network(house)
        self.supervisor = Supervisor(agent)
        try:
            with house:
                self.framework = Scheduler(house.address, "kill-matrix", failover_timeout=600, capabilities=["RESERVATION_REFINEMENT"])
                self.framework.info["role"] = ROLE
                try:
                    self.live()
                finally:
                    self.supervisor.end()
                    self.framework.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told with its case
            self.wrong(f"{type(error).__name__}: {error}\n{agent.log_tail(8)}")
        finally:
            self.supervisor.end()
            agent.stop()
            house.end_left_over()
        return self

    def live(self):
        self.framework.subscribe()
        offer = self.framework.wait_offer(cpus=2, limit_s=LIMIT_S)
        self.launch(offer)
        for name in ("stays", "killed", "inner-killed"):
            self.told(name, lambda state: state == "TASK_RUNNING" or state in TERMINAL)
        for name in ("killed", "inner-killed"):
            if not TERMINAL & set(self.framework.statuses(name)):
                self.framework.kill(name)
        for name in ENDS:
            if name != "stays":
                self.told(name, TERMINAL.__contains__)
        pids = pids_of(self.house, "stays")
        self.supervisor.kill(**self.second)
        if not wait(lambda: self.house.active_agents() == 1, LIMIT_S):
            self.wrong("the agent is not back")
        if pids and not alive(pids[0]):
            self.wrong(f"the process {pids[0]} of the task that stays is gone")
        with open(self.house.path("stays.end"), "w", encoding="ascii"):
            pass
        self.told("stays", TERMINAL.__contains__)
        self.ran = {name: bool(pids_of(self.house, name)) for name in ENDS}
        for name in ENDS:
            self.judge(name)
        self.judge_ledgers()

    def launch(self, offer):
        """Three tasks with executors of their own, a group of two within one, and something reserved."""
        tasks = {name: task(name, offer, self.command(name)) for name in ENDS}
        inner = [tasks.pop(name) for name in ("inner-ends", "inner-killed")]
        container = {"container": {"type": "MESOS", "network_infos": [{"name": Network.NAME}]}} if self.joins else {}
        for info in tasks.values():
            info.update(container)
        reserved = {**scalars(cpus=0.5)[0], "reservations": [{"type": "DYNAMIC", "role": ROLE}]}
        self.framework.accept(offer, reserve(reserved), launch(*tasks.values()), launch_group(self.framework.default_executor("pod", **container), *inner))

    def command(self, name):
        """Notes its pid each time it is started."""
        then = {"stays": f"while [ ! -e {self.house.path('stays.end')} ]; do sleep 0.1; done; exit 5", "ends": "exit 7",
                "inner-ends": "exit 0"}.get(name, "sleep 1000")
        return f"echo $$ >> {self.house.path(name)}.pids; {then}"

    def told(self, name, enough):
        """Waits until a state of the task is told that is enough; asks, as a scheduler does that waits for long."""
        def look():
            return any(enough(state) for state in self.framework.statuses(name))
        for _ in range(4):
            if wait(look, LIMIT_S / 4):
                return
            try:
                self.framework.call("RECONCILE", reconcile={"tasks": [{"task_id": {"value": name}}]})
                if name.endswith("killed") and enough("TASK_KILLED") and not enough("TASK_RUNNING"):
                    self.framework.kill(name)
            except Refused:
                pass
        self.wrong(f"{name}: told only {self.framework.statuses(name)}, pids {pids_of(self.house, name)}")

    def judge(self, name):
        statuses = [s for s in self.framework.updates_of(name) if s.get("reason") != "REASON_RECONCILIATION"]
        states, pids = [s["state"] for s in statuses], pids_of(self.house, name)
        if len(pids) > 1:
            self.wrong(f"I10: {name} was started {len(pids)} times")
        ends = [at for at, state in enumerate(states) if state in TERMINAL]
        if ends and set(states[ends[0]:]) != {states[ends[0]]}:
            self.wrong(f"I7: {name} did not stay {states[ends[0]]}: {states}")
        if not ends:
            return
        last, message = states[-1], statuses[-1].get("message", "")
        true_ends, words = ENDS[name]
        if pids and (last not in true_ends or not any(words in s.get("message", "") for s in statuses)):
            self.wrong(f"I6, I9: {name} ran and ended as {ENDS[name]}, told was {states} {message!r}")
        if not pids and last not in NEVER_STARTED | {"TASK_KILLED"}:
            self.wrong(f"I6: {name} never ran, told was {states} {message!r}")

    def told_of_all(self):
        return {name: self.framework.statuses(name) for name in ENDS}

    def judge_ledgers(self):
        def settled():
            agent = self.house.get("/slaves")["slaves"][0]
            return agent["active"] and agent["used_resources"]["cpus"] == 0
        if not wait(settled, LIMIT_S):
            counts = self.house.get("/slaves")["slaves"][0]["used_resources"]
            frameworks = get(self.house.agents[0].port, "/state")["frameworks"]
            executors = [(e["id"], e["container"], [t["id"] for t in e["tasks"]]) for f in frameworks for e in f["executors"]]
            self.wrong(f"I4: the master still counts {counts}, the agent has {executors}; {self.told_of_all()}")
        daemons = {self.house.agents[0].process.pid, self.house.master.process.pid}
        left = [pid for name in ENDS for pid in pids_of(self.house, name) if alive(pid)]
        if left:
            self.wrong(f"I8: processes {left} are left")
        if self.network and not wait(lambda: not self.network.left(), LIMIT_S):
            self.wrong(f"I8: {self.network.left()} is left of networks")
        if not wait(lambda: not set(processes_of(self.house.folder)) - daemons, LIMIT_S):
            self.wrong(f"I8: {set(processes_of(self.house.folder)) - daemons} still work in the agent's directory")


def trace(joins=False):
    """The points of both lives, in the order in which they were come by; chance left out. With networks only those that concern them."""
    lives = []
    with tempfile.TemporaryDirectory() as scratch:
        files = [os.path.join(scratch, "first"), os.path.join(scratch, "second")]
        run = Run({"TEPUI_CRASH_TRACE": files[0]}, {"TEPUI_CRASH_TRACE": files[1]}, joins).go()
        for path in files:
            with open(path, encoding="ascii") as lines:
                points = [line.strip() for line in lines if not line.startswith(BY_CHANCE)]
            lives.append([point for point in points if bool(OF_NETWORKS.match(point)) == joins])
    return run, lives


def spread(cases, count):
    """So many of them, evenly."""
    return cases if not count or count >= len(cases) else [cases[at * len(cases) // count] for at in range(count)]


def network_cases(report, count):
    """Of those all, or one of each kind and life."""
    run, lives = trace(joins=True)
    report.check("both lives end well in networks of their own", not run.problems and all(run.ran.values()), (run.problems, run.ran))
    cases = [(life, point) for life, points in enumerate(lives, 1) for point in points]
    # The first of each: later ones may be fewer in another run.
    kinds = {(life, point.rpartition(":")[0]): (life, point) for life, point in reversed(cases)}
    expected = {"runtime.BeforeNetwork", "runtime.NetworkJoined", "runtime.BeforeNetworkLeft"}
    report.check(f"there are {len(cases)} times to die at the points of networks", expected <= {kind for _, kind in kinds}, kinds)
    return list(kinds.values()) if count else cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=0, help="so many, spread over all [default: all]")
    parser.add_argument("--only", metavar="LIFE:POINT:N", help="one case, as a failure names it")
    args = parser.parse_args()
    report = Report()
    has_networks = os.geteuid() == 0 and os.path.isdir(PLUGINS)
    if has_networks:
        alone()
    run, lives = trace()
    report.check("both lives end well without a crash", not run.problems and all(run.ran.values()), (run.problems, run.ran))
    cases = [(life, point) for life, points in enumerate(lives, 1) for point in points]
    kinds = {(life, point.rpartition(":")[0]) for life, point in cases}
    report.check(f"there are {len(kinds)} points and {len(cases)} times to die at them, {LEAST_POINTS} at least", len(kinds) >= LEAST_POINTS, kinds)
    chosen = spread(cases, args.cases)
    if has_networks:
        chosen += network_cases(report, args.cases)
    else:
        report.check("left out: networks need root and containernetworking-plugins", True)
    if args.only:
        life, _, point = args.only.partition(":")
        chosen = [(int(life), point)]

    def die(case):
        life, point = case
        env = {"TEPUI_CRASH_AT": point}
        joins = bool(OF_NETWORKS.match(point))
        return case, Run(*([env, None] if life == 1 else [None, env]), joins).go()
    missed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for (life, point), run in pool.map(die, chosen):
            died = run.supervisor.deaths > 1
            missed += not died
            report.check(f"life {life}, {point}{'' if died else ' (not come by)'}", not run.problems, f"--only {life}:{point}: {run.problems}")
    report.check(f"{len(chosen) - missed} of {len(chosen)} died where they were to", missed <= len(chosen) // 5, missed)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
