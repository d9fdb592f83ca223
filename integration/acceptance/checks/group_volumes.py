#!/usr/bin/env python3
"""group_volumes.py: task groups on reserved resources, with persistent volumes of the executor and of its tasks, on real processes.

Wants TEPUI_BIN. Ends with 0 or 1. Who is not root writes too, and so does a health check's command; the data is there for the next group.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from containers import of_sandbox  # noqa: E402
from daemons import House  # noqa: E402
from operations import create, launch_group, reserve  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import Reservation, volumes_in  # noqa: E402
from scheduler import Scheduler  # noqa: E402

STORE = Reservation("store", "keeper")
LIMIT_S = 30
RESERVED_MEM = 256
SIZE = 32  # of each volume
report = Report()


class Checks:
    def __init__(self, house):
        self.house = house
        self.framework = Scheduler(house.address, "store", failover_timeout=60, capabilities=["MULTI_ROLE", "RESERVATION_REFINEMENT", "SHARED_RESOURCES"])
        self.framework.info.update(roles=[STORE.role], principal=STORE.principal)

    def read(self, *names):
        try:
            with open(STORE.on_disk(self.house, *names), encoding="ascii") as file:
                return file.read()
        except OSError:
            return None

    def offer(self, fits):
        def look():
            """What comes in pieces is given back, until it comes as one."""
            with self.framework.changed:
                held, self.framework.offers = self.framework.offers, []
            found = next((offer for offer in held if fits(offer)), None)
            for offer in held:
                if offer is not found:
                    self.framework.decline(offer, 0.1)
            return found
        found = wait(look, LIMIT_S, 0.3)
        if not found:
            raise RuntimeError("no offer has it all")
        return found

    def group(self, name, *tasks):
        resources = [*STORE.scalars(cpus=0.1, mem=32), STORE.volume("executors", SIZE, "shown")]
        return launch_group(self.framework.default_executor(name, resources=resources), *tasks)

    @staticmethod
    def task(name, offer, command, *resources, user=None, **more):
        return {"name": name, "task_id": {"value": name}, "agent_id": offer["agent_id"], "command": {"value": command, **({"user": user} if user else {})},
                "resources": [*STORE.scalars(cpus=0.1, mem=32), *resources], **more}

    def written(self):
        self.framework.subscribe()
        offer = self.framework.wait_offer(cpus=2, mem=512)
        shared = STORE.volume("all", SIZE, shared={})
        of_executor = {"type": "MESOS", "volumes": [of_sandbox("shown", "of-executor")]}
        check = {"type": "COMMAND", "command": {"value": "test -f data/file && echo checked > data/checked"}, "delay_seconds": 0, "interval_seconds": 0.3, "grace_period_seconds": 0,
                 "consecutive_failures": 1000}
        stays = "echo {} > data/file; while ! test -e data/end; do sleep 0.2; done"
        user = "nobody" if os.geteuid() == 0 else None
        shares = "echo shared > data/file; echo within > of-executor/file; while ! test -e data/end; do sleep 0.2; done"
        executors, own, others = (STORE.volume(name, SIZE) for name in ("executors", "own", "others"))
        group = self.group("first", self.task("writes", offer, stays.format("by-root"), own, health_check=check),
                           self.task("unprivileged", offer, stays.format("by-nobody"), others, user=user), self.task("shares", offer, shares, shared, container=of_executor))
        self.framework.accept(offer, reserve(*STORE.scalars(cpus=1, mem=RESERVED_MEM, disk=200)), create(executors, own, others, shared), group)
        for name in ("writes", "unprivileged", "shares"):
            self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)
        report.check("a group runs on what is reserved, executor and all", True)
        report.check("a task of a group writes into its own volume", wait(lambda: self.read("own", "file") == "by-root\n", LIMIT_S), self.read("own", "file"))
        report.check("one that is not root too", wait(lambda: self.read("others", "file") == "by-nobody\n", LIMIT_S), self.read("others", "file"))
        report.check("into a shared volume", wait(lambda: self.read("all", "file") == "shared\n", LIMIT_S))
        report.check("and into the executor's", wait(lambda: self.read("executors", "file") == "within\n", LIMIT_S))
        report.check("a health check's command sees the volume", wait(lambda: self.read("own", "checked") == "checked\n", LIMIT_S))
        healthy = wait(lambda: any(s.get("healthy") for s in self.framework.updates_of("writes")), LIMIT_S)
        report.check("and its task is healthy", healthy)
        for volume_id in ("own", "others", "all"):
            with open(STORE.on_disk(self.house, volume_id, "end"), "w", encoding="ascii"):
                pass
        for name in ("writes", "unprivileged", "shares"):
            self.framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)

    def read_again(self):
        wanted = {"executors", "own", "all"}
        offer = self.offer(lambda o: wanted <= volumes_in(o)
                           and any(r["name"] == "mem" and r.get("reservations") and r["scalar"]["value"] == RESERVED_MEM for r in o["resources"]))
        copy = f"{self.house.folder}/copy"
        user = "nobody" if os.geteuid() == 0 else None
        open(copy, "w", encoding="ascii").close()
        os.chmod(copy, 0o666)
        self.framework.accept(offer, self.group("second", self.task("reads", offer, f"cat data/file > {copy}", STORE.volume("own", SIZE)),
                                                self.task("joins", offer, "cat data/file && echo joined > data/joined-$$", STORE.volume("all", SIZE, shared={}), user=user)))
        self.framework.wait_state("reads", "TASK_FINISHED", limit_s=LIMIT_S)
        with open(copy, encoding="ascii") as file:
            report.equal("the next group finds what the first wrote", file.read(), "by-root\n")
        self.framework.wait_state("joins", "TASK_FINISHED", limit_s=LIMIT_S)
        report.check("also one that is not root, where all share", any(name.startswith("joined") for name in os.listdir(STORE.on_disk(self.house, "all"))))

    def seen_by_another(self):
        offer = self.offer(lambda o: {"executors", "own"} <= volumes_in(o)
                           and any(r["name"] == "mem" and r.get("reservations") and r["scalar"]["value"] == RESERVED_MEM for r in o["resources"]))
        of_other = {"type": "MESOS", "volumes": [of_sandbox("kept", "theirs")]}
        self.framework.accept(offer, self.group("third", self.task("has", offer, "while ! test -e kept/seen; do sleep 0.2; done", STORE.volume("own", SIZE, "kept")),
                                                self.task("sees", offer, "cat theirs/file > theirs/seen", container=of_other)))
        for name in ("has", "sees"):
            self.framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)
        report.equal("a task of a group sees the volume of another one of its group", self.read("own", "seen"), "by-root\n")


def main():
    with House() as house:
        # Others than root must reach what is theirs in it.
        os.chmod(house.folder, 0o755)
        checks = Checks(house)
        report.run(checks.written)
        if not report.failed:
            report.run(checks.read_again)
        if not report.failed:
            report.run(checks.seen_by_another)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
