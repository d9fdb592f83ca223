#!/usr/bin/env python3
"""maintenance.py: an operator schedules the machine of a running task, sees what its framework answers to the inverse offers, takes the
machine down and brings it back.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, request  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402
from tepui_command import tepui  # noqa: E402

LIMIT_S = 15
report = Report()


def v0(house, path, body):
    """The status of a POST of JSON to a v0 endpoint."""
    status, _, answer = request(house.port, "POST", path, json.dumps(body), {"Content-Type": "application/json"})
    return status if status == 200 else (status, answer)


def main():
    with House(resources="cpus:4;mem:4096;disk:0;ports:[31000-31000]") as house:
        scheduler = Scheduler(house.address, "careful")
        agent = house.get("/slaves")["slaves"][0]
        machine = {"hostname": agent["hostname"], "ip": agent["pid"].split("@")[1].split(":")[0]}
        start, hour = (int(time.time()) + 3600) * 10**9, 3600 * 10**9
        away = {"start": {"nanoseconds": start}, "duration": {"nanoseconds": hour}}
        schedule = {"windows": [{"machine_ids": [machine], "unavailability": away}]}

        def asked(count):
            """The inverse offers so far, once there are so many."""
            def found():
                events = [e for e in scheduler.events if e["type"] == "INVERSE_OFFERS"]
                offers = [o for e in events for o in e["inverse_offers"]["inverse_offers"]]
                return offers if len(offers) >= count else None
            return scheduler.wait(found, LIMIT_S, f"inverse offer {count}")

        def statuses():
            draining = house.get("/maintenance/status").get("draining_machines", [{}])
            return [status["status"] for status in draining[0].get("statuses", [])]

        def scheduled():
            scheduler.subscribe()
            offer = scheduler.wait_offer(4.0, 4096.0)
            report.check("an offer of a machine that stays says nothing", "unavailability" not in offer, offer)
            scheduler.launch(offer, [task("task-1", offer, "sleep 1000", 1, 64)])
            scheduler.wait_state("task-1", "TASK_RUNNING")
            report.equal("a schedule is taken", v0(house, "/maintenance/schedule", schedule), 200)
            first = asked(1)[0]
            report.equal("the framework is asked to leave the agent", first["agent_id"]["value"], agent["id"])
            report.equal("and told when it is away", first["unavailability"], away)
            offer = scheduler.wait(lambda: [o for o in scheduler.offers if "unavailability" in o], LIMIT_S, "such an offer")[0]
            report.equal("offers tell so too", offer["unavailability"], away)
            _, text, _ = tepui("why", "careful", "--master", house.address)
            report.check("`tepui why` tells of it", "scheduled for maintenance in 60 min for 60 min" in text, text)
            refuse = {"inverse_offer_ids": [first["id"]], "filters": {"refuse_seconds": 0}}
            scheduler.call("DECLINE_INVERSE_OFFERS", decline_inverse_offers=refuse)
            wait(statuses, LIMIT_S)
            report.equal("the operator sees that it declined", statuses(), ["DECLINE"])
            accept = {"inverse_offer_ids": [asked(2)[1]["id"]], "filters": {"refuse_seconds": 1000}}
            scheduler.call("ACCEPT_INVERSE_OFFERS", accept_inverse_offers=accept)
            wait(lambda: statuses() == ["ACCEPT"], LIMIT_S)
            report.equal("and that it accepted when it was asked again", statuses(), ["ACCEPT"])

        def down_and_up():
            report.equal("the machine goes down", v0(house, "/machine/down", [machine]), 200)
            scheduler.wait_state("task-1", "TASK_LOST")
            report.equal("and its agent with it", wait(lambda: house.get("/slaves")["slaves"] == [], LIMIT_S), True)
            report.equal("which is shown", house.get("/maintenance/status"), {"down_machines": [machine]})
            _, text, _ = tepui("why", "careful", "--master", house.address)
            report.check("`tepui why` names the machine", f"machine {machine['hostname']} ({machine['ip']}) is down for maintenance" in text, text)
            report.equal("it comes up again", v0(house, "/machine/up", [machine]), 200)
            report.equal("and is scheduled no more", house.get("/maintenance/schedule"), {})
            scheduler.teardown()

        report.run(scheduled, down_and_up)
        scheduler.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
