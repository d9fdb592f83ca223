#!/usr/bin/env python3
"""operator_commands.py: what an operator does to a cluster from the command line: agents that are drained, deactivated and given up, quota,
weights, maintenance, the end of a framework, and how each refusal is told.

Wants TEPUI_BIN. Ends with 0 or 1. Three agents, which are other machines by their hostnames: north, south and west. The master asks who calls
where something is changed: ops may everything, eve nothing of it.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, environment  # noqa: E402
from free_port import free_ranges  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402
from tepui_command import tepui  # noqa: E402
from terminal import Terminal  # noqa: E402

LIMIT_S = 30
SECRETS = {"ops": "sesame", "eve": "apple"}
LISTS = {"drain_agents": "agents", "deactivate_agents": "agents", "reactivate_agents": "agents", "mark_agents_gone": "agents",
         "update_quotas": "roles", "update_weights": "roles", "teardown_frameworks": "framework_principals",
         "update_maintenance_schedules": "machines", "start_maintenances": "machines", "stop_maintenances": "machines"}
DEAF = "trap '' TERM; while :; do sleep 1; done"
report = Report()


class Cluster(House):
    def __init__(self):
        super().__init__(agents=3, resources="cpus:2;mem:1024;disk:100;ports:[]")
        secrets = self.write("credentials.json", json.dumps({"credentials": [{"principal": who, "secret": secret} for who, secret in SECRETS.items()]}))
        lists = {name: [{"principals": {"values": ["ops"]}, key: {"type": "ANY"}}, {"principals": {"type": "ANY"}, key: {"type": "NONE"}}] for name, key in LISTS.items()}
        self.master.command += ["--agent-ping-timeout", "2secs", "--max-agent-ping-timeouts", "3", "--authenticate-http-readwrite", "--credentials", secrets,
                                "--acls", self.write("acls.json", json.dumps(lists))]
        for agent, name in zip(self.agents, ("north", "south", "west")):
            agent.command += ["--hostname", name]

    def agent(self, hostname):
        """The agent of that name as the master shows it, or None."""
        return next((agent for agent in self.get("/slaves")["slaves"] if agent["hostname"] == hostname), None)


class Checks:
    def __init__(self, house):
        self.house, self.bin, self.used = house, os.environ["TEPUI_BIN"], set()
        self.framework = Scheduler(house.address, "operated", capabilities=("PARTITION_AWARE", "MULTI_ROLE"))
        self.framework.info["roles"] = ["web"]
        self.framework.subscribe()

    def env(self, who):
        return environment(TEPUI_MASTER=self.house.address, **({"TEPUI_PRINCIPAL": who, "TEPUI_SECRET": SECRETS[who]} if who else {}))

    def tepui(self, *words, who="ops"):
        """Returns (exit status, stdout, stderr)."""
        return tepui(*words, env=self.env(who), timeout=LIMIT_S)

    def done(self, name, words, wanted):
        """Ends with 0, says `wanted` in one line on stdout, and nothing else."""
        status, out, err = self.tepui(*words)
        report.check(name, status == 0 and not err and out.count("\n") == 1 and wanted in out, (status, out, err))

    def refused(self, name, words, *wanted, status=2, who="ops"):
        """One line on stderr that holds what is wanted, nothing on stdout, and this status."""
        found = self.tepui(*words, who=who)
        good = found[0] == status and not found[1] and found[2].count("\n") == 1 and all(text in found[2] for text in wanted)
        report.check(f"refused with {status}: {name}", good, found)

    def table(self, *words):
        """The rows behind a table's header."""
        status, out, err = self.tepui(*words)
        if status or err:
            raise ValueError(f"tepui {' '.join(words)}: {status} {err}")
        return [line.split() for line in out.splitlines()[1:]]

    def objects(self, *words):
        return [json.loads(line) for line in self.tepui(*words, "--json")[1].splitlines()]

    def state(self, hostname):
        return next((row[2] for row in self.table("agents") if row[1].startswith(hostname)), None)

    def launch(self, name, hostname, command):
        def unused():
            return next((offer for offer in self.framework.offers if offer["hostname"] == hostname and offer["id"]["value"] not in self.used), None)
        offer = self.framework.wait(unused, LIMIT_S, f"an offer of {hostname}")
        self.used.add(offer["id"]["value"])
        self.framework.launch(offer, [task(name, offer, command)])
        self.framework.wait_state(name, "TASK_RUNNING")

    def names(self):
        ids = {name: self.house.agent(name)["id"] for name in ("north", "south", "west")}
        end = ids["north"].rpartition("-")[2]
        for word in ("north", "NORTH", ids["north"], end, f"north:{self.house.agents[0].port}"):
            self.done(f"an agent is named {word}", ["deactivate", word], f"agent {ids['north']} (north:{self.house.agents[0].port}) is offered to nobody")
        self.done("and brought back", ["reactivate", "north"], "is offered again")
        self.refused("an unknown agent", ["drain", "nowhere"], "no agent is called 'nowhere'; there are ", *ids.values(), "tepui agents")
        self.refused("a beginning that all have", ["drain", ids["north"][:8]], f"'{ids['north'][:8]}' may be any of 3 agents", *ids.values())
        self.launch("box-1", "south", "echo here; exec sleep 600")
        self.launch("box-2", "south", "exec sleep 600")
        report.equal("a task is named by its beginning, or its end", [self.tepui("exec", word, "--", "echo", "yes") for word in ("box-1", "1")], [(0, "yes\n", "")] * 2)
        report.equal("logs too", self.tepui("logs", "1", "--stdout", "--framework", self.framework.id[:20]), (0, "here\n", ""))
        self.refused("a task that may be one of two", ["logs", "box"], "'box' may be any of 2 tasks; choose one of box-1 (TASK_RUNNING), box-2 (TASK_RUNNING)")
        why = [self.tepui("why", word)[0] for word in ("operated", self.framework.id, self.framework.id[:-1], self.framework.id.rpartition("-")[2])]
        report.equal("and a framework by its name and parts of its id", why, [0] * 4)

    def agents(self):
        self.done("deactivate", ["deactivate", "north"], "`tepui reactivate north` brings it back")
        report.equal("the agent is deactivated", self.state("north"), "deactivated")
        self.done("reactivate", ["reactivate", "north"], "is offered again")
        report.equal("and active again", self.state("north"), "active")
        self.refused("an agent that is not deactivated", ["reactivate", "north"], "cannot reactivate agent ", "Agent is not deactivated")
        self.launch("deaf", "north", DEAF)
        begun = time.monotonic()
        status, out, err = self.tepui("drain", "north", "--max-grace", "1s", "--wait")
        report.check("drain --wait: follows until it is drained", status == 0 and "is drained" in out and self.state("north") == "drained", (status, out, err))
        report.check("drain --wait: tells on stderr how many tasks are left", "1 task is left" in err, err)
        report.check("drain --max-grace: shortens the grace", time.monotonic() - begun < LIMIT_S)
        report.equal("its task was killed for it", self.framework.wait_state("deaf", "TASK_KILLED").get("reason"), "REASON_AGENT_DRAINING")
        self.done("a drained agent is brought back", ["reactivate", "north"], "is offered again")
        self.done("drain: without --wait says how to go on", ["drain", "north"], "`tepui reactivate north` brings it back")
        wait(lambda: self.state("north") == "drained", LIMIT_S)
        self.tepui("reactivate", "north")
        self.refused("a duration that is none", ["drain", "north", "--max-grace", "soon"], "--max-grace soon", "expected")

    def gone(self):
        self.refused("gone, where nobody can be asked", ["gone", "south"], "cannot be undone", "--yes")
        person = Terminal([self.bin, "gone", "south"], self.env("ops"))
        report.check("gone: a person is asked", person.until(b"Type yes to do it: "), person.seen)
        person.type(b"no\n")
        report.equal("gone: and may say no", (person.end(), self.house.agent("south") is None), (1, False))
        person = Terminal([self.bin, "gone", "south"], self.env("ops"))
        person.until(b"Type yes to do it: ")
        person.type(b"yes\n")
        report.equal("gone: or yes", person.end(), 0)
        report.check("gone: then it is", wait(lambda: self.house.agent("south") is None, LIMIT_S))
        status, _, err = self.tepui("drain", "west", "--gone")
        report.check("drain --gone: refused where nobody can be asked, without --yes", status == 2 and "add --yes" in err, (status, err))
        status, out, err = self.tepui("drain", "west", "--gone", "--wait", "--yes")
        report.check("drain --gone --wait: follows until it is gone", status == 0 and "is gone" in out and self.house.agent("west") is None, (status, out, err))
        self.refused("an agent that is gone", ["gone", "west", "--yes"], "no agent is called 'west'")
        lost = self.house.agent("north")["id"]
        self.house.agents[0].pause()
        try:
            report.need("an agent that is silent is unreachable", wait(lambda: self.house.agent("north") is None, LIMIT_S))
            self.refused("an unreachable agent is shown as such", ["gone", "nowhere"], f"there are {lost} (unreachable)")
            self.done("gone: an unreachable agent", ["gone", lost.rpartition("-")[2], "--yes"], f"agent {lost} (unreachable) is gone")
        finally:
            self.house.agents[0].resume()

    def quota(self):
        report.equal("quota: there is none", self.tepui("quota")[1][:20], "no role has quota; `")
        self.done("quota set", ["quota", "set", "web", "--guarantee", "cpus:1;mem:64", "--limit", "cpus:4"], "role web: cpus:1;mem:64 guaranteed, cpus:4 at most")
        found = [row[:3] for row in self.table("quota")]
        report.equal("quota: a row a role", found, [["web", "cpus:1;mem:64", "cpus:4"]])
        shown = self.objects("quota", "web")[0]["quota"]
        report.equal("quota --json", (shown["guarantee"], shown["limit"]), ({"cpus": 1.0, "mem": 64.0}, {"cpus": 4.0}))
        report.check("quota: what is consumed is shown", shown["consumed"].get("cpus", 0) > 0, shown)
        self.refused("more than the cluster has", ["quota", "set", "big", "--guarantee", "cpus:1000"], "cannot set the quota of role big", "exceed cluster capacity")
        self.done("quota set --force", ["quota", "set", "big", "--guarantee", "cpus:1000", "--force"], "role big: cpus:1000 guaranteed, no limit")
        for role in ("big", "web"):
            self.done("quota remove", ["quota", "remove", role], f"role {role} has no quota")
        report.equal("quota: then there is none", self.objects("quota"), [])
        self.refused("amounts that are none", ["quota", "set", "web", "--limit", "many"], "--limit many", "cpus:4;mem:512")
        self.refused("quota of nothing", ["quota", "set", "web"], "--guarantee", "--limit")

    def weights(self):
        report.check("weights: all are alike", self.tepui("weights")[1].startswith("all roles have weight 1; "))
        status, out, err = self.tepui("weights", "set", "web=2.5", "db=1")
        report.equal("weights set", (status, out, err), (0, "role web has weight 2.5\nrole db has weight 1\n", ""))
        self.done("weights set: others stay", ["weights", "set", "db=3"], "role db has weight 3")
        report.equal("weights: a row a role", self.table("weights"), [["db", "3"], ["web", "2.5"]])
        report.equal("weights --json", self.objects("weights"), [{"role": "db", "weight": 3.0}, {"role": "web", "weight": 2.5}])
        self.refused("a weight of nothing", ["weights", "set", "web=0"], "'web=0': expected", "above 0")

    def maintenance(self):
        def rows():
            return [(row[0], row[2]) for row in self.table("maintenance")]
        self.done("maintenance schedule", ["maintenance", "schedule", "south", "--start", "+1h", "--duration", "2h"], "for 2 h: south/127.0.0.1")
        self.done("maintenance schedule: a machine without agents", ["maintenance", "schedule", "far/10.9.8.7", "--start", "2100-01-31T02:00:00Z"], "scheduled from 2100-01-31 02:00:00 UTC: far/10.9.8.7")
        self.done("maintenance schedule: by an agent's id", ["maintenance", "schedule", self.house.agent("north")["id"], "--start", "now"], "north/127.0.0.1")
        report.equal("maintenance: all windows stand", rows(), [("south", "draining"), ("far", "draining"), ("north", "draining")])
        self.done("maintenance cancel", ["maintenance", "cancel", "north", "far"], "not scheduled any more: north/127.0.0.1, far/10.9.8.7")
        found = self.objects("maintenance")
        report.equal("maintenance --json: the others stay as they were", [(it["hostname"], it["ip"], it["mode"], it["duration_secs"]) for it in found], [("south", "127.0.0.1", "DRAINING", 7200.0)])
        self.refused("a machine that is not scheduled", ["maintenance", "down", "north"], "machine north/127.0.0.1 is not scheduled", "tepui maintenance schedule")
        self.refused("a machine that is not down", ["maintenance", "up", "south"], "cannot bring south/127.0.0.1 up", "DOWN")
        self.refused("an address that three have", ["maintenance", "schedule", "127.0.0.1", "--start", "now"], "may be any of 3 machines")
        self.refused("an unknown machine", ["maintenance", "schedule", "nowhere", "--start", "now"], "no machine is called 'nowhere'", "HOST/ADDRESS")
        self.refused("a time that is none", ["maintenance", "schedule", "south", "--start", "tomorrow"], "--start tomorrow", "expected now")
        self.done("maintenance down", ["maintenance", "down", "south"], "down, their agents are shut down: south/127.0.0.1")
        report.equal("maintenance: it is down", rows(), [("south", "down")])
        report.check("and its agent has ended", wait(lambda: self.house.agent("south") is None and not self.house.agents[1].running(), LIMIT_S))
        self.done("maintenance up", ["maintenance", "up", "south"], "up, and not scheduled any more: south/127.0.0.1")
        self.house.agents[1].start()
        report.check("and its agent is let in again", wait(lambda: self.house.agent("south"), LIMIT_S))
        report.check("maintenance: nothing is left", self.tepui("maintenance")[1].startswith("no machine is scheduled or down; "))

    def teardown(self):
        other = Scheduler(self.house.address, "doomed").subscribe()
        self.refused("teardown, where nobody can be asked", ["teardown", "doomed"], "framework", other.id, "--yes")
        self.done("teardown", ["teardown", "doomed", "--yes"], f"framework {other.id} (doomed) has ended")
        ended = [it["id"] for it in self.house.get("/frameworks")["completed_frameworks"]]
        report.equal("the framework has ended", ended, [other.id])
        self.refused("a framework that has ended", ["teardown", other.id, "--yes"], "no framework is called", f"{self.framework.id} (operated)")
        other.close()

    def refusals(self):
        for words in (["drain", "north"], ["deactivate", "north"], ["reactivate", "north"], ["gone", "north", "--yes"], ["quota", "set", "web", "--limit", "cpus:1"],
                      ["quota", "remove", "web"], ["weights", "set", "web=2"], ["maintenance", "schedule", "north", "--start", "now"],
                      ["teardown", "operated", "--yes"]):
            self.refused(f"{words[0]}: eve may not", words, "cannot ", "who calls may not", "403", status=77, who="eve")
        self.refused("nobody is asked who calls", ["drain", "north"], "the master asks who calls", status=77, who=None)
        nowhere = f"127.0.0.1:{free_ranges(1, 1)[0]}"
        for words in (["drain", "north"], ["gone", "north"], ["quota"], ["quota", "set", "web", "--limit", "cpus:1"], ["weights"], ["maintenance"],
                      ["maintenance", "down", "north"], ["teardown", "operated", "--yes"]):
            self.refused(f"{' '.join(words)}: where no master is", [*words, "--master", nowhere], nowhere, status=69)
        self.refused("quota: --master before set too", ["quota", "--master", nowhere, "set", "web", "--limit", "cpus:1"], nowhere, status=69)
        for words in (["drain"], ["gone"], ["quota", "set"], ["weights", "set"], ["maintenance", "schedule", "north"], ["maintenance", "sideways"], ["teardown"]):
            self.refused(f"{' '.join(words)}: wrong usage", words, "--help")


def main():
    with Cluster() as house:
        checks = Checks(house)
        report.run(checks.names, checks.agents, checks.quota, checks.weights, checks.refusals, checks.maintenance, checks.teardown, checks.gone)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
