#!/usr/bin/env python3
"""masters_group.py: three masters, two agents, ten running tasks. The leader is killed three times, then stopped and continued, and then alone:
another one leads within seconds, nothing acknowledged is lost, no task is lost or doubled, and the old leader has no effect.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import http.client
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, alive, get, post, request  # noqa: E402
from pid_files import pids_of  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

TASKS = [f"long-{number}" for number in range(10)]
ROUNDS = 3
BUSY_WRITES = 20
LEADER_LIMIT_S = 5
HEAL_LIMIT_S = 15
report = Report()


def address(master):
    return f"127.0.0.1:{master.port}"


def weights(master):
    return {w["role"]: w["weight"] for w in post(master.port, {"type": "GET_WEIGHTS"})["get_weights"].get("weight_infos", [])}


def set_weight(role, weight):
    return {"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": role, "weight": weight}]}}


def acknowledged(master, role, weight):
    """Whether the master answered that the weight is set."""
    status, _, _ = request(master.port, "POST", "/api/v1", json.dumps(set_weight(role, weight)), {"Content-Type": "application/json"})
    return status == 200


def redirects_to(master, leader):
    """Whether a follower shows the way as Mesos does."""
    status, headers, _ = request(master.port, "GET", "/state?jsonp=x")
    root, root_headers, _ = request(master.port, "GET", "/redirect")
    return (status, headers["Location"], root, root_headers["Location"]) == (
        307, f"//{address(leader)}/state?jsonp=x", 307, f"//{address(leader)}")


class Checks:
    def __init__(self, house):
        self.house = house
        self.leader = house.leader(house.masters)
        self.framework = Scheduler(address(self.leader), "survivor", failover_timeout=600)
        self.set = {}

    def command(self, name):
        """Notes its pid each time it is started."""
        return f"echo $$ >> {self.house.path(name)}.pids; while :; do sleep 0.3; done"

    def all_pids(self):
        return {name: pids_of(self.house, name) for name in TASKS}

    def others(self):
        return [master for master in self.house.masters if master is not self.leader]

    def ten_run(self):
        for master in self.others():
            report.check("a follower redirects to the leader", wait(lambda m=master: redirects_to(m, self.leader), LEADER_LIMIT_S))
        known = [get(master.port, "/tepui/v1/leader") for master in self.house.masters]
        report.check("every master names the same leader, bridge, term and cluster",
                     all({**one, "version": 0} == {**known[0], "version": 0} for one in known) and known[0]["cluster_id"], known)
        self.framework.subscribe()
        for half in (TASKS[:5], TASKS[5:]):
            offer = self.framework.wait_offer(cpus=4)
            self.framework.launch(offer, [task(name, offer, self.command(name)) for name in half], refuse_seconds=0.1)
            for name in half:
                self.framework.wait_state(name, "TASK_RUNNING")
        wait(lambda: all(pids_of(self.house, name) for name in TASKS), 5)
        self.started = self.all_pids()
        report.need("ten tasks run on two agents, each started once", all(len(p) == 1 and alive(p[0]) for p in self.started.values()), self.started)

    def write(self, role):
        self.set[role] = float(len(self.set) + 2)
        report.need(f"a write is acknowledged: weight of {role}", acknowledged(self.leader, role, self.set[role]))

    def write_until_it_dies(self, leader, number):
        """One write after the other; each that was acknowledged has to be there afterwards."""
        count = 0
        while True:
            role = f"busy-{number}-{count}"
            count += 1
            try:
                if acknowledged(leader, role, 3.0):
                    self.set[role] = 3.0
            except (OSError, http.client.HTTPException):
                return

    def next_leader(self, when, since):
        """Waits until the others have a leader of their own; the seconds it took."""
        others = self.others()
        found = wait(lambda: self.house.leader(others), LEADER_LIMIT_S)
        took = time.monotonic() - since
        report.need(f"{when}: another master leads within {LEADER_LIMIT_S} s", found, "".join(m.log_tail() for m in others))
        self.leader = found
        return took

    def healed(self, when, since):
        """Agents, framework and tasks are back at the new leader."""
        self.framework.address = address(self.leader)
        self.framework.subscribe()
        back = wait(lambda: sum(a["active"] for a in get(self.leader.port, "/slaves")["slaves"]) == 2, HEAL_LIMIT_S)
        agents_s = time.monotonic() - since
        report.need(f"{when}: both agents are back", back, self.house.agents[0].log_tail())
        offer = self.framework.wait_offer(cpus=0.5)
        offers_s = time.monotonic() - since
        self.framework.decline(offer, 0.1)
        report.equal(f"{when}: RECONCILE says all ten run", self.framework.reconcile(TASKS), dict.fromkeys(TASKS, "TASK_RUNNING"))
        listed = [(t["id"], t["state"]) for t in get(self.leader.port, "/tasks")["tasks"]]
        report.equal(f"{when}: /tasks lists each of the ten once", sorted(listed), [(name, "TASK_RUNNING") for name in TASKS])
        now = self.all_pids()
        report.equal(f"{when}: the same ten processes live", {n: p for n, p in now.items() if len(p) == 1 and alive(p[0])}, self.started)
        report.equal(f"{when}: all acknowledged writes are there", {r: w for r, w in weights(self.leader).items() if r in self.set}, self.set)
        return agents_s, offers_s

    def killed(self, number):
        when = f"round {number}"
        self.write(f"round-{number}")
        old = self.leader
        term = get(old.port, "/tepui/v1/leader")["term"]
        before = len(self.set)
        writer = threading.Thread(target=self.write_until_it_dies, args=(old, number))
        writer.start()
        wait(lambda: len(self.set) >= before + BUSY_WRITES, LEADER_LIMIT_S)
        old.kill()
        since = time.monotonic()
        writer.join()
        busy = len(self.set) - before
        report.check(f"{when}: the leader was killed while it acknowledged writes", busy >= BUSY_WRITES, busy)
        gap = self.next_leader(when, since)
        report.check(f"{when}: the stream of the old leader has ended", wait(lambda: self.framework.ended, 5))
        agents_s, offers_s = self.healed(when, since)
        report.check(f"{when}: the term is higher", get(self.leader.port, "/tepui/v1/leader")["term"] > term)
        self.write(f"round-{number}-after")
        print(f"     {when}: another master led after {gap * 1000:.0f} ms, agents were back after {agents_s * 1000:.0f} ms, "
              f"offers came after {offers_s * 1000:.0f} ms; {busy} writes were acknowledged until the kill", flush=True)
        old.start()
        for master in self.others():
            report.check(f"{when}: {'the restarted master' if master is old else 'the other follower'} redirects to the leader",
                         wait(lambda m=master: redirects_to(m, self.leader), HEAL_LIMIT_S), master.log_tail())

    def three_rounds(self):
        for number in range(1, ROUNDS + 1):
            self.killed(number)

    def stopped_and_continued(self):
        when = "SIGSTOP"
        old = self.leader
        self.write("before-the-stop")
        watcher = Scheduler(address(old), "left-behind", failover_timeout=600)
        watcher.subscribe()
        before = get(old.port, "/tepui/v1/leader")["term"]
        old.pause()
        since = time.monotonic()
        # The kernel takes it; the master will read it when it is continued.
        late = socket.create_connection(("127.0.0.1", old.port), timeout=HEAL_LIMIT_S)
        body = json.dumps(set_weight("stale", 9.0))
        late.sendall(f"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        gap = self.next_leader(when, since)
        agents_s, offers_s = self.healed(when, since)
        print(f"     {when}: another master led after {gap * 1000:.0f} ms, agents were back after {agents_s * 1000:.0f} ms, "
              f"offers came after {offers_s * 1000:.0f} ms", flush=True)
        told = len(watcher.events)
        old.resume()
        answer = late.recv(4096).decode(errors="replace")
        late.close()
        report.check("the continued master sends the waiting call to the leader, or says that there is none",
                     answer.startswith(("HTTP/1.1 307", "HTTP/1.1 503 ")), answer)
        report.check("the stream it had open ends", wait(lambda: watcher.ended, 5))
        late_events = [event["type"] for event in watcher.events[told:] if event["type"] != "HEARTBEAT"]
        report.equal("and carried nothing any more", late_events, [])
        report.check("the continued master follows", wait(lambda: redirects_to(old, self.leader), HEAL_LIMIT_S), old.log_tail())
        report.check("the new leader still leads", self.house.leader(self.house.masters) is self.leader)
        report.check("its call had no effect", "stale" not in weights(self.leader), weights(self.leader))
        report.check("the term is higher", get(self.leader.port, "/tepui/v1/leader")["term"] > before)
        self.healed("SIGCONT", time.monotonic())
        self.write("after-the-stop")
        watcher.close()

    def majority_lost(self):
        """One of three is left: it decides nothing, and what runs runs on."""
        when = "majority lost"
        left, gone = self.leader, self.others()
        for master in gone:
            master.kill()
        since = time.monotonic()
        silent = wait(lambda: request(left.port, "GET", "/tepui/v1/leader")[0] == 503, LEADER_LIMIT_S)
        report.check(f"{when}: the master that is left leads no more", silent, left.log_tail())
        status, _, body = request(left.port, "POST", "/api/v1", json.dumps(set_weight("minority", 7.0)), {"Content-Type": "application/json"})
        report.equal(f"{when}: it takes no write", (status, body), (503, b"No leader elected"))
        report.equal(f"{when}: the same ten processes live", {n: p for n, p in self.all_pids().items() if alive(p[0])}, self.started)
        for master in gone:
            master.start()
        self.leader = wait(lambda: self.house.leader(self.house.masters), HEAL_LIMIT_S)
        report.need(f"{when}: with the others back one leads", self.leader, left.log_tail())
        self.healed(when, since)
        report.check(f"{when}: what was refused had no effect", "minority" not in weights(self.leader), weights(self.leader))
        self.write("after-the-majority")

    def strangers(self):
        """A master with another disk under a known name, and one of another group, are refused with a text."""
        follower = self.others()[0]
        name = next(word for at, word in enumerate(follower.command) if follower.command[at - 1] == "--name")
        follower.stop()
        os.rename(self.house.path(name), self.house.path("kept"))
        follower.start()
        told = wait(lambda: "comes with another disk" in follower.log_tail(50), HEAL_LIMIT_S)
        report.check("a wiped master is refused and told why", told, follower.log_tail())
        status, _, body = request(follower.port, "GET", "/state")
        report.equal("and leads nobody", (status, body), (503, b"No leader elected"))
        follower.stop()
        os.rename(self.house.path(name), self.house.path("wiped"))
        os.rename(self.house.path("kept"), self.house.path(name))
        follower.start()
        report.check("with its directory back it follows", wait(lambda: redirects_to(follower, self.leader), HEAL_LIMIT_S), follower.log_tail())

    def handed_over(self):
        """A leader that is asked to end gives the lead away first."""
        old = self.leader
        old.stop()
        since = time.monotonic()
        gap = self.next_leader("SIGTERM", since)
        print(f"     SIGTERM: another master led {gap * 1000:.0f} ms after the old one had ended", flush=True)
        self.healed("SIGTERM", since)
        self.framework.teardown()


def main():
    with House(agents=2, resources="cpus:4.5;mem:4096;disk:1000;ports:[31000-32000]", masters=3) as house:
        checks = Checks(house)
        report.run(checks.ten_run)
        if not report.failed:
            report.run(checks.three_rounds, checks.stopped_and_continued, checks.majority_lost, checks.strangers, checks.handed_over)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
