#!/usr/bin/env python3
"""why_not.py: two frameworks, one agent. One sits on the agent's offer, the other asks `tepui why` and `tepui offers --history` what is
the matter; what they say is true before and after the offer is refused, a task runs, and the framework suppresses.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402
from tepui_command import tepui  # noqa: E402

LIMIT_S = 10
report = Report()


class Asking:
    def __init__(self, house):
        self.house = house

    def tepui(self, *words):
        code, out, err = tepui(*words, "--master", self.house.address)
        return code, out + err

    def why(self, framework, *words):
        code, text = self.tepui("why", framework, "--json", *words)
        report.need(f"why {framework} {' '.join(words)} answers", code == 0, text)
        return json.loads(text)["roles"][0]

    def cause(self, framework, *words):
        """The first cause on the agent, or none."""
        causes = self.why(framework, *words)["agents"][0]["causes"]
        return causes[0] if causes else {"cause": None}


def main():
    with House(resources="cpus:4;mem:4096;disk:0;ports:[31000-31000]") as house:
        asking = Asking(house)
        holder, waiting = Scheduler(house.address, "holder"), Scheduler(house.address, "waiting")

        def example():
            holder.subscribe()
            offer = holder.wait_offer(4.0, 4096.0)
            waiting.subscribe()
            held = asking.cause("waiting", "--need", "cpus:2")
            report.equal("what is offered to another is held", (held["cause"], held["missing"]), ("HELD", {"cpus": 2.0}))
            who = held["holders"][0]
            report.equal("by the one that was offered it", (who["framework"], who["offer_id"]), ("holder", offer["id"]["value"]))
            report.check("for some time", 0 <= who["offered_secs"] < 60, who)
            report.equal("no agent has so much", asking.cause("waiting", "--need", "cpus:6"), {"cause": "TOO_SMALL", "missing": {"cpus": 2.0}})
            code, text = asking.tepui("why", "waiting", "--need", "cpus:2")
            report.check("people read who holds it", code == 0 and "holder as * has cpus:4" in text, text)
            _, text = asking.tepui("offers", "--history")
            report.check("who sits on offers is ranked", "holder" in text.splitlines()[1], text)

            holder.launch(offer, [task("task-1", offer, "sleep 1000", 3, 1024)])
            holder.wait_state("task-1", "TASK_RUNNING")
            rest = waiting.wait_offer()
            used = asking.cause("waiting", "--need", "cpus:2")
            holders = {h["framework"]: h["amounts"]["cpus"] for h in used["holders"]}
            report.equal("a task holds as an offer does", holders, {"holder": 3.0, "waiting": 1.0})
            waiting.decline(rest)
            wait(lambda: asking.cause("waiting")["cause"] == "REFUSED", LIMIT_S)
            refused = asking.cause("waiting")
            report.equal("what it refused is not offered again", refused["cause"], "REFUSED")
            report.check("for as long as it said", refused["lasts_secs"] > 10_000, refused)
            waiting.call("SUPPRESS", suppress={})
            wait(lambda: asking.why("waiting")["bars"], LIMIT_S)
            report.equal("one that suppressed is told so", asking.why("waiting")["bars"], ["SUPPRESSED"])
            ended = house.get("/tepui/v1/offers")["ended"]
            ends = {(e["framework"], e["end"]) for e in ended}
            report.check("how offers ended is kept", {("holder", "ACCEPTED"), ("waiting", "DECLINED")} <= ends, ended)
            code, text = asking.tepui("why", "nobody")
            report.check("an unknown framework is told", code != 0 and "`tepui frameworks` lists them" in text, text)
            code, text = asking.tepui("allocator", "--policy", "best-fit", "--shadow", "priority", "--json")
            told = json.loads(text) if code == 0 else {"failed": text}
            report.equal("another policy decides, and one is compared", (told.get("policy"), told.get("shadow", {}).get("policy")), ("best-fit", "priority"))
            code, text = asking.tepui("allocator", "--policy", "fifo")
            report.check("one that is none is refused with the names", code != 0 and "drf, priority, random, best-fit" in text, text)
            code, text = asking.tepui("allocator", "--policy", "drf", "--shadow", "none")
            report.check("and back", code == 0 and text.startswith("drf decides") and "compared" not in text, text)
            holder.teardown()
            waiting.teardown()
            asking.tepui("allocator", "--policy", "best-fit")
            house.master.kill()
            house.master.start()
            kept = wait(lambda: asking.tepui("allocator")[1].startswith("best-fit decides"), LIMIT_S)
            report.check("what was chosen outlives the leader", kept, asking.tepui("allocator")[1])

        report.run(example)
        holder.close()
        waiting.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
