#!/usr/bin/env python3
"""scheduler_semantics.py: what a scheduler that subscribes, suppresses and revives by role is offered and what it is not; updates that it
acknowledges in its own time; what it is refused; and reservations in the format of those who know of refinement and of those who do not.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import http.client
import json
import math
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, get, request  # noqa: E402
from operations import create, destroy, reserve, unreserve  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import scalars  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

LIMIT_S = 20
TURNS = 3  # of another framework: who is to be offered anything is offered it by then
DAY_S = 86400.0
ROLES = ["one", "two"]
PRINCIPAL = "keeper"
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
report = Report()


class Patient(Scheduler):
    """Acknowledges when it is told to, and not before."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.held = {}

    def call(self, kind, **body):
        if kind == "ACKNOWLEDGE":
            # What is not acknowledged comes again.
            self.held.setdefault(body["acknowledge"]["uuid"], body)
        else:
            super().call(kind, **body)

    def acknowledge(self, status):
        self.wait(lambda: status["uuid"] in self.held, what="update to acknowledge")
        super().call("ACKNOWLEDGE", **self.held[status["uuid"]])


class Offers:
    """One agent, which is offered whole or not at all."""

    def __init__(self, house):
        self.house = house
        self.one = Scheduler(house.address, "of one role", failover_timeout=600.0, capabilities=["MULTI_ROLE"])
        self.one.info["roles"] = ["one"]

    def of_two(self, name):
        framework = Scheduler(self.house.address, name, capabilities=["MULTI_ROLE"])
        framework.info["roles"] = ROLES
        return framework

    def offered(self, framework):
        """The roles of what a framework is offered once another one has had the agent and has given it back, again and again: who declines for
        no time lets others have it first."""
        other = Scheduler(self.house.address, "other").subscribe()
        for _ in range(TURNS):
            other.decline(other.wait_offer(cpus=1, limit_s=LIMIT_S), 0.0)
        other.wait_offer(cpus=1, limit_s=LIMIT_S)
        with framework.changed:
            found = [o["allocation_info"]["role"] for o in framework.offers]
        other.teardown()
        other.close()
        return found

    def role_of_next(self, framework):
        """Declines the next offer for a day; returns its role."""
        offer = framework.wait_offer(cpus=1, limit_s=LIMIT_S)
        framework.decline(offer, DAY_S)
        return offer["allocation_info"]["role"]

    def all_suppressed(self):
        self.one.subscribe(suppressed_roles=["one"])
        report.equal("who subscribes with all roles suppressed is offered nothing", self.offered(self.one), [])
        self.one.call("REVIVE", revive={"roles": ["one"]})
        self.one.wait_offer(cpus=1, limit_s=LIMIT_S)
        report.check("and something once it revives", True)

    def again_suppressed(self):
        self.one.subscribe()
        self.one.wait(lambda: self.one.offers, LIMIT_S, "offer")
        self.one.subscribe(suppressed_roles=["one"])
        report.equal("who subscribes again with all roles suppressed is offered nothing", self.offered(self.one), [])
        self.one.call("REVIVE")
        self.one.wait_offer(cpus=1, limit_s=LIMIT_S)
        report.check("and something again once it revives", True)

    def stays_suppressed(self):
        self.one.call("SUPPRESS")
        self.one.subscribe(suppressed_roles=["one"])
        report.equal("who suppressed, and says so when it subscribes again, is offered nothing", self.offered(self.one), [])
        self.one.teardown()

    def one_of_two(self):
        framework = self.of_two("begins with one of two suppressed")
        framework.subscribe(suppressed_roles=["two"])
        report.equal("of two roles the one that is not suppressed is offered", self.role_of_next(framework), "one")
        report.equal("and when that is declined, nothing", self.offered(framework), [])
        framework.teardown()
        framework.close()

    def one_later(self):
        holder = Scheduler(self.house.address, "holds").subscribe()
        offer = holder.wait_offer(cpus=1, limit_s=LIMIT_S)
        framework = self.of_two("suppresses one of two").subscribe()
        framework.call("SUPPRESS", suppress={"roles": ["one"]})
        holder.decline(offer, DAY_S)
        report.equal("who suppresses one of two roles is offered the other", self.role_of_next(framework), "two")
        report.equal("and when that is declined, nothing more", self.offered(framework), [])
        for each in (holder, framework):
            each.teardown()
            each.close()

    def revived(self):
        framework = self.of_two("revives one of two").subscribe()
        declined = {self.role_of_next(framework), self.role_of_next(framework)}
        report.equal("who suppresses nothing is offered both roles", declined, set(ROLES))
        framework.call("UPDATE_FRAMEWORK", update_framework={"framework_info": dict(framework.info, id={"value": framework.id}), "suppressed_roles": ["two"]})
        report.equal("and declined both", self.offered(framework), [])
        framework.call("REVIVE", revive={"roles": ["two"]})
        report.equal("who revives one role is offered that", self.role_of_next(framework), "two")
        report.equal("and the other is declined as before", self.offered(framework), [])
        framework.teardown()
        framework.close()


def offers():
    house = House()
    house.master.command += ["--allocation-interval", "50ms"]
    with house:
        checks = Offers(house)
        report.run(checks.all_suppressed, checks.again_suppressed, checks.stays_suppressed, checks.one_of_two, checks.one_later, checks.revived)
        checks.one.close()


class Acknowledgements:
    def __init__(self, house):
        self.house = house
        self.framework = Patient(house.address, "patient")

    def acknowledged(self):
        return self.house.get("/metrics/snapshot")[f"master/frameworks/patient/{self.framework.id}/calls/acknowledge"]

    def lists(self):
        """(tasks, completed tasks) of the framework."""
        found = self.house.get("/state")["frameworks"][0]
        return [[(t["id"], t["state"]) for t in found[kind]] for kind in ("tasks", "completed_tasks")]

    def in_its_own_time(self):
        self.framework.subscribe()
        offer = self.framework.wait_offer(cpus=1, limit_s=LIMIT_S)
        self.framework.launch(offer, [task("ends", offer, "exit 0")])
        status = self.framework.wait_state("ends", "TASK_STARTING")
        report.check("a task ends", wait(lambda: not get(self.house.agents[0].port, "/containers"), LIMIT_S))
        report.equal("and its scheduler is told nothing more before it acknowledges", (self.framework.told("ends"), self.acknowledged()), (["TASK_STARTING"], 0.0))
        report.equal("nor is the task completed", [[name for name, _ in tasks] for tasks in self.lists()], [["ends"], []])
        for state in ("TASK_RUNNING", "TASK_FINISHED"):
            self.framework.acknowledge(status)
            status = self.framework.wait_state("ends", state)
        report.equal("each acknowledgement brings the next update", self.framework.told("ends"), ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"])
        report.equal("the last one is still to be acknowledged", self.lists(), [[("ends", "TASK_FINISHED")], []])
        self.framework.acknowledge(status)
        report.check("and with that the task is completed", wait(lambda: self.lists() == [[], [("ends", "TASK_FINISHED")]], LIMIT_S), self.lists())
        report.equal("as many acknowledgements are counted as updates", self.acknowledged(), 3.0)

    def of_the_master(self):
        offer = self.framework.wait_offer(cpus=1, limit_s=LIMIT_S)
        self.framework.launch(offer, [dict(task("empty", offer, "exit 0"), resources=[])])
        status = self.framework.wait_state("empty", "TASK_ERROR")
        report.equal("what the master itself says has nothing to acknowledge", (status["source"], status["reason"], status.get("uuid")),
                     ("SOURCE_MASTER", "REASON_TASK_INVALID", None))
        self.framework.reconcile(["unheard-of"])
        status = self.framework.updates_of("unheard-of")[0]
        report.equal("nor has the answer to a question about a task that nobody knows, and it names no agent",
                     (status["state"], status["source"], status["reason"], status.get("uuid"), status.get("agent_id")), ("TASK_LOST", "SOURCE_MASTER", "REASON_RECONCILIATION", None, None))
        report.equal("and nothing was acknowledged for them", (len(self.framework.held), self.acknowledged()), (3, 3.0))
        self.framework.teardown()


def acknowledgements():
    with House() as house:
        checks = Acknowledgements(house)
        report.run(checks.in_its_own_time, checks.of_the_master)
        checks.framework.close()


def field(number, *parts):
    """A message or a text within a message, in protobuf: JSON has no infinity."""
    content = b"".join(parts)
    return bytes([number << 3 | 2, len(content)]) + content


def first_event(port, filters):
    """The kind of what a SUBSCRIBE with these offer filters is answered first, and its message."""
    info = field(1, b"root") + field(2, b"filters") + field(13, field(1, b"*") + field(2, filters))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("POST", "/api/v1/scheduler", bytes([2 << 3, 1]) + field(3, field(1, info)), {"Content-Type": "application/x-protobuf", "Accept": "application/json"})
        answer = connection.getresponse()
        event = json.loads(answer.read(int(answer.readline())))
        return event["type"], event.get("error", {}).get("message")
    finally:
        connection.close()


def least(*sets):
    """Filters that want at least one of these sets, each {name: amount}."""
    def amounts(quantities):
        return [field(1, field(1, name.encode()), field(2, bytes([1 << 3 | 1]), struct.pack("<d", value))) for name, value in quantities.items()]
    return field(1, *[field(1, *amounts(quantities)) for quantities in sets])


def least_amounts(house):
    taken = [b"", least(), least({"cpus": 0.0}), least({"cpus": 2.0})]
    report.equal("offer filters may want nothing, none, naught or some", [first_event(house.port, filters) for filters in taken], [("SUBSCRIBED", None)] * 4)
    of_cpus = "Invalid resource quantity for 'cpus': "
    refused = [({}, "Resource quantities must contain at least one quantity"), ({"cpus": -2.0}, of_cpus + "Negative values not supported"),
               ({"cpus": math.nan}, of_cpus + "NaN not supported"), ({"cpus": math.inf}, of_cpus + "Infinite values not supported")]
    told = [first_event(house.port, least(quantities)) for quantities, _ in refused]
    report.equal("and nothing that is no amount", told, [("ERROR", reason) for _, reason in refused])


def bad_volumes(house):
    framework = Scheduler(house.address, "volumes").subscribe()
    offer = framework.wait_offer(cpus=1, limit_s=LIMIT_S)
    one_of = "Only one of them should be set: 'host_path', 'image' and 'source'"
    cases = [({}, one_of), ({"host_path": "h", "image": {"type": "DOCKER", "docker": {"name": "i"}}}, one_of)]
    cases += [({"source": {"type": kind}}, f"'source.{kind.lower()}' is not set for {kind} volume") for kind in ("DOCKER_VOLUME", "HOST_PATH", "SANDBOX_PATH", "SECRET")]
    framework.launch(offer, [dict(task(f"v{number}", offer, "exit 0"), container={"type": "MESOS", "volumes": [{"container_path": "p", "mode": "RW", **volume}]})
                             for number, (volume, _) in enumerate(cases)])
    told = [framework.wait_state(f"v{number}", "TASK_ERROR")["message"].partition("Invalid volume: ")[2] for number in range(len(cases))]
    report.equal("a volume comes from one place, which is named", told, [reason for _, reason in cases])
    framework.teardown()
    framework.close()


def refusals():
    with House() as house:
        least_amounts(house)
        bad_volumes(house)


class Format:
    """One of the two ways to write that something is reserved."""

    def __init__(self, house, refined):
        self.house, self.refined, self.name = house, refined, "with refinement" if refined else "without refinement"
        capabilities = ["MULTI_ROLE", *(["RESERVATION_REFINEMENT"] if refined else [])]
        self.framework = Scheduler(house.address, self.name, capabilities=capabilities)
        self.framework.info.update(roles=["store"], principal=PRINCIPAL)

    def reserved(self, name, amount, role="store", dynamic=True, **more):
        plain, = scalars(**{name: amount})
        if self.refined:
            kind = {"type": "DYNAMIC", "principal": PRINCIPAL} if dynamic else {"type": "STATIC"}
            return {**plain, "reservations": [{"role": role, **kind}], **more}
        return {**plain, "role": role, **({"reservation": {"principal": PRINCIPAL}} if dynamic else {}), **more}

    def volume(self, amount, role="store", dynamic=True):
        disk = {"persistence": {"id": "v", "principal": PRINCIPAL}, "volume": {"mode": "RW", "container_path": "data"}}
        return self.reserved("disk", amount, role, dynamic, disk=disk)

    def offered(self, amounts):
        """Takes the offer whose amounts are these."""
        return self.framework.take_offer(lambda offer: self.told(offer) == amounts, limit_s=LIMIT_S)

    def told(self, offer):
        """Names, amounts and kinds of what is offered, in its own format alone."""
        found = []
        for resource in (r for r in offer["resources"] if r["type"] == "SCALAR"):
            own, foreign = ("reservations", "reservation") if self.refined else ("reservation", "reservations")
            if foreign in resource:
                raise RuntimeError(f"{resource} is not in the format {self.name}")
            kind = " volume" if "disk" in resource else " reserved" if own in resource else ""
            found.append(f"{resource['name']} {resource['scalar']['value']:g}{kind}")
        return sorted(found)

    def operations(self):
        self.framework.subscribe()
        offer = self.offered(["cpus 2", "disk 512", "mem 1024"])
        amounts = [self.reserved("cpus", 2), self.reserved("disk", 512)]
        self.framework.accept(offer, reserve(*amounts))
        offer = self.offered(["cpus 2 reserved", "disk 512 reserved", "mem 1024"])
        self.framework.accept(offer, create(self.volume(512)))
        offer = self.offered(["cpus 2 reserved", "disk 512 volume", "mem 1024"])
        self.framework.accept(offer, destroy(self.volume(512)))
        offer = self.offered(["cpus 2 reserved", "disk 512 reserved", "mem 1024"])
        self.framework.accept(offer, unreserve(*amounts))
        offer = self.offered(["cpus 2", "disk 512", "mem 1024"])
        report.check(f"{self.name}: reserved, created, destroyed and unreserved, each told by the next offer", True)
        metrics = self.house.get("/metrics/snapshot")
        prefix = f"master/frameworks/{self.name.replace(' ', '%20')}/{self.framework.id}/"
        names = ["calls/accept", "offers/accepted", "operations", "operations/reserve", "operations/create", "operations/destroy", "operations/unreserve"]
        report.equal(f"{self.name}: counted for the framework", [metrics.get(prefix + name) for name in names], [4.0, 4.0, 4.0, 1.0, 1.0, 1.0, 1.0])
        self.whole(offer)

    def whole(self, offer):
        """A task of all that is offered, as it was offered."""
        self.framework.launch(offer, [dict(task("whole", offer, "exec sleep 600"), resources=offer["resources"])])
        self.framework.wait_state("whole", "TASK_RUNNING", limit_s=LIMIT_S)
        report.equal(f"{self.name}: a task of the whole offer runs", self.framework.told("whole"), ["TASK_STARTING", "TASK_RUNNING"])
        self.framework.end("whole", limit_s=LIMIT_S)
        self.group(self.offered(["cpus 2", "disk 512", "mem 1024"]))

    def group(self, offer):
        some = scalars(cpus=0.1, mem=32, disk=32)
        executor = self.framework.default_executor("group", resources=some)
        self.framework.launch_group(offer, executor, [dict(task("member", offer, "exec sleep 600"), resources=some)])
        self.framework.wait_state("member", "TASK_RUNNING", limit_s=LIMIT_S)
        frameworks = get(self.house.agents[0].port, "/state")["frameworks"]
        shown = next(e for f in frameworks if f["id"] == self.framework.id for e in f["executors"])
        found = (self.framework.told("member"), shown["type"], os.path.exists(os.path.join(shown["directory"], "tasks", "member")))
        report.equal(f"{self.name}: a task of a group runs, in its sandbox", found, (["TASK_STARTING", "TASK_RUNNING"], "DEFAULT", True))
        self.framework.teardown()
        wait(lambda: not get(self.house.agents[0].port, "/state")["frameworks"], LIMIT_S)

    def operators(self):
        agent_id = {"value": self.house.get("/slaves")["slaves"][0]["id"]}

        def operator(kind, **body):
            call = {"type": kind, kind.lower(): {"agent_id": agent_id, **body}}
            status, _, text = request(self.house.port, "POST", "/api/v1", json.dumps(call), JSON_HEADERS)
            return status if status == 202 else (status, text)
        amounts = [self.reserved("cpus", 1), self.reserved("mem", 512)]

        def held():
            found = self.house.get("/slaves")["slaves"][0]["reserved_resources"]
            return found.get("store", {}).get("mem", 0.0)
        answers = [operator("RESERVE_RESOURCES", resources=amounts), held(), operator("UNRESERVE_RESOURCES", resources=amounts), held()]
        report.equal(f"{self.name}: an operator reserves and unreserves", answers, [202, 512.0, 202, 0.0])
        volumes = [self.volume(64, "static", False)]
        answers = [operator("CREATE_VOLUMES", volumes=volumes), operator("DESTROY_VOLUMES", volumes=volumes)]
        report.equal(f"{self.name}: an operator creates and destroys a volume", answers, [202, 202])


def formats():
    house = House(resources="cpus:2;mem:1024;disk:512;disk(static):64")
    house.master.command += ["--allocation-interval", "50ms"]
    with house:
        for refined in (False, True):
            checks = Format(house, refined)
            report.run(checks.operations, checks.operators)
            checks.framework.close()


def main():
    report.run(offers, acknowledgements, refusals, formats)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
