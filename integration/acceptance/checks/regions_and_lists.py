#!/usr/bin/env python3
"""regions_and_lists.py: a master in one region with an agent there and one elsewhere, and a list of the agents that are offered, which
changes while the master runs.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House  # noqa: E402
from report import Report  # noqa: E402
from scheduler import Scheduler  # noqa: E402

LIMIT_S = 20
report = Report()


def domain(region):
    return {"fault_domain": {"region": {"name": region}, "zone": {"name": "z1"}}}


def hosts(scheduler):
    return sorted({offer["hostname"] for offer in scheduler.offers})


def main():
    house = House(agents=2)
    listed = house.path("listed")
    with open(listed, "w", encoding="utf-8") as file:
        file.write("near\n")
    house.master.command += ["--domain", json.dumps(domain("here")), "--whitelist", f"file://{listed}"]
    for agent, (name, region) in zip(house.agents, (("near", "here"), ("far", "there"))):
        agent.command += ["--hostname", name, "--domain", json.dumps(domain(region))]
    with house:
        settled, travelled = Scheduler(house.address, "settled"), Scheduler(house.address, "travelled", capabilities=["REGION_AWARE"])

        def lists():
            travelled.subscribe()
            travelled.wait(lambda: hosts(travelled) == ["near"], LIMIT_S, "the offer of the listed agent")
            report.equal("only listed agents are offered", hosts(travelled), ["near"])
            with open(listed, "w", encoding="utf-8") as file:
                file.write("near\nfar\n")
            travelled.wait(lambda: hosts(travelled) == ["far", "near"], LIMIT_S, "the offer of the other agent")
            report.equal("and those that are listed later", hosts(travelled), ["far", "near"])

        def regions():
            regions = {o["hostname"]: o["domain"] for o in travelled.offers}
            report.equal("offers say where their agents are", regions, {"near": domain("here"), "far": domain("there")})
            report.equal("and the master where it is", house.post({"type": "GET_MASTER"})["get_master"]["master_info"]["domain"], domain("here"))
            travelled.teardown()
            settled.subscribe()
            settled.wait(lambda: hosts(settled) == ["near"], LIMIT_S, "the offer of the near agent")
            report.equal("another region is offered to those who know of regions", hosts(settled), ["near"])
            settled.teardown()

        report.run(lists, regions)
        settled.close()
        travelled.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
