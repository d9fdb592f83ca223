#!/usr/bin/env python3
"""reservations_and_volumes.py: what is reserved and created, by a framework in ACCEPT and by an operator, outlives tasks, agent and master.

Wants TEPUI_BIN. Ends with 0 or 1. The data written by one task is read by another after `kill -9` of the agent; what is destroyed is gone
from the disk; bad input is refused in words and changes nothing.
"""
import json
import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, request  # noqa: E402
from operations import create, destroy, launch, reserve, unreserve  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import Reservation, scalars  # noqa: E402
from scheduler import Scheduler  # noqa: E402

STORE = Reservation("store", "keeper")
ALL = STORE.scalars(cpus=1, mem=64, disk=100)
RETURN_S = 20
SETTLE_S = 0.5
report = Report()


def named(operation_id, operation):
    """One whose status is told by its id."""
    return {**operation, "id": {"value": operation_id}}


def launched(task_id, offer, command):
    """A task on a part of what is reserved, with the volume."""
    resources = [*STORE.scalars(cpus=0.5, mem=64), STORE.volume("v", 64)]
    return launch({"name": task_id, "task_id": {"value": task_id}, "agent_id": offer["agent_id"], "resources": resources, "command": {"value": command}})


class Checks:
    def __init__(self, house):
        self.house = house
        self.framework = Scheduler(house.address, "store", failover_timeout=60.0, capabilities=["MULTI_ROLE", "RESERVATION_REFINEMENT"])
        self.framework.info.update(roles=[STORE.role], principal=STORE.principal)

    # --- what is there ---

    def agent(self):
        return self.house.get("/slaves")["slaves"][0]

    def held(self):
        """What the master says is reserved for the role, without what is nothing."""
        found = self.agent()["reserved_resources"].get(STORE.role, {})
        return {name: amount for name, amount in found.items() if amount}

    def offer_with(self, *names):
        """An offer that holds something reserved of each name; others are held until it comes."""
        def found():
            for offer in self.framework.offers:
                if set(names) <= {r["name"] for r in offer["resources"] if r.get("reservations")}:
                    return offer
            return None
        offer = self.framework.wait(found, what=f"an offer with reserved {names}")
        with self.framework.changed:
            self.framework.offers.remove(offer)
        return offer

    def forget_offers(self):
        """What was offered before the last change is rescinded, or about to be."""
        time.sleep(SETTLE_S)
        with self.framework.changed:
            old, self.framework.offers = self.framework.offers, []
        for offer in old:
            self.framework.decline(offer, 0.0)

    def told(self, operation_id):
        """The first status of an operation that wants to be acknowledged."""
        def found():
            for event in self.framework.events:
                if event["type"] == "UPDATE_OPERATION_STATUS":
                    status = event["update_operation_status"]["status"]
                    if status.get("operation_id", {}).get("value") == operation_id and "uuid" in status:
                        return status
            return None
        return self.framework.wait(found, what=f"a status of operation {operation_id}")

    # --- the parts ---

    def by_accept(self):
        self.framework.subscribe()
        offer = self.framework.wait_offer(cpus=2, mem=256)
        self.framework.accept(offer, named("reserve", reserve(*ALL)), named("create", create(STORE.volume("v", 64))),
                              launched("writer", offer, "echo kept > data/file"))
        self.framework.wait_state("writer", "TASK_FINISHED")
        report.equal("one ACCEPT reserves, creates, and launches a task that writes", open(STORE.on_disk(self.house, "v", "file"), encoding="ascii").read(), "kept\n")
        report.equal("the master shows what is reserved", self.held(), {"cpus": 1.0, "mem": 64.0, "disk": 100.0})
        statuses = [self.told(name) for name in ("reserve", "create")]
        report.equal("both operations are told as finished", [s["state"] for s in statuses], ["OPERATION_FINISHED"] * 2)
        operations = self.house.post({"type": "GET_OPERATIONS"})["get_operations"].get("operations", [])
        report.equal("GET_OPERATIONS lists them", [o["info"]["id"]["value"] for o in operations], ["reserve", "create"])
        for name, status in zip(("reserve", "create"), statuses):
            self.framework.call("ACKNOWLEDGE_OPERATION_STATUS", acknowledge_operation_status={
                "agent_id": status["agent_id"], "uuid": status["uuid"]["value"], "operation_id": {"value": name}})
        report.check("once acknowledged they are known no more", wait(lambda: self.house.post({"type": "GET_OPERATIONS"})["get_operations"] == {}, 5))

    def agent_killed(self):
        agent = self.house.agents[0]
        agent.kill()
        report.check("the master sees that the agent is away", wait(lambda: not self.agent()["active"], 10))
        agent.start()
        report.need("the agent is back after kill -9", wait(lambda: self.agent()["active"], RETURN_S), agent.log_tail())
        report.equal("with all that was reserved", self.held(), {"cpus": 1.0, "mem": 64.0, "disk": 100.0})
        own = json.loads(request(agent.port, "GET", "/state")[2])["reserved_resources"]
        report.equal("as it says itself", own.get(STORE.role, {}).get("disk"), 100.0)
        self.read_again("reader")

    def read_again(self, task_id):
        offer = self.offer_with("cpus", "mem", "disk")
        copy = self.house.path(task_id)
        self.framework.accept(offer, launched(task_id, offer, f"cat data/file > {copy}"))
        self.framework.wait_state(task_id, "TASK_FINISHED")
        report.equal(f"{task_id}: another task reads the data", open(copy, encoding="ascii").read(), "kept\n")

    def master_killed(self):
        self.house.master.kill()
        self.house.master.start()
        report.need("a new master has the agent", wait(lambda: self.house.active_agents() == 1, RETURN_S), self.house.master.log_tail())
        report.equal("and what it keeps", self.held(), {"cpus": 1.0, "mem": 64.0, "disk": 100.0})
        wait(lambda: self.framework.ended, 5)
        self.framework.subscribe()
        self.read_again("under-the-new-master")

    def undone_by_accept(self):
        offer = self.offer_with("cpus", "mem", "disk")
        self.framework.accept(offer, named("destroy", destroy(STORE.volume("v", 64))), named("unreserve", unreserve(*ALL)))
        report.equal("destroyed and unreserved", [self.told(n)["state"] for n in ("destroy", "unreserve")], ["OPERATION_FINISHED"] * 2)
        report.check("the data is gone from the disk", not os.path.exists(STORE.on_disk(self.house, "v")))
        report.equal("nothing is reserved", self.held(), {})

    # --- operators ---

    def operate(self, kind, **body):
        call = {"type": kind, kind.lower(): dict(agent_id={"value": self.agent()["id"]}, **body)}
        status, _, text = request(self.house.port, "POST", "/api/v1", json.dumps(call), {"Content-Type": "application/json", "Accept": "application/json"})
        return status, text.decode()

    def form(self, path, **fields):
        body = urllib.parse.urlencode({"slaveId": self.agent()["id"], **{name: json.dumps(value) for name, value in fields.items()}})
        return request(self.house.port, "POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})[0]

    def by_operator(self):
        self.framework.wait_offer(cpus=4)  # held by the framework: it has to be taken back
        report.equal("RESERVE_RESOURCES is accepted", self.operate("RESERVE_RESOURCES", resources=ALL), (202, ""))
        report.check("the offer that held it is rescinded", wait(lambda: any(e["type"] == "RESCIND" for e in self.framework.events), 5))
        report.equal("CREATE_VOLUMES", self.operate("CREATE_VOLUMES", volumes=[STORE.volume("v", 64)])[0], 202)
        report.check("its directory is made", wait(lambda: os.path.isdir(STORE.on_disk(self.house, "v")), 5))
        report.equal("GROW_VOLUME", self.operate("GROW_VOLUME", volume=STORE.volume("v", 64), addition=STORE.scalars(disk=16)[0])[0], 202)
        report.equal("SHRINK_VOLUME", self.operate("SHRINK_VOLUME", volume=STORE.volume("v", 80), subtract={"value": 16})[0], 202)
        self.forget_offers()
        offer = self.offer_with("cpus", "mem", "disk")
        self.framework.accept(offer, launched("second", offer, "echo kept > data/file"))
        self.framework.wait_state("second", "TASK_FINISHED")
        report.equal("a task writes into the operator's volume", open(STORE.on_disk(self.house, "v", "file"), encoding="ascii").read(), "kept\n")
        self.framework.call("SUPPRESS")
        report.equal("DESTROY_VOLUMES takes it back", self.operate("DESTROY_VOLUMES", volumes=[STORE.volume("v", 64)])[0], 202)
        report.check("and its data", wait(lambda: not os.path.exists(STORE.on_disk(self.house, "v")), 5))
        report.equal("UNRESERVE_RESOURCES", self.operate("UNRESERVE_RESOURCES", resources=ALL)[0], 202)
        report.equal("nothing is left", self.held(), {})

    def by_forms(self):
        steps = [("/reserve", "resources", STORE.scalars(disk=10)), ("/create-volumes", "volumes", [STORE.volume("v", 5)]),
                 ("/destroy-volumes", "volumes", [STORE.volume("v", 5)]), ("/unreserve", "resources", STORE.scalars(disk=10))]
        report.equal("the four forms are accepted", [self.form(path, **{name: value}) for path, name, value in steps], [202] * 4)
        report.equal("and undo each other", self.held(), {})

    def bad_input(self):
        before = self.agent()["unreserved_resources"]
        cases = [
            ("more than there is", "RESERVE_RESOURCES", {"resources": STORE.scalars(cpus=5000)}, 409, "does not contain cpus:5000"),
            ("a forged reservation", "UNRESERVE_RESOURCES", {"resources": STORE.scalars(cpus=1)}, 409, "does not contain cpus(reservations"),
            ("no reservation", "RESERVE_RESOURCES", {"resources": scalars(cpus=1)}, 400, "is not dynamically reserved"),
            ("less than nothing", "RESERVE_RESOURCES", {"resources": STORE.scalars(cpus=-1)}, 400, "value <= 0"),
            ("a huge amount", "RESERVE_RESOURCES", {"resources": STORE.scalars(cpus=1e300)}, 400, "value > "),
            ("a volume twice", "CREATE_VOLUMES", {"volumes": [STORE.volume("v", 1), STORE.volume("v", 1)]}, 400, "Persistence ID 'v' is not unique"),
            ("a volume that leads elsewhere", "CREATE_VOLUMES", {"volumes": [STORE.volume("../../x", 1)]}, 400, "contains invalid characters"),
            ("a volume that is not there", "DESTROY_VOLUMES", {"volumes": [STORE.volume("v", 1)]}, 400, "Persistent volumes not found"),
            ("thousands of resources", "RESERVE_RESOURCES", {"resources": STORE.scalars(cpus=0.001) * 3000}, 400, "send it in parts"),
        ]
        for name, kind, body, status, text in cases:
            found = self.operate(kind, **body)
            report.check(f"{name}: {status}", found[0] == status and text in found[1], found)
        status, text = request(self.house.port, "POST", "/api/v1", b'{"type":"RESERVE_RESOURCES","reserve_resources":{"agent_id":{"value":"x"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":NaN}}]}}',
                               {"Content-Type": "application/json"})[::2]
        report.equal("not a number: 400", status, 400)
        report.equal("nothing has changed", self.agent()["unreserved_resources"], before)


def main():
    with House() as house:
        checks = Checks(house)
        report.run(checks.by_accept, checks.agent_killed, checks.master_killed, checks.undone_by_accept, checks.by_operator, checks.by_forms, checks.bad_input)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
