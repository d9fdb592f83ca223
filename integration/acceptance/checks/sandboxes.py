#!/usr/bin/env python3
"""sandboxes.py: old sandboxes go, output stays within its bound, and who writes more than its disk is killed; an agent
takes more resources at its restart where that is permitted, or cleans up what it finds.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, alive, get, post, request  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import scalars  # noqa: E402
from sandbox import Sandboxes  # noqa: E402
from scheduler import Scheduler, shell, task  # noqa: E402
from tepui_command import tepui  # noqa: E402

LIMIT_S = 60
MEGABYTE = 1 << 20
BOUND = MEGABYTE
report = Report()


class Checks(Sandboxes):
    def __init__(self, house):
        self.house, self.agent = house, house.agents[0]
        self.command = self.agent.command
        self.framework = Scheduler(house.address, "sandboxes", failover_timeout=600)

    def restart(self, *flags):
        """The agent again, killed by SIGKILL, with these flags behind its own."""
        self.agent.kill()
        self.agent.command = self.command + list(flags)
        self.agent.start()
        report.need("the agent is back", wait(lambda: get(self.agent.port, "/state")["id"] and self.house.active_agents() == 1, LIMIT_S), self.agent.log_tail())

    def launch(self, task_id, command, state="TASK_RUNNING", env=None, resources=()):
        offer = self.framework.wait_offer(cpus=0.1, mem=32, limit_s=LIMIT_S)
        made = {**task(task_id, offer, ""), "command": shell(command, **(env or {}))}
        made["resources"] += resources
        self.framework.launch(offer, [made])
        return self.framework.wait_state(task_id, state, limit_s=LIMIT_S)

    # Output

    def plain(self):
        """Unless told otherwise a task writes its files itself."""
        self.framework.subscribe()
        self.launch("plain", "echo hello; exec sleep 1000")
        sandbox = self.sandbox("plain")
        pid = next(r["executor_pid"] for r in get(self.agent.port, "/containers") for r in [r["status"]])
        report.equal("without a bound a task writes its file itself", os.path.realpath(f"/proc/{pid}/fd/1"), os.path.join(os.path.realpath(sandbox), "stdout"))
        self.framework.end("plain", limit_s=LIMIT_S)

    def sizes(self, sandbox):
        found = {}
        for name in os.listdir(sandbox):
            try:
                found[name] = os.stat(os.path.join(sandbox, name))
            except FileNotFoundError:
                pass  # it has just got another name
        return found

    def bounded(self):
        self.restart("--container-logger", f"logrotate=max_stdout_size:{BOUND // MEGABYTE}MB;max_stderr_size:64KB")
        report.equal("the agent shows its logger", get(self.agent.port, "/flags")["flags"]["container_logger"].split(";")[:2],
                     ["logrotate=max_stdout_size:1MB", "max_stderr_size:64KB"])
        self.launch("ends", "seq 1 1000000; seq 1 100000 >&2", "TASK_FINISHED")
        sandbox = self.sandbox("ends")
        sizes = {name: found.st_size for name, found in self.sizes(sandbox).items()}
        report.check("a task's files are within their bounds, and full to the byte", sizes["stdout.1"] == BOUND and sizes["stdout"] <= BOUND
                     and sizes["stderr.1"] == 65536 and sizes["stderr"] <= 65536 and len(sizes) == 4, sizes)
        said = "".join(f"{number}\n" for number in range(1, 1000001))
        kept = "".join(open(os.path.join(sandbox, name), encoding="ascii").read() for name in ("stdout.1", "stdout"))
        report.check("what is kept is the end of what it said, without a gap", said.endswith(kept) and len(kept) > BOUND)

    def run_follows(self):
        """`tepui run` shows all of an output that outgrows its bound, as long as it reads faster than that is written."""
        script = 'for burst in 1 2 3; do seq "${burst}00000" "${burst}99999"; sleep 2; done'
        self.framework.decline(self.framework.wait_offer(limit_s=LIMIT_S))
        code, out, err = tepui("run", "--master", self.house.address, "--", "sh", "-c", script)
        said = "".join(f"{number}\n" for burst in (1, 2, 3) for number in range(burst * 100000, (burst + 1) * 100000))
        self.framework.call("REVIVE")
        report.check("run: nothing is lost where the file begins anew", code == 0 and out == said and not err,
                     (code, len(out), len(said), err[:300]))

    def own_bound(self):
        env = {"CONTAINER_LOGGER_MAX_STDOUT_SIZE": "8KB", "CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS": "rotate 3"}
        self.launch("own", "seq 1 100000", "TASK_FINISHED", env)
        sizes = {name: found.st_size for name, found in self.sizes(self.sandbox("own")).items()}
        expected = {f"stdout.{number}": 8192 for number in (1, 2, 3)}
        report.check("a task may have a bound of its own", {n: s for n, s in sizes.items() if "." in n} == expected and sizes["stdout"] <= 8192, sizes)
        wrong = self.launch("wrong", "true", "TASK_FAILED", {"CONTAINER_LOGGER_MAX_STDOUT_SIZE": "little"})
        report.check("one that is none is told", "container logger settings: max_stdout_size" in wrong["message"], wrong["message"])

    def flood(self):
        """As fast as it can, while the agent is killed and comes back."""
        self.launch("flood", "exec cat /dev/zero")
        sandbox = self.sandbox("flood")
        pid = get(self.agent.port, "/containers")[0]["status"]["executor_pid"]
        most, files = 0, set()

        def look():
            nonlocal most
            for name, found in self.sizes(sandbox).items():
                most = max(most, found.st_size)
                files.add((found.st_ino, found.st_mtime_ns) if name == "stdout.1" else None)
            return len(files) > wanted
        wanted = 30
        report.check("the files of a writer without end change places", wait(look, LIMIT_S, 0.001), len(files))
        self.agent.kill()
        wanted = len(files) + 30
        report.check("they go on while there is no agent", wait(look, LIMIT_S, 0.001), len(files))
        self.agent.start()
        report.check("the agent is back", wait(lambda: self.framework.reconcile(["flood"]) == {"flood": "TASK_RUNNING"}, LIMIT_S), self.agent.log_tail())
        report.equal("the task is the same process", wait(lambda: get(self.agent.port, "/containers")[0]["status"]["executor_pid"], LIMIT_S), pid)
        wanted = len(files) + 30
        report.check("they go on after that", wait(look, LIMIT_S, 0.001), len(files))
        report.check("no file ever had more than its bound", 0 < most <= BOUND, most)
        self.framework.end("flood", limit_s=LIMIT_S)

    # Disk

    def quota(self):
        self.restart("--enforce-container-disk-quota", "--container-disk-watch-interval", "1secs")
        flags = get(self.agent.port, "/flags")["flags"]
        report.equal("the agent shows how disks are watched", [flags[n] for n in ("enforce_container_disk_quota", "container_disk_watch_interval")], ["true", "1secs"])
        disk = scalars(disk=16.0)
        self.launch("small", "dd if=/dev/zero of=some bs=1M count=4 && exec sleep 1000", resources=disk)
        self.launch("big", "dd if=/dev/zero of=much bs=1M count=40 && exec sleep 1000", resources=disk)
        ended = self.framework.wait_state("big", "TASK_FAILED", limit_s=LIMIT_S)
        report.equal("who writes more than its disk fails for that", ended["reason"], "REASON_CONTAINER_LIMITATION_DISK")
        report.check("it is told how much it had", re.fullmatch(r"Disk usage \(\d+[KM]?B\) exceeds quota \(16MB\)", ended["message"]), ended["message"])
        limited = [(r["name"], r["scalar"]["value"]) for r in ended["limitation"]["resources"]]
        report.equal("and what it may have", limited, [("disk", 16.0)])

        def measured():
            found = get(self.agent.port, "/monitor/statistics")
            found = next((r["statistics"] for r in found if r["executor_id"] == "small"), {})
            return found if found.get("disk_used_bytes", 0) >= 4 * MEGABYTE else None
        statistics = wait(measured, LIMIT_S) or {}
        report.equal("the limit of one that writes less is shown", statistics.get("disk_limit_bytes"), 16 * MEGABYTE)
        report.check("and what it takes", 4 * MEGABYTE <= statistics.get("disk_used_bytes", 0) < 5 * MEGABYTE, statistics)
        report.equal("it runs on", self.framework.reconcile(["small"]), {"small": "TASK_RUNNING"})
        self.framework.end("small", limit_s=LIMIT_S)

    # Old sandboxes

    def old_ones_go(self):
        self.launch("stays", "exec sleep 1000")
        self.launch("goes", "true", "TASK_FINISHED")
        alone = {"container_id": {"value": "alone"}, "command": {"value": "true"}}
        status, _, body = request(self.agent.port, "POST", "/api/v1", *self.call("LAUNCH_CONTAINER", launch_container=alone))
        report.equal("a container stands alone", (status, body), (200, b""))
        directory = os.path.join(self.house.path("agent0"), "containers", "alone")
        post(self.agent.port, {"type": "WAIT_CONTAINER", "wait_container": {"container_id": {"value": "alone"}}})
        quick = ["--gc-delay", "1secs", "--disk-watch-interval", "1secs"]
        self.restart(*quick)
        flags = get(self.agent.port, "/flags")["flags"]
        report.equal("the agent shows when they go", [flags[n] for n in ("gc_delay", "gc_disk_headroom", "disk_watch_interval", "gc_non_executor_container_sandboxes")],
                     ["1secs", "0.1", "1secs", "false"])
        report.check("the sandbox of a task that has ended goes", wait(lambda: self.sandbox("goes") is None, LIMIT_S), self.agent.log_tail())
        report.check("that of one that runs stays", self.sandbox("stays") and os.path.exists(os.path.join(self.sandbox("stays"), "stdout")))
        report.check("that of a container that stood alone stays", os.path.isdir(directory))
        self.restart(*quick, "--gc-non-executor-container-sandboxes")
        report.check("and goes where the flag says so", wait(lambda: not os.path.exists(directory), LIMIT_S), self.agent.log_tail())
        report.check("still that of one that runs stays", os.path.exists(os.path.join(self.sandbox("stays"), "stdout")))
        self.framework.end("stays", limit_s=LIMIT_S)

    # What an agent finds

    def more(self):
        """More resources leave an agent the one it was, where that is permitted."""
        self.restart()
        self.launch("kept", "exec sleep 1000")
        agent = get(self.agent.port, "/state")["id"]
        at = self.command.index("--resources") + 1
        self.command = [*self.command[:at], "cpus:3;mem:2048;disk:1000;ports:[31000-31100]", *self.command[at + 1:]]
        self.agent.kill()
        self.agent.command = self.command
        self.agent.start()
        report.check("an agent with other resources does not start", wait(lambda: not self.agent.running(), LIMIT_S))
        log = self.agent.log_tail(3)
        report.check("it says why, and what to do", "the agent's resources changed since it was registered" in log and "--recover=cleanup" in log, log)
        self.restart("--reconfiguration-policy", "additive")
        report.equal("where additions are permitted it is the same agent", get(self.agent.port, "/state")["id"], agent)
        report.equal("its task runs on", self.framework.reconcile(["kept"]), {"kept": "TASK_RUNNING"})
        total = wait(lambda: self.house.get("/slaves")["slaves"][0]["resources"]["cpus"] == 3.0, LIMIT_S)
        report.check("the master knows of what it has more", total, self.house.get("/slaves")["slaves"])
        offer = self.framework.wait_offer(cpus=2.5, limit_s=LIMIT_S)
        report.check("and offers it", offer)
        self.framework.decline(offer, 0.1)

    def cleanup(self):
        pid = get(self.agent.port, "/containers")[0]["status"]["executor_pid"]
        self.agent.kill()
        self.agent.command = self.command + ["--recover=cleanup"]
        self.agent.start()
        report.check("an agent that cleans up ends", wait(lambda: not self.agent.running(), LIMIT_S), self.agent.log_tail())
        report.equal("without an error", self.agent.process.returncode, 0)
        report.check("and with it what it found", not alive(pid))
        before = self.house.get("/slaves")["slaves"][0]["id"]
        self.agent.command = self.command
        self.agent.start()
        report.check("its next start is a new agent", wait(lambda: get(self.agent.port, "/state").get("id") not in (None, "", before), LIMIT_S), self.agent.log_tail())

    @staticmethod
    def call(kind, **body):
        return json.dumps({"type": kind, **body}), {"Content-Type": "application/json", "Accept": "application/json"}


def main():
    with House(resources="cpus:2;mem:2048;disk:1000;ports:[31000-31100]") as house:
        checks = Checks(house)
        report.run(checks.plain)
        if not report.failed:
            report.run(checks.bounded, checks.run_follows, checks.own_bound, checks.flood, checks.quota, checks.old_ones_go, checks.more, checks.cleanup)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
