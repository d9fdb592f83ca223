#!/usr/bin/env python3
"""kill_race.py [N]: N launches (TEPUI_RACES, 400 by default) of tasks and pairs of tasks, a KILL racing each: sent before its launch, with it,
or a moment later. Each task ends exactly once, in a state that is true, and afterwards nothing is left of any. The same draws in each run, or
those of TEPUI_CHAOS_SEED, with 0 new ones.

Wants TEPUI_BIN. Prints figures; ends with 0 or 1.
"""
import collections
import concurrent.futures
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from agent_api import executors  # noqa: E402
from daemons import House, get  # noqa: E402
from operations import launch, launch_group  # noqa: E402
from remains import Remains, stuck  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import scalars  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

report = Report()
LIMIT_S = 60
BATCH = 100
GRACE_NS = 100_000_000
# A KILL comes so long after its launch is asked for; one in ten before it.
LATEST_S = 0.5
ENDS = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE"}
# What may truly become of a command if it is killed meanwhile or not, and words of what is told then.
COMMANDS = {
    "ends": ("exit 0", {"TASK_FINISHED": "exited with status 0", "TASK_KILLED": ""}),
    "fails": ("exit 3", {"TASK_FAILED": "exited with status 3", "TASK_KILLED": ""}),
    "sleeps": ("exec sleep 600", {"TASK_KILLED": ""}),
    "forks": ("sleep 600 & sleep 600 & wait", {"TASK_KILLED": ""}),
    "refuses": ("trap '' TERM; sleep 600 & wait; sleep 600", {"TASK_KILLED": ""}),
}


def has(offer, **least):
    """What ended a moment ago comes back with offers of its own, which may lack the rest."""
    found = collections.Counter()
    for resource in offer["resources"]:
        found[resource["name"]] += resource.get("scalar", {}).get("value", 0)
    return all(found[name] >= amount for name, amount in least.items())


class Races:
    def __init__(self, house, remains, count):
        self.house, self.remains, self.count = house, remains, count
        self.framework = Scheduler(house.address, "races", failover_timeout=600).subscribe()
        self.seed = int(os.environ.get("TEPUI_CHAOS_SEED", "20261122")) or time.time_ns() // 1000 % 10**9
        self.random = random.Random(self.seed)
        self.told, self.wrong = collections.Counter(), []
        # The uuid of the one end of each task that is over.
        self.over = {}
        # One for each of a batch, or a kill would wait for others.
        self.pool = concurrent.futures.ThreadPoolExecutor(BATCH)

    def kill(self, name, delay_s):
        time.sleep(max(0, delay_s))
        # With grace SIGTERM comes first, which ends all but who refuses it.
        grace_ns = GRACE_NS if int(name[-1]) < 5 else 0
        self.framework.call("KILL", kill={"task_id": {"value": name}, "kill_policy": {"grace_period": {"nanoseconds": grace_ns}}})

    def look_back(self):
        """Whether tasks that are over have ended once more since."""
        for name, statuses in self.ends().items():
            again = [status["state"] for status in statuses if self.over.get(name, status["uuid"]) != status["uuid"]]
            if again:
                self.wrong.append(f"{name} ended once more, as {again}")

    def batch(self, first, size):
        self.look_back()
        with self.framework.changed:
            self.framework.events.clear()
            self.framework.updates.clear()
        names = [f"{self.random.choice(list(COMMANDS))}-{number}" for number in range(first, first + size)]
        delays = {name: self.random.uniform(-0.1, 0.9) * LATEST_S for name in names}
        offer = self.framework.take_offer(lambda it: has(it, cpus=size * 0.0125, mem=size * 14, disk=size / 6), LIMIT_S)
        infos = [task(name, offer, COMMANDS[name.split("-")[0]][0], 0.01, 8) for name in names]
        operations = self.operations(offer, infos)
        early = [self.pool.submit(self.kill, name, 0) for name in names if delays[name] < 0]
        accepted = self.pool.submit(self.framework.accept, offer, *operations)
        late = [self.pool.submit(self.kill, name, delays[name]) for name in self.random.sample(names, len(names)) if delays[name] >= 0]
        for sent in [accepted, *early, *late]:
            sent.result()
        self.settle(names)
        self.judge(names)

    def operations(self, offer, infos):
        """Two in three alone, the others in pairs with an executor each."""
        grouped = len(infos) // 6 * 2
        operations = [launch(*infos[grouped:])]
        for at in range(0, grouped, 2):
            pair = infos[at:at + 2]
            executor = self.framework.default_executor(f"pair-of-{pair[0]['name']}", resources=scalars(cpus=0.01, mem=32, disk=1))
            operations.append(launch_group(executor, *pair))
        return operations

    def ends(self):
        """The ends told of each task that want to be acknowledged, an update that came twice once."""
        found = collections.defaultdict(dict)
        for status in list(self.framework.updates):
            if status.get("uuid") and status["state"] in ENDS:
                found[status["task_id"]["value"]][status["uuid"]] = status
        return {name: list(statuses.values()) for name, statuses in found.items()}

    def begin(self, name):
        """What was told of a task first."""
        return [(s["state"], s.get("message")) for s in self.framework.updates_of(name)][:4]

    def settle(self, names):
        """A KILL that came before its launch killed nothing: those are killed again."""
        end = time.monotonic() + LIMIT_S
        while missing := set(names) - set(self.ends()):
            if time.monotonic() > end:
                self.wrong.append(f"no end is told of {sorted(missing)[:5]}: {[self.begin(name) for name in sorted(missing)[:5]]}")
                return
            time.sleep(0.2)
            for name in missing - set(self.ends()):
                self.kill(name, 0)

    def judge(self, names):
        ends = self.ends()
        for name in names:
            statuses = ends.get(name, [])
            expected = COMMANDS[name.split("-")[0]][1]
            if len(statuses) != 1:
                self.wrong.append(f"{name} ended as {[(s['state'], s.get('message')) for s in statuses]}")
            for status in statuses:
                self.over[name] = status["uuid"]
                self.told[status["state"]] += 1
                words = expected.get(status["state"])
                if words is None or words not in status.get("message", ""):
                    self.wrong.append(f"{name} was told {status['state']} {status.get('reason')} {status.get('message')!r}")

    def race(self):
        begun = time.monotonic()
        for first in range(0, self.count, BATCH):
            self.batch(first, min(BATCH, self.count - first))
            if len(self.wrong) > 20:
                break
        took = time.monotonic() - begun
        self.look_back()
        print(f"{self.count} launches and kills in {took:.1f} s, {self.count / took:.0f} a second; told: {dict(self.told)}; seed {self.seed}", flush=True)
        report.check(f"each of {self.count} tasks ends once, in a state that is true", not self.wrong, (len(self.wrong), self.wrong))

    def rest(self):
        agent = self.house.agents[0]
        report.check("nothing is left of them: no process, shim, cgroup, mount or record", wait(lambda: not self.remains.of(), LIMIT_S), self.remains.of())
        used = wait(lambda: self.house.get("/slaves")["slaves"][0]["used_resources"]["cpus"] == 0, LIMIT_S)
        report.check("the master counts nothing as used", used, self.house.get("/slaves")["slaves"][0]["used_resources"])
        report.check("nor does the agent hold an executor", wait(lambda: not executors(agent.port), LIMIT_S), [it["id"] for it in executors(agent.port)])
        failed = get(agent.port, "/metrics/snapshot")["containerizer/mesos/container_destroy_errors"]
        report.equal("no kill failed, and none hangs, nor a cleanup", [failed, *stuck(agent.port)], [0, 0, 0])
        agent.kill()
        agent.start()
        report.check("a next life of the agent finds nothing to recover", wait(agent.registered, LIMIT_S) and not executors(agent.port), agent.log_tail())


def main():
    count = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TEPUI_RACES", "400"))
    house = House(resources="cpus:4;mem:4096;disk:1000")
    with Remains(house) as remains, house:
        races = Races(house, remains, count)
        report.run(races.race, races.rest)
        races.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
