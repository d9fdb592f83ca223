#!/usr/bin/env python3
"""volume_gids.py: users that share volumes by a group out of --volume-gid-range, on real processes.

Wants TEPUI_BIN and root. Ends with 0 or 1. Persistent volumes of command tasks and groups, directories of an executor that tasks of other users
share; over a restart of the agent and what it takes for a reboot; no group left; each is given back.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from containers import of_sandbox  # noqa: E402
from daemons import House, get  # noqa: E402
from operations import create, destroy, launch, reserve  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import Reservation, volumes_in  # noqa: E402
from sandbox import Sandboxes  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

STORE = Reservation("store", "keeper")
FIRST, COUNT = 10000, 3
LIMIT_S = 30
report = Report()


def volume(volume_id, **more):
    """At a path of its own name."""
    return STORE.volume(volume_id, 32, volume_id, **more)


class Checks(Sandboxes):
    def __init__(self, house):
        self.house, self.agent = house, house.agents[0]
        capabilities = ["MULTI_ROLE", "RESERVATION_REFINEMENT", "SHARED_RESOURCES", "PARTITION_AWARE"]
        self.framework = Scheduler(house.address, "sharing", failover_timeout=60, capabilities=capabilities)
        self.framework.info.update(roles=[STORE.role], principal=STORE.principal)

    def free(self):
        numbers = get(self.agent.port, "/metrics/snapshot")
        return numbers["volume_gid_manager/volume_gids_total"], numbers["volume_gid_manager/volume_gids_free"]

    def offer(self, is_right):
        return self.framework.take_offer(is_right, limit_s=LIMIT_S)

    def run(self, name, command, *resources, user="nobody", before=(), **more):
        """A command task on what is reserved, of an offer that has these volumes."""
        wanted = set() if before else {r["disk"]["persistence"]["id"] for r in resources}
        offer = self.offer(lambda o: wanted <= volumes_in(o) and any(r["name"] == "mem" and r["scalar"]["value"] >= 64 for r in o["resources"]))
        made = task(name, offer, command)
        made["command"]["user"] = user
        made["resources"] = [*STORE.scalars(cpus=0.1, mem=32), *resources]
        made.update(more)
        self.framework.accept(offer, *before, launch(made))
        return made

    def persistent(self):
        self.framework.subscribe()
        report.equal("flags: the agent shows its range", get(self.agent.port, "/flags")["flags"].get("volume_gid_range"), f"[{FIRST}-{FIRST + COUNT - 1}]")
        report.equal("metrics: all groups are free", self.free(), (COUNT, COUNT))
        before = (reserve(*STORE.scalars(cpus=2, mem=512, disk=200)), create(volume("all", shared={}), volume("own")))
        script = "umask 002; echo x > all/file && echo y > own/file && stat -c %g all/file own/file; id -G; while ! test -e all/end; do sleep 0.2; done"
        check = {"type": "COMMAND", "command": {"value": "echo checked > all/checked"}, "delay_seconds": 0, "interval_seconds": 0.3, "grace_period_seconds": 0, "consecutive_failures": 1000}
        self.run("first", script, volume("all", shared={}), volume("own"), before=before, health_check=check)
        self.framework.wait_state("first", "TASK_RUNNING", limit_s=LIMIT_S)
        wait(lambda: len(self.output("first").splitlines()) == 3, LIMIT_S)
        lines = self.output("first").splitlines()
        groups = {str(FIRST), str(FIRST + 1)}
        report.check("persistent: what a user writes has its volume's group", set(lines[:2]) == groups, lines)
        report.check("persistent: which the command has besides its own", groups < set(lines[2].split()), lines)
        report.equal("persistent: each volume has one, shared or not", self.free(), (COUNT, COUNT - 2))
        mode = os.stat(STORE.on_disk(self.house, "all")).st_mode & 0o7777
        report.equal("persistent: its directory hands it on, and its members may write", oct(mode), "0o2775")
        report.check("persistent: a health check's command has it too", wait(lambda: os.path.exists(STORE.on_disk(self.house, "all", "checked")), LIMIT_S))
        self.run("second", "echo z >> all/file && touch all/end && cat all/file", volume("all", shared={}), user="daemon")
        self.framework.wait_state("second", "TASK_FINISHED", limit_s=LIMIT_S)
        report.equal("persistent: another user writes to what the first wrote", self.output("second"), "x\nz\n")
        report.equal("persistent: with the same group", self.free(), (COUNT, COUNT - 2))
        self.framework.wait_state("first", "TASK_FINISHED", limit_s=LIMIT_S)
        report.equal("persistent: it stays the volume's", (os.stat(STORE.on_disk(self.house, "all")).st_gid in (FIRST, FIRST + 1), self.free()), (True, (COUNT, COUNT - 2)))

    def group(self, name, *tasks):
        """A task group of an executor of root's: (task id, command, user, volumes) each."""
        offer = self.offer(lambda o: all(any(r["name"] == name and r["scalar"]["value"] >= least and r.get("reservations") for r in o["resources"])
                                         for name, least in (("mem", 128), ("cpus", 0.5))))
        info = self.framework.default_executor(name, resources=STORE.scalars(cpus=0.1, mem=32, disk=8))
        made = []
        for task_id, command, user, volumes in tasks:
            one = task(task_id, offer, command)
            one["resources"] = STORE.scalars(cpus=0.1, mem=32)
            one["command"]["user"] = user
            one["container"] = {"type": "MESOS", "volumes": volumes}
            made.append(one)
        self.framework.launch_group(offer, info, made)

    def of_executors(self):
        writes = "umask 002; echo {0} > given/{0}; while true; do sleep 0.2; done"
        self.group("box", ("one", writes.format("one"), "nobody", [of_sandbox("common", "given")]), ("two", writes.format("two"), "daemon", [of_sandbox("common", "given")]))
        for name in ("one", "two"):
            self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)
        common = os.path.join(self.sandbox("box"), "common")
        report.check("sandbox: two users write to a directory of an executor of root's", wait(lambda: sorted(os.listdir(common)) == ["one", "two"], LIMIT_S), os.listdir(common))
        found = os.stat(common)
        report.equal("sandbox: it is root's, of the last group", (found.st_uid, found.st_gid), (0, FIRST + 2))
        report.equal("sandbox: and there is no other", self.free(), (COUNT, 0))
        self.exhausted()
        self.agent.kill()
        self.agent.start()
        report.need("restart: the agent is back", wait(lambda: self.house.active_agents() == 1 and self.free() == (COUNT, 0), LIMIT_S), self.agent.log_tail())
        report.equal("restart: each group is still its volume's", (os.stat(common).st_gid, os.stat(os.path.join(common, "one")).st_gid), (FIRST + 2, FIRST + 2))
        self.framework.kill("one")
        self.framework.kill("two")
        report.check("sandbox: the group is free when the executor has ended", wait(lambda: self.free() == (COUNT, 1), LIMIT_S), self.free())
        report.equal("sandbox: what is left is the owner's alone", (os.stat(common).st_gid, oct(os.stat(common).st_mode & 0o7777)), (0, "0o755"))

    def exhausted(self):
        self.group("more", ("late", "true", "nobody", [of_sandbox("other", "given")]))
        self.framework.wait_state("late", "TASK_FAILED", limit_s=LIMIT_S)
        failed = next(s for s in self.framework.updates_of("late") if s["state"] == "TASK_FAILED")
        report.check("exhausted: the task fails, and is told why", "free gid range is exhausted" in failed.get("message", ""), failed)

    def rebooted(self):
        self.group("again", ("three", "while true; do sleep 0.2; done", "nobody", [of_sandbox("common", "given")]))
        self.framework.wait_state("three", "TASK_RUNNING", limit_s=LIMIT_S)
        common = os.path.join(self.sandbox("again"), "common")
        report.equal("reboot: before it the directory has the group", os.stat(common).st_gid, FIRST + 2)
        self.agent.kill()
        path = self.house.path("agent0/volume-gids")
        with open(path, encoding="utf-8") as file:
            held = json.load(file)
        for one in held:
            one["boot_id"] = "another"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(held, file)
        self.agent.start()
        report.check("reboot: what containers had is free after it", wait(lambda: self.free() == (COUNT, 1), LIMIT_S), self.agent.log_tail())
        report.equal("reboot: and its owner's", os.stat(common).st_gid, 0)
        self.framework.end("three", limit_s=LIMIT_S)

    def destroyed(self):
        wanted = [volume("all", shared={}), volume("own")]
        offer = self.offer(lambda o: {"all", "own"} <= volumes_in(o))
        self.framework.accept(offer, destroy(*wanted))
        report.check("destroyed: volumes leave their groups to others", wait(lambda: self.free() == (COUNT, COUNT), LIMIT_S), self.free())


def main():
    if os.geteuid() != 0:
        report.check("left out: groups of volumes need root", True)
        sys.exit(report.end())
    house = House()
    # Others than root must reach what is theirs in it.
    os.chmod(house.folder, 0o755)
    house.agents[0].command += ["--volume-gid-range", f"[{FIRST}-{FIRST + COUNT - 1}]"]
    with house:
        checks = Checks(house)
        report.run(checks.persistent, checks.of_executors, checks.rebooted, checks.destroyed)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
