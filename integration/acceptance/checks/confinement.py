#!/usr/bin/env python3
"""confinement.py: resource limits, capabilities and volumes of the host, of command tasks and of tasks of a group, on real processes.

Wants TEPUI_BIN. Ends with 0 or 1. What tasks have of them, that nothing of it is seen outside, and what is refused with which words.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House  # noqa: E402
from report import Report  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

report = Report()


class Checks:
    def __init__(self, house, framework):
        self.house, self.framework = house, framework
        self.host = house.path("host")
        os.makedirs(self.host)
        self.write("given", "of the host\n")

    def write(self, name, text):
        with open(os.path.join(self.host, name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        try:
            with open(os.path.join(self.host, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def volume(self, path="data", mode="RW", **more):
        return {"mode": mode, "container_path": path, **(more or {"host_path": self.host})}

    def run(self, name, command, state="TASK_FINISHED", **container):
        """Runs a task with a container of its own; gives its last status."""
        offer = self.framework.wait_offer(cpus=0.5, mem=64)
        self.framework.launch(offer, [{**task(name, offer, command), "container": {"type": "MESOS", **container}}])
        return self.framework.wait_state(name, state)

    def rlimits(self):
        limit = {"type": "RLMT_NOFILE", "soft": 100, "hard": 200}
        self.run("limited", "(ulimit -Sn; ulimit -Hn) > data/limits", rlimit_info={"rlimits": [limit]}, volumes=[self.volume()])
        report.equal("rlimits: soft and hard", self.read("limits"), "100\n200\n")
        failed = self.run("half", "true", "TASK_FAILED", rlimit_info={"rlimits": [{"type": "RLMT_NOFILE", "soft": 100}]})
        report.check("rlimits: one bound alone is refused", "Invalid rlimit values" in failed["message"], failed["message"])

    def capabilities(self):
        script = "grep -E '^Cap(Eff|Bnd)' /proc/self/status > data/caps; chown 1:1 data/caps; mknod data/node c 1 3 || echo none > data/node"
        kept = {"capabilities": ["CHOWN", "DAC_OVERRIDE"]}
        self.run("bound", script, linux_info={"effective_capabilities": kept}, volumes=[self.volume()])
        report.equal("capabilities: these and no others", self.read("caps"), "CapEff:\t0000000000000003\nCapBnd:\t0000000000000003\n")
        report.equal("capabilities: what is kept works", os.stat(os.path.join(self.host, "caps")).st_uid, 1)
        report.equal("capabilities: what is taken does not", self.read("node"), "none\n")
        beyond = {"effective_capabilities": {"capabilities": ["CHOWN"]}, "bounding_capabilities": {"capabilities": ["KILL"]}}
        failed = self.run("beyond", "true", "TASK_FAILED", linux_info=beyond)
        report.check("capabilities: beyond the bounding set is refused", "bounding" in failed["message"], failed["message"])

    def volumes(self):
        script = "cat data/given fixed/given one/file > data/seen; touch fixed/new || echo read-only >> data/seen; echo x > own/kept; cp shown/kept data/own"
        given = os.path.join(self.host, "given")
        source = {"type": "SANDBOX_PATH", "sandbox_path": {"type": "SELF", "path": "own"}}
        self.run("mounts", script, volumes=[self.volume(), self.volume("fixed", "RO"), self.volume("one/file", host_path=given), self.volume("shown", source=source)])
        report.equal("volumes: directories and files, to read and to write", self.read("seen"), "of the host\n" * 3 + "read-only\n")
        report.equal("volumes: of the sandbox itself", self.read("own"), "x\n")
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            report.check("volumes: none is mounted outside", self.host not in file.read())

    def over_the_host(self):
        given = os.path.join(self.host, "given")
        with open("/etc/hostname", encoding="utf-8") as file:
            before = file.read()
        self.run("covers", "cat /etc/hostname > data/hostname", volumes=[self.volume(), self.volume("/etc/hostname", "RO", host_path=given)])
        report.equal("volumes: over a file of the host, for the task", self.read("hostname"), "of the host\n")
        with open("/etc/hostname", encoding="utf-8") as file:
            report.equal("volumes: and for nobody else", file.read(), before)

    def refused(self):
        missing = self.house.path("missing")
        for name, volume, words in (
                ("absent", self.volume(host_path=missing), f"Path '{missing}' in HOST_PATH volume does not exist"),
                ("nowhere", self.volume(missing), f"Mount point '{missing}' is an absolute path"),
                ("outside", self.volume("../out"), "cannot make the mount point"),
                ("image", self.volume(image={"type": "APPC", "appc": {"name": "busybox"}}), "images of type DOCKER only")):
            failed = self.run(name, "true", "TASK_FAILED", volumes=[volume])
            report.check(f"volumes: {name} is refused in words", words in failed["message"], failed["message"])
        report.check("volumes: nothing is made for them", not os.path.exists(missing))

    def of_a_group(self):
        offer = self.framework.wait_offer(cpus=1, mem=128)
        info = self.framework.default_executor("pod")
        limit = {"type": "RLMT_CORE", "soft": 7, "hard": 7}
        inner = dict(task("pod-one", offer, "cat /proc/self/limits | grep -c 'core file size *7 *7' > data/pod"),
                     container={"type": "MESOS", "volumes": [self.volume()], "rlimit_info": {"rlimits": [limit]}})
        self.framework.launch_group(offer, info, [inner])
        self.framework.wait_state("pod-one", "TASK_FINISHED")
        report.equal("group: its tasks have them too", self.read("pod"), "1\n")


def main():
    if os.geteuid() != 0:
        report.check("left out: capabilities and volumes of the host need root", True)
        sys.exit(report.end())
    with House() as house:
        framework = Scheduler(house.address, "confinement").subscribe()
        checks = Checks(house, framework)
        report.run(checks.rlimits, checks.capabilities, checks.volumes, checks.over_the_host, checks.refused, checks.of_a_group)
        framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
