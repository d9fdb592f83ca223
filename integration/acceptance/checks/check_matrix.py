#!/usr/bin/env python3
"""check_matrix.py: checks and health checks of each kind, once with command tasks and once with tasks of groups, on real processes.

Wants TEPUI_BIN, and openssl for a certificate. Ends with 0 or 1. What each kind tells, and tells again to who asks; that commands see the task's
variables and directory; timeouts; a check beside a health check; HTTPS with a certificate of nobody; servers within images.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from containers import boxed  # noqa: E402
from daemons import House  # noqa: E402
from free_port import free_ranges  # noqa: E402
from image_maker import Image, busybox  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, shell, task  # noqa: E402

LIMIT_S = 30
OFTEN = {"delay_seconds": 0, "interval_seconds": 0.2}
QUICK = {**OFTEN, "grace_period_seconds": 0, "consecutive_failures": 1000}
HEALTH, CHECK, ASKED = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED", "REASON_TASK_CHECK_STATUS_UPDATED", "REASON_RECONCILIATION"
SERVER = "exec python3 -m http.server --bind 127.0.0.1 {}"
report = Report()


class Checks:
    """Each on an executor of one kind; names of tasks begin with it."""

    def __init__(self, house, framework, kind):
        self.house, self.framework, self.kind = house, framework, kind

    def name(self, name):
        return f"{self.kind}-{name}"

    def launch(self, *infos):
        """Starts tasks together; `infos` are (name, command, more)."""
        offer = self.framework.wait_offer(cpus=1, mem=256, limit_s=LIMIT_S)
        tasks = [{**task(self.name(name), offer, command), **more} for name, command, more in infos]
        if self.kind == "command":
            self.framework.launch(offer, tasks)
        else:
            executor = self.framework.default_executor(f"of-{tasks[0]['name']}")
            self.framework.launch_group(offer, executor, tasks)
        for info in tasks:
            self.framework.wait_state(info["name"], "TASK_RUNNING", limit_s=LIMIT_S)

    def told(self, name, *reasons):
        return [s for s in self.framework.updates_of(self.name(name)) if s.get("reason") in reasons]

    def wait_told(self, name, reason, test):
        return self.framework.wait(lambda: next((s for s in self.told(name, reason) if test(s)), None), LIMIT_S, f"{reason} of {self.name(name)}")

    def asked(self, name):
        """What RECONCILE says of the task."""
        self.framework.reconcile([self.name(name)])
        return self.told(name, ASKED)[-1]

    def end(self, *names):
        self.framework.end(*map(self.name, names), limit_s=LIMIT_S)

    def equal(self, what, got, wanted):
        report.equal(f"{self.kind}: {what}", got, wanted)

    def by_command(self):
        """Variables and directory are the task's, and each change is told, back to what it was before too."""
        # The task may begin after its first check: that one waits for it.
        script = "while ! test -f here; do sleep 0.1; done; echo >> runs; test -f flag && exit 3; test $COLOUR = blue && exit 7"
        check = {"type": "COMMAND", "command": {"command": shell(script)}, **OFTEN}
        info = {"check": check, "command": shell("touch here; exec sleep 600", COLOUR="blue")}
        self.launch(("codes", "", info))

        def codes():
            """Of each update once: one whose acknowledgement is late comes again with its uuid."""
            return list({s["uuid"]: s["check_status"]["command"].get("exit_code") for s in self.told("codes", CHECK)}.values())

        def runs():
            with open(self.within("codes", "runs"), encoding="ascii") as file:
                return len(file.readlines())

        def changed_to(code):
            """It was told, and some more runs with the same result were made."""
            self.framework.wait(lambda: codes()[-1:] == [code], LIMIT_S, f"exit code {code}, but {codes()}")
            since = runs()
            report.need(f"{self.kind}: a check of {code} goes on", wait(lambda: runs() >= since + 3, LIMIT_S), (since, runs()))

        changed_to(7)
        self.equal("a check's command has the task's variables and its directory", True, True)
        self.equal("who asks is told the last result", self.asked("codes")["check_status"], {"type": "COMMAND", "command": {"exit_code": 7}})
        with open(self.within("codes", "flag"), "w", encoding="ascii"):
            pass
        changed_to(3)
        os.remove(self.within("codes", "flag"))
        changed_to(7)
        self.equal("a check tells each change once", codes(), [7, 3, 7])
        self.end("codes")

    def within(self, name, file):
        """The path of a file of the task's, which has one that is called `here`."""
        for top, _, files in os.walk(self.house.path("agent0")):
            # A task of a group is found by its link below the executor's.
            if "here" in files and (f"/executors/{self.name(name)}/" in top or f"/of-{self.name(name)}/" in top) and "/latest" not in top:
                return os.path.join(top, file)
        raise AssertionError(f"no directory of {name}")

    def timeout(self):
        check = {"type": "COMMAND", "command": {"command": shell("if test -f late; then sleep 600; fi; touch late")}, **OFTEN, "timeout_seconds": 0.5}
        self.launch(("slow", "exec sleep 600", {"check": check}))
        self.wait_told("slow", CHECK, lambda s: s["check_status"]["command"].get("exit_code") == 0)
        self.wait_told("slow", CHECK, lambda s: s["check_status"]["command"] == {})
        self.equal("a check over its time is told without a result", self.asked("slow")["check_status"], {"type": "COMMAND", "command": {}})
        self.end("slow")

    def both(self):
        info = {"check": {"type": "COMMAND", "command": {"command": shell("exit 1")}, **OFTEN},
                "health_check": {"type": "COMMAND", "command": {"shell": False, "value": "/bin/true", "arguments": ["true"]}, **QUICK}}
        self.launch(("both", "exec sleep 600", info))
        one = {"type": "COMMAND", "command": {"exit_code": 1}}
        self.framework.wait(lambda: next((s for s in self.told("both", CHECK, HEALTH) if s.get("healthy") and s.get("check_status") == one), None), LIMIT_S, "both results in one update")
        self.equal("check and health check stand side by side", True, True)
        said = self.asked("both")
        self.equal("for who asks too", (said.get("healthy"), said["check_status"]), (True, one))
        self.end("both")

    def by_network(self):
        """Several tasks at once, where there are groups in one."""
        port, free = free_ranges(1, 2)
        http = {"type": "HTTP", "http": {"port": port, "path": "/missing"}, **OFTEN}
        tcp = {"type": "TCP", "tcp": {"port": port}, **OFTEN}
        none = {"type": "TCP", "tcp": {"port": free}, **OFTEN}
        self.launch(("server", SERVER.format(port), {"check": http}), ("near", "exec sleep 600", {"check": tcp}), ("far", "exec sleep 600", {"check": none}))
        self.wait_told("server", CHECK, lambda s: s["check_status"]["http"].get("status_code") == 404)
        self.wait_told("near", CHECK, lambda s: s["check_status"]["tcp"].get("succeeded") is True)
        self.wait_told("far", CHECK, lambda s: s["check_status"]["tcp"].get("succeeded") is False)
        self.equal("HTTP tells the status of the answer", self.asked("server")["check_status"], {"type": "HTTP", "http": {"status_code": 404}})
        self.equal("TCP tells whether somebody listens", [self.asked(name)["check_status"]["tcp"] for name in ("near", "far")], [{"succeeded": True}, {"succeeded": False}])
        self.end("server", "near", "far")

    def by_https(self):
        port, = free_ranges(1, 1)
        folder = self.house.folder
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=elsewhere", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                       check=True, capture_output=True)
        os.chmod(f"{folder}/key.pem", 0o644)
        server = f"exec openssl s_server -quiet -www -accept 127.0.0.1:{port} -cert {folder}/cert.pem -key {folder}/key.pem"
        of = lambda scheme: {"type": "HTTP", "http": {"port": port, "scheme": scheme, "path": "/"}, **QUICK}  # noqa: E731
        self.launch(("tls", server, {"health_check": of("https")}))
        self.wait_told("tls", HEALTH, lambda s: s["healthy"] is True)
        self.launch(("plain", "exec sleep 600", {"health_check": of("http")}))
        self.wait_told("plain", HEALTH, lambda s: s["healthy"] is False)
        said = {name: self.asked(name).get("healthy") for name in ("tls", "plain")}
        ever = {s["healthy"] for s in self.told("plain", HEALTH)}
        self.equal("HTTPS is healthy, whose certificate it may be, and HTTP is not at the same port", (said, ever), ({"tls": True, "plain": False}, {False}))
        self.end("tls", "plain")

    def within_images(self):
        port, = free_ranges(1, 1)
        image = boxed()
        server = f"exec busybox httpd -f -p 127.0.0.1:{port} -h /etc"
        http = {"type": "HTTP", "http": {"port": port, "path": "/passwd"}, **QUICK}
        tcp = {"type": "TCP", "tcp": {"port": port}, **QUICK}
        command = {"type": "COMMAND", "command": shell("test -e /bin/busybox && test ! -e /usr/bin/openssl"), **QUICK}
        # Its files come from the machine, and are there within the image.
        with open(self.house.path("file"), "w", encoding="ascii") as file:
            file.write("fetched")
        fetched = {**shell("test $(cat file) = fetched && exec sleep 600"), "uris": [{"value": self.house.path("file"), "extract": False}]}
        self.launch(("fetched", "", {"command": fetched, "container": image}))
        self.end("fetched")
        report.check(f"{'a task' if self.kind == 'command' else 'a task of a group'} with an image has its files", True)
        self.launch(("imaged", server, {"container": image, "health_check": http}), ("beside", "exec sleep 600", {"container": image, "health_check": tcp}),
                    ("inside", "exec sleep 600", {"container": image, "health_check": command}))
        self.wait_told("inside", HEALTH, lambda s: s["healthy"] is True)
        self.equal("a command within an image is healthy", True, True)
        for name in ("imaged", "beside"):
            self.wait_told(name, HEALTH, lambda s: s["healthy"] is True)
        self.equal("a server within an image answers HTTP and TCP", True, True)
        self.end("imaged", "beside", "inside")


def main():
    house = House()
    images = house.path("images")
    os.makedirs(images)
    if os.geteuid() == 0:
        house.agents[0].command += ["--docker-registry", images]
        Image().layer(busybox()).save(os.path.join(images, "box:1.tar"), "box:1")
    with house:
        framework = Scheduler(house.address, "matrix", failover_timeout=60).subscribe()
        for kind in ("command", "group"):
            checks = Checks(house, framework, kind)
            report.run(checks.by_command, checks.timeout, checks.both, checks.by_network, checks.by_https)
            if os.geteuid() == 0:
                report.run(checks.within_images)
        framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
