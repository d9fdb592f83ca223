#!/usr/bin/env python3
"""worked_example.py: the example of Mesos' architecture page. An agent with 4 cpus and 4 GB; framework 1 launches <2 cpus, 1 GB> and
<1 cpu, 2 GB>; the rest, <1 cpu, 1 GB>, is offered to framework 2; when the tasks end, everything is offered again.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, amounts, task  # noqa: E402

ALL, REST = (4.0, 4096.0), (1.0, 1024.0)
report = Report()


def main():
    with House(resources="cpus:4;mem:4096;disk:0;ports:[31000-31000]") as house:
        first, second = Scheduler(house.address, "framework-1"), Scheduler(house.address, "framework-2")

        def agent(key):
            found = house.get("/slaves")["slaves"][0][key]
            return found["cpus"], found["mem"]

        def example():
            first.subscribe()
            offer = first.wait_offer(*ALL)
            report.equal("framework 1 is offered the whole agent", amounts(offer), ALL)
            second.subscribe()
            end = house.path("end")
            command = f"while [ ! -e {end} ]; do sleep 0.1; done"
            first.launch(offer, [task("task-1", offer, command, 2, 1024), task("task-2", offer, command, 1, 2048)])
            rest = second.wait_offer()
            report.equal("framework 2 is offered the rest", amounts(rest), REST)
            for name in ("task-1", "task-2"):
                first.wait_state(name, "TASK_RUNNING")
            report.equal("both tasks of framework 1 run", first.reconcile(["task-1", "task-2"]), {"task-1": "TASK_RUNNING", "task-2": "TASK_RUNNING"})
            report.equal("the agent's use is what the tasks asked for", agent("used_resources"), (3.0, 3072.0))
            report.equal("what is offered is the rest", agent("offered_resources"), REST)
            report.equal("framework 1 is offered nothing of it", [amounts(o) for o in first.offers], [])
            second.launch(rest, [task("task-3", rest, command, 1, 1024)])
            second.wait_state("task-3", "TASK_RUNNING")
            report.equal("framework 2 uses the rest", (agent("used_resources"), agent("offered_resources")), (ALL, (0.0, 0.0)))

            def offered():
                every = [amounts(o) for o in first.offers + second.offers]
                return sum(cpus for cpus, _ in every), sum(mem for _, mem in every)
            with open(end, "w", encoding="ascii"):
                pass
            for framework, name in ((first, "task-1"), (first, "task-2"), (second, "task-3")):
                framework.wait_state(name, "TASK_FINISHED")
            wait(lambda: offered() == ALL, 10)
            report.equal("when the tasks have ended, everything is offered again", offered(), ALL)
            report.equal("the agent's use is nothing", agent("used_resources"), (0.0, 0.0))
            second.teardown()
            second.offers.clear()
            wait(lambda: offered() == ALL, 10)
            pieces, first.offers[:] = list(first.offers), []
            first.call("DECLINE", decline={"offer_ids": [piece["id"] for piece in pieces], "filters": {"refuse_seconds": 0.0}})
            report.equal("alone again, framework 1 is offered the whole agent", amounts(first.wait_offer(*ALL)), ALL)
            first.teardown()

        report.run(example)
        first.close()
        second.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
