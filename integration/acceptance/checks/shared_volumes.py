#!/usr/bin/env python3
"""shared_volumes.py: tasks of one and of two frameworks on one volume, new masters among them, and volumes of roles one below the other.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, get  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

# Nobody has heard of them before a framework comes with them.
ROLE, UPPER, LOWER = "pool", "over", "over/lap"
PRINCIPAL = "keeper"
LIMIT_S = 40
report = Report()


def reserved(role, name, amount):
    return {"name": name, "type": "SCALAR", "scalar": {"value": amount},
            "reservations": [{"type": "DYNAMIC", "role": role, "principal": PRINCIPAL}]}


def volume(role, volume_id, amount, shared=False):
    disk = {"persistence": {"id": volume_id, "principal": PRINCIPAL}, "volume": {"mode": "RW", "container_path": "data"}}
    return dict(reserved(role, "disk", amount), disk=disk, **({"shared": {}} if shared else {}))


def ids(offer):
    """The volumes in an offer."""
    return {r["disk"]["persistence"]["id"] for r in offer["resources"] if r.get("disk", {}).get("persistence")}


def reserve(*resources):
    return {"type": "RESERVE", "reserve": {"resources": list(resources)}}


def create(*volumes):
    return {"type": "CREATE", "create": {"volumes": list(volumes)}}


def launch(*tasks):
    return {"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}



def has_free_disk(offer):
    """A lower role may be offered what is reserved for the one above, with crumbs of the rest."""
    return any(r["name"] == "disk" and not r.get("reservations") for r in offer["resources"])


class Checks:
    def __init__(self, house):
        self.house = house
        self.one, self.two, self.both = (self.framework(name, roles) for name, roles in (("one", [ROLE]), ("two", [ROLE]), ("both", [UPPER, LOWER])))

    def framework(self, name, roles):
        capabilities = ["MULTI_ROLE", "RESERVATION_REFINEMENT", "SHARED_RESOURCES"]
        framework = Scheduler(self.house.address, name, failover_timeout=600, capabilities=capabilities)
        framework.info.update(roles=roles, principal=PRINCIPAL)
        return framework

    def on_disk(self, *names):
        return self.house.path(os.path.join("agent0", "volumes", "roles", *names))

    def on_volume(self, task_id, offer, volume_id, amount=64):
        """A task that writes down its name in a shared volume and stays until it is told to go."""
        found = task(task_id, offer, f"echo here > data/{task_id}; while [ ! -e data/end ]; do sleep 0.3; done", 0.1, 32)
        found["resources"].append(volume(ROLE, volume_id, amount, shared=True))
        return found

    def offer(self, framework, fits, what):
        found = framework.wait(lambda: next((o for o in framework.offers if fits(o)), None), LIMIT_S, f"offer with {what}")
        with framework.changed:
            framework.offers.remove(found)
        return found

    @staticmethod
    def decline_all(framework):
        """What it holds is for others, or comes again."""
        with framework.changed:
            held, framework.offers = framework.offers, []
        for offer in held:
            framework.decline(offer, 0.1)

    def accept(self, framework, offer, *operations):
        framework.call("ACCEPT", accept={"offer_ids": [offer["id"]], "operations": list(operations), "filters": {"refuse_seconds": 0.0}})

    def running(self, framework, *names):
        for name in names:
            framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)
        return all(wait(lambda n=name: os.path.exists(self.on_disk(ROLE, "s", n)), LIMIT_S) for name in names)

    # --- the parts ---

    def several_tasks(self):
        self.one.subscribe()
        offer = self.one.wait_offer(cpus=1, limit_s=LIMIT_S)
        self.accept(self.one, offer, reserve(reserved(ROLE, "disk", 300)),
                    create(volume(ROLE, "s", 64, shared=True), volume(ROLE, "own", 32)),
                    launch(self.on_volume("a", offer, "s"), self.on_volume("b", offer, "s")))
        report.check("under a new role, two tasks of one ACCEPT are on one new volume", self.running(self.one, "a", "b"))
        again = self.offer(self.one, lambda o: "s" in ids(o), "the shared volume")
        self.accept(self.one, again, create(volume(ROLE, "t", 16, shared=True)), launch(self.on_volume("c", again, "s")))
        report.check("a further ACCEPT makes another volume and launches on the first", self.running(self.one, "c"))
        report.check("it is there too", wait(lambda: os.path.isdir(self.on_disk(ROLE, "t")), LIMIT_S))

    def in_full(self):
        """How master and agent show it."""
        shown = self.house.get("/slaves")["slaves"][0]
        own = get(self.house.agents[0].port, "/state")

        def sizes(resources):
            return sorted((r["scalar"]["value"], r.get("disk", {}).get("persistence", {}).get("id", "")) for r in resources if r["name"] == "disk")
        expected = [(16.0, "t"), (32.0, "own"), (64.0, "s"), (188.0, "")]
        for name, state in (("master", shown), ("agent", own)):
            full = state["reserved_resources_full"][ROLE]
            report.equal(f"the {name} shows what is reserved in full", sizes(full), expected)
            forms = [(r["role"], r["reservation"], r["reservations"]) for r in full]
            both = (ROLE, {"principal": PRINCIPAL}, [{"type": "DYNAMIC", "role": ROLE, "principal": PRINCIPAL}])
            report.equal(f"the {name} shows reservations in the old form and the new", forms, [both] * len(full))
            report.equal(f"the {name} shows the sums of what is reserved and of the rest", (state["reserved_resources"][ROLE]["disk"], state["unreserved_resources"]["disk"]), (300.0, 700.0))
            rest = {r["name"]: r["role"] for r in state["unreserved_resources_full"]}
            report.equal(f"the {name} shows what is not reserved in full", rest, dict.fromkeys(["cpus", "mem", "disk", "ports"], "*"))
        report.equal("the agent shows what of the reserved is used", own["reserved_resources_allocated"][ROLE]["disk"], 64.0)
        report.equal("the master shows the used volume in full", [size for size in sizes(shown["used_resources_full"]) if size[1]], [(64.0, "s")])

    def two_frameworks(self):
        self.two.subscribe()
        self.one.call("SUPPRESS")
        self.decline_all(self.one)
        offer = self.offer(self.two, lambda o: "s" in ids(o), "the shared volume")
        report.check("a volume in use is offered to another framework of the role", "s" in ids(offer))
        self.accept(self.two, offer, launch(self.on_volume("d", offer, "s")))
        report.check("a task of it is on the volume too", self.running(self.two, "d"))
        used = [self.house.get("/metrics/snapshot")["master/disk_used"], get(self.house.agents[0].port, "/metrics/snapshot")["slave/disk_used"]]
        report.equal("master and agent count the volume once", used, [64.0, 64.0])

    def destroyed(self):
        offer = self.offer(self.two, lambda o: "own" in ids(o), "the volume that is not shared")
        self.accept(self.two, offer, {"type": "DESTROY", "destroy": {"volumes": [volume(ROLE, "own", 32)]}})
        report.check("one that nobody uses is destroyed beside it", wait(lambda: not os.path.exists(self.on_disk(ROLE, "own")), LIMIT_S))
        again = self.offer(self.two, lambda o: "s" in ids(o) and "own" not in ids(o), "the shared volume and not the other")
        report.equal("and is offered no more", ids(again), {"s", "t"})
        self.two.decline(again, 0.1)

    def master_killed(self):
        self.house.master.kill()
        self.house.master.start()
        report.need("a new master has the agent", wait(lambda: self.house.active_agents() == 1, LIMIT_S), self.house.master.log_tail())
        self.two.subscribe()
        offer = self.offer(self.two, lambda o: "s" in ids(o), "the shared volume")
        report.check("a new master offers the volume that tasks use", "s" in ids(offer))
        self.one.subscribe()
        running = dict.fromkeys("abc", "TASK_RUNNING")
        report.equal("which run on", self.one.reconcile(list("abc")), running)
        with open(self.on_disk(ROLE, "s", "end"), "w", encoding="ascii"):
            pass
        for framework, names in ((self.one, "abc"), (self.two, "d")):
            for name in names:
                framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)
        report.check("all end when the volume says so", True)
        self.two.decline(offer, 0.1)
        self.one.teardown()
        self.two.teardown()

    def one_below_the_other(self):
        """Where a volume's name is that of a role below its role."""
        self.both.subscribe()
        for role, volume_id, name in ((UPPER, "lap", "upper"), (LOWER, "v", "lower")):
            offer = self.offer(self.both, lambda o, r=role: o["allocation_info"]["role"] == r and has_free_disk(o), role)
            kept = volume(role, volume_id, 32)
            writer = task(name, offer, f"echo {name} > data/{name}; ls data > {self.house.path(name)}", 0.1, 32)
            writer["resources"].append(kept)
            self.accept(self.both, offer, reserve(reserved(role, "disk", 32)), create(kept), launch(writer))
            self.both.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)
            with open(self.house.path(name), encoding="ascii") as listed:
                report.equal(f"the task of role {role} sees what is its own", listed.read().split(), [name])
            if role == UPPER:
                # The other role's turn.
                self.both.call("SUPPRESS", suppress={"roles": [UPPER]})
                self.decline_all(self.both)
        self.both.call("REVIVE", revive={"roles": [UPPER]})
        self.both.call("SUPPRESS", suppress={"roles": [LOWER]})
        self.decline_all(self.both)
        offer = self.offer(self.both, lambda o: "lap" in ids(o), "the upper role's volume")
        self.accept(self.both, offer, {"type": "DESTROY", "destroy": {"volumes": [volume(UPPER, "lap", 32)]}})
        found = self.house.path("agent0/volumes/roles")

        def files():
            return sorted(name for _, _, names in os.walk(found) for name in names if name in ("upper", "lower"))
        report.check("destroying the upper one leaves the lower one", wait(lambda: files() == ["lower"], LIMIT_S), files())
        self.both.teardown()


def main():
    with House(resources="cpus:4;mem:2048;disk:1000;ports:[31000-31100]") as house:
        checks = Checks(house)
        report.run(checks.several_tasks)
        if not report.failed:
            report.run(checks.in_full, checks.two_frameworks, checks.destroyed, checks.master_killed, checks.one_below_the_other)
        for framework in (checks.one, checks.two, checks.both):
            framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
