#!/usr/bin/env python3
"""shared_volumes.py: tasks of one and of two frameworks on one volume, new masters among them, and volumes of roles one below the other.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, get  # noqa: E402
from operations import create, destroy, launch, reserve  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import Reservation, volumes_in  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

PRINCIPAL = "keeper"
# Nobody has heard of these roles before a framework comes with them.
POOL, UPPER, LOWER = (Reservation(role, PRINCIPAL) for role in ("pool", "over", "over/lap"))
LIMIT_S = 40
report = Report()


def has_free_disk(offer):
    """A lower role may be offered what is reserved for the one above, with crumbs of the rest."""
    return any(r["name"] == "disk" and not r.get("reservations") for r in offer["resources"])


class Checks:
    def __init__(self, house):
        self.house = house
        self.one, self.two, self.both = (self.framework(name, roles) for name, roles in (("one", [POOL.role]), ("two", [POOL.role]), ("both", [UPPER.role, LOWER.role])))

    def framework(self, name, roles):
        capabilities = ["MULTI_ROLE", "RESERVATION_REFINEMENT", "SHARED_RESOURCES"]
        framework = Scheduler(self.house.address, name, failover_timeout=600, capabilities=capabilities)
        framework.info.update(roles=roles, principal=PRINCIPAL)
        return framework

    def on_volume(self, task_id, offer, volume_id, amount=64):
        """A task that writes down its name in a shared volume and stays until it is told to go."""
        found = task(task_id, offer, f"echo here > data/{task_id}; while [ ! -e data/end ]; do sleep 0.3; done", 0.1, 32)
        found["resources"].append(POOL.volume(volume_id, amount, shared={}))
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

    def running(self, framework, *names):
        for name in names:
            framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)
        return all(wait(lambda n=name: os.path.exists(POOL.on_disk(self.house, "s", n)), LIMIT_S) for name in names)

    # --- the parts ---

    def several_tasks(self):
        self.one.subscribe()
        offer = self.one.wait_offer(cpus=1, limit_s=LIMIT_S)
        self.one.accept(offer, reserve(*POOL.scalars(disk=300)), create(POOL.volume("s", 64, shared={}), POOL.volume("own", 32)),
                        launch(self.on_volume("a", offer, "s"), self.on_volume("b", offer, "s")))
        report.check("under a new role, two tasks of one ACCEPT are on one new volume", self.running(self.one, "a", "b"))
        again = self.offer(self.one, lambda o: "s" in volumes_in(o), "the shared volume")
        self.one.accept(again, create(POOL.volume("t", 16, shared={})), launch(self.on_volume("c", again, "s")))
        report.check("a further ACCEPT makes another volume and launches on the first", self.running(self.one, "c"))
        report.check("it is there too", wait(lambda: os.path.isdir(POOL.on_disk(self.house, "t")), LIMIT_S))

    def in_full(self):
        """How master and agent show it."""
        shown = self.house.get("/slaves")["slaves"][0]
        own = get(self.house.agents[0].port, "/state")

        def sizes(resources):
            return sorted((r["scalar"]["value"], r.get("disk", {}).get("persistence", {}).get("id", "")) for r in resources if r["name"] == "disk")
        expected = [(16.0, "t"), (32.0, "own"), (64.0, "s"), (188.0, "")]
        for name, state in (("master", shown), ("agent", own)):
            full = state["reserved_resources_full"][POOL.role]
            report.equal(f"the {name} shows what is reserved in full", sizes(full), expected)
            forms = [(r["role"], r["reservation"], r["reservations"]) for r in full]
            both = (POOL.role, {"principal": PRINCIPAL}, [{"type": "DYNAMIC", "role": POOL.role, "principal": PRINCIPAL}])
            report.equal(f"the {name} shows reservations in the old form and the new", forms, [both] * len(full))
            report.equal(f"the {name} shows the sums of what is reserved and of the rest", (state["reserved_resources"][POOL.role]["disk"], state["unreserved_resources"]["disk"]), (300.0, 700.0))
            rest = {r["name"]: r["role"] for r in state["unreserved_resources_full"]}
            report.equal(f"the {name} shows what is not reserved in full", rest, dict.fromkeys(["cpus", "mem", "disk", "ports"], "*"))
        report.equal("the agent shows what of the reserved is used", own["reserved_resources_allocated"][POOL.role]["disk"], 64.0)
        report.equal("the master shows the used volume in full", [size for size in sizes(shown["used_resources_full"]) if size[1]], [(64.0, "s")])

    def two_frameworks(self):
        self.two.subscribe()
        self.one.call("SUPPRESS")
        self.decline_all(self.one)
        offer = self.offer(self.two, lambda o: "s" in volumes_in(o), "the shared volume")
        report.check("a volume in use is offered to another framework of the role", "s" in volumes_in(offer))
        self.two.accept(offer, launch(self.on_volume("d", offer, "s")))
        report.check("a task of it is on the volume too", self.running(self.two, "d"))
        used = [self.house.get("/metrics/snapshot")["master/disk_used"], get(self.house.agents[0].port, "/metrics/snapshot")["slave/disk_used"]]
        report.equal("master and agent count the volume once", used, [64.0, 64.0])

    def destroyed(self):
        offer = self.offer(self.two, lambda o: "own" in volumes_in(o), "the volume that is not shared")
        self.two.accept(offer, destroy(POOL.volume("own", 32)))
        report.check("one that nobody uses is destroyed beside it", wait(lambda: not os.path.exists(POOL.on_disk(self.house, "own")), LIMIT_S))
        again = self.offer(self.two, lambda o: "s" in volumes_in(o) and "own" not in volumes_in(o), "the shared volume and not the other")
        report.equal("and is offered no more", volumes_in(again), {"s", "t"})
        self.two.decline(again, 0.1)

    def master_killed(self):
        self.house.master.kill()
        self.house.master.start()
        report.need("a new master has the agent", wait(lambda: self.house.active_agents() == 1, LIMIT_S), self.house.master.log_tail())
        self.two.subscribe()
        offer = self.offer(self.two, lambda o: "s" in volumes_in(o), "the shared volume")
        report.check("a new master offers the volume that tasks use", "s" in volumes_in(offer))
        self.one.subscribe()
        running = dict.fromkeys("abc", "TASK_RUNNING")
        report.equal("which run on", self.one.reconcile(list("abc")), running)
        with open(POOL.on_disk(self.house, "s", "end"), "w", encoding="ascii"):
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
        for reservation, volume_id, name in ((UPPER, "lap", "upper"), (LOWER, "v", "lower")):
            offer = self.offer(self.both, lambda o, r=reservation.role: o["allocation_info"]["role"] == r and has_free_disk(o), reservation.role)
            kept = reservation.volume(volume_id, 32)
            writer = task(name, offer, f"echo {name} > data/{name}; ls data > {self.house.path(name)}", 0.1, 32)
            writer["resources"].append(kept)
            self.both.accept(offer, reserve(*reservation.scalars(disk=32)), create(kept), launch(writer))
            self.both.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)
            with open(self.house.path(name), encoding="ascii") as listed:
                report.equal(f"the task of role {reservation.role} sees what is its own", listed.read().split(), [name])
            if reservation is UPPER:
                # The other role's turn.
                self.both.call("SUPPRESS", suppress={"roles": [UPPER.role]})
                self.decline_all(self.both)
        self.both.call("REVIVE", revive={"roles": [UPPER.role]})
        self.both.call("SUPPRESS", suppress={"roles": [LOWER.role]})
        self.decline_all(self.both)
        offer = self.offer(self.both, lambda o: "lap" in volumes_in(o), "the upper role's volume")
        self.both.accept(offer, destroy(UPPER.volume("lap", 32)))
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
