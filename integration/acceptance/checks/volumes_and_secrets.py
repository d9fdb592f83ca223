#!/usr/bin/env python3
"""volumes_and_secrets.py: secrets in variables and in files, and volumes of the host and of sandboxes, on real processes.

Wants TEPUI_BIN, root and Debian's busybox-static. Ends with 0 or 1. What tasks see of them, as root and as another user, in an image and without
one; that nobody else sees any of it, in whatever the master and the agent tell or keep; what is refused with which words.
"""
import base64
import glob
import json
import os
import pwd
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from containers import of_mesos, of_sandbox  # noqa: E402
from daemons import House, get, request  # noqa: E402
from image_maker import Image, busybox  # noqa: E402
from operations import create, launch, reserve  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import Reservation  # noqa: E402
from sandbox import Sandboxes  # noqa: E402
from scheduler import Scheduler, shell, task, task_of  # noqa: E402

LIMIT_S = 60
CANARY = "canary-7f3a91c2"
report = Report()


def secret(text=CANARY):
    return {"type": "VALUE", "value": {"data": base64.b64encode(text.encode()).decode()}}


REFERENCE = {"type": "REFERENCE", "reference": {"name": "vault"}}


def of_secret(path, value=None, mode="RO"):
    return {"mode": mode, "container_path": path, "source": {"type": "SECRET", "secret": value or secret()}}


def of_host(path, container_path="data", mode="RW", **more):
    return {"mode": mode, "container_path": container_path, "source": {"type": "HOST_PATH", "host_path": {"path": path, **more}}}


def variables(*given):
    return {"variables": [{"name": name, "type": "SECRET", "secret": value} for name, value in given]}


class Checks(Sandboxes):
    def __init__(self, house, images):
        self.house, self.agent, self.images = house, house.agents[0], images
        self.framework = Scheduler(house.address, "volumes")
        self.host = house.path("host")
        os.makedirs(self.host)

    def start(self, name, command, volumes=(), environment=None, user=None, image=None, state="TASK_FINISHED"):
        offer = self.framework.wait_offer(cpus=0.1, mem=32, limit_s=LIMIT_S)
        made = task(name, offer, command)
        made["container"] = {"type": "MESOS", "volumes": list(volumes)}
        if image:
            made["container"].update(of_mesos(image))
        made["command"].update({"environment": environment or {"variables": []}}, **({"user": user} if user else {}))
        self.framework.launch(offer, [made])
        return self.framework.wait_state(name, state, limit_s=LIMIT_S)

    def run(self, name, command, **more):
        self.start(name, command, **more)
        return self.output(name)

    def refused(self, name, **more):
        return self.start(name, "true", state="TASK_FAILED", **more)

    def group(self, name, tasks, framework=None):
        """A task group of one executor; gives what each task said."""
        framework = framework or self.framework
        offer = framework.wait_offer(cpus=1, mem=256, limit_s=LIMIT_S)
        info = framework.default_executor(name)
        made = []
        for task_id, (command, volumes, more) in tasks.items():
            one = task(task_id, offer, command)
            one["container"] = {"type": "MESOS", "volumes": volumes}
            one["command"].update(more)
            made.append(one)
        framework.launch_group(offer, info, made)
        found = {}
        for task_id in tasks:
            framework.wait_state(task_id, "TASK_FINISHED", limit_s=LIMIT_S)
            found[task_id] = self.output(name, f"tasks/{task_id}/stdout")
        return found

    # Secrets

    def in_variables(self):
        self.framework.subscribe()
        report.equal("secrets: in a variable", self.run("env", "echo $KEY", environment=variables(("KEY", secret()))), f"{CANARY}\n")
        found = self.group("env-pod", {"env-in": ("echo $KEY", [], {"environment": variables(("KEY", secret()))})})
        report.equal("secrets: in one of a task of a group", found["env-in"], f"{CANARY}\n")
        failed = self.refused("env-ref", environment=variables(("KEY", REFERENCE)))
        report.check("secrets: a reference is refused in words", "Default secret resolver cannot resolve references" in failed["message"], failed)
        report.equal("secrets: and with the reason", failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED")

    def in_files(self):
        script = "cat keys/one keys/two; stat -c '%a %U' keys/one; (echo x > keys/one) 2>/dev/null || echo read-only; grep -c 'keys/one.*tmpfs' /proc/self/mountinfo"
        found = self.run("files", script, volumes=[of_secret("keys/one"), of_secret("keys/two", secret("second\n"), "RW")])
        report.equal("secrets: in files, in memory only", found, f"{CANARY}second\n400 root\nread-only\n1\n")
        nobody = pwd.getpwnam("nobody").pw_name
        found = self.run("files-user", "cat key; stat -c '%a %U' key; id -un", volumes=[of_secret("key")], user=nobody)
        report.equal("secrets: are their user's alone", found, f"{CANARY}400 {nobody}\n{nobody}\n")
        found = self.run("files-image", "cat /etc/keys/one; cat $MESOS_SANDBOX/two; touch /etc/keys/one && echo writes; grep -c ' /etc/keys/one ' /proc/self/mountinfo",
                         volumes=[of_secret("/etc/keys/one", mode="RW"), of_secret("two")], image="box:1")
        self.start("rooted", "exec sleep 1000", image="box:1", state="TASK_RUNNING")
        name = "containerizer/mesos/filesystem/containers_new_rootfs"
        # The one before may not have gone yet.
        report.check("metrics: containers with a root of their own", wait(lambda: get(self.agent.port, "/metrics/snapshot")[name] == 1, LIMIT_S))
        self.framework.kill("rooted")
        report.check("metrics: which goes with them", wait(lambda: get(self.agent.port, "/metrics/snapshot")[name] == 0, LIMIT_S))
        report.equal("secrets: and in an image", found, f"{CANARY}{CANARY}writes\n1\n")
        found = self.group("files-pod", {"files-in": ("cat key", [of_secret("key")], {})})
        report.equal("secrets: in a file of a task of a group", found["files-in"], CANARY)
        failed = self.refused("files-ref", volumes=[of_secret("key", REFERENCE)])
        report.check("secrets: a reference is refused there too", "Default secret resolver cannot resolve references" in failed["message"], failed)
        failed = self.refused("files-absent", volumes=[of_secret(self.house.path("absent"))])
        report.check("secrets: no place is made on the machine", "does not exist" in failed["message"] and not os.path.exists(self.house.path("absent")), failed)
        runtime = get(self.agent.port, "/flags")["flags"]["runtime_dir"]
        left = [path for path in glob.glob(f"{runtime}/**", recursive=True) if os.path.isfile(path) and CANARY in self.read(path)]
        report.equal("secrets: neither launch leaves one on a disk", left, [])
        for place in ("keys/one", "key"):
            name = "files" if "/" in place else "files-user"
            report.equal(f"secrets: {place} is empty for others", os.stat(os.path.join(self.sandbox(name), place)).st_size, 0)

    def told_to_nobody(self):
        """While one runs that has all kinds of them, and another with an executor that has."""
        check = {"type": "COMMAND", "command": {"value": "true", "environment": variables(("KEY", secret()))}, "delay_seconds": 0, "grace_period_seconds": 0}
        offer = self.framework.wait_offer(cpus=0.1, mem=32, limit_s=LIMIT_S)
        made = task("runs", offer, "exec sleep 1000")
        made["command"]["environment"] = variables(("KEY", secret()))
        made.update(container={"type": "MESOS", "volumes": [of_secret("key")]}, health_check=check)
        command = {**shell("exec sleep 1000"), "environment": variables(("KEY", secret()))}
        executor = self.framework.custom_executor("custom", command, container={"type": "MESOS", "volumes": [of_secret("key")]})
        self.framework.launch(offer, [made, task_of(executor, "custom", offer)])
        self.framework.wait_state("runs", "TASK_RUNNING", limit_s=LIMIT_S)
        wait(lambda: get(self.agent.port, "/state")["frameworks"][0]["executors"], LIMIT_S)
        hidden = {CANARY, base64.b64encode(CANARY.encode()).decode()}
        told = {}
        for port, paths in ((self.house.port, ("/state", "/tasks", "/frameworks", "/state-summary")), (self.agent.port, ("/state", "/containers", "/monitor/statistics"))):
            for path in paths:
                told[f"{port}{path}"] = request(port, "GET", path)[2].decode(errors="replace")
            for call in ("GET_STATE", "GET_TASKS", "GET_EXECUTORS", "GET_FRAMEWORKS", "GET_CONTAINERS"):
                body = json.dumps({"type": call}), {"Content-Type": "application/json", "Accept": "application/json"}
                told[f"{port} {call}"] = request(port, "POST", "/api/v1", *body)[2].decode(errors="replace")
        report.check("secrets: what has them is told of", any('"KEY"' in text for text in told.values()) and any("runs" in text for text in told.values()))
        leaks = [name for name, text in told.items() if any(it in text for it in hidden)]
        report.equal("secrets: nothing that is told holds one", leaks, [])
        report.equal("secrets: nor a line of the logs", [d.log for d in (self.house.master, self.agent) if any(it in self.read(d.log) for it in hidden)], [])
        report.equal("secrets: nor a file that others can read", self.open_files(hidden), [])
        self.framework.kill("runs")
        self.framework.kill("custom")

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")

    def open_files(self, hidden):
        """Files of the daemons that anybody can read and that hold one of these."""
        found = []
        for root in (self.house.path("agent0"), self.house.path("master"), "/run/tepui"):
            for top, directories, names in os.walk(root):
                if top != root and not os.stat(top).st_mode & stat.S_IXOTH:
                    directories.clear()
                    continue
                for name in names:
                    path = os.path.join(top, name)
                    try:
                        # What a task prints is its own affair.
                        if name != "stdout" and stat.S_ISREG(os.lstat(path).st_mode) and os.stat(path).st_mode & stat.S_IROTH and any(it in self.read(path) for it in hidden):
                            found.append(path)
                    except FileNotFoundError:
                        pass
        return found

    # Volumes

    def made(self):
        flags = get(self.agent.port, "/flags")["flags"]
        report.equal("host: the agent shows what it may make", flags.get("host_path_volume_force_creation"), self.house.path("may"))
        path = self.house.path("may/be/made")
        self.run("made", "echo x > data/file", volumes=[of_host(path)])
        report.equal("host: a directory beneath it is made", self.read(os.path.join(path, "file")), "x\n")
        failed = self.refused("not-made", volumes=[of_host(self.house.path("may-not"))])
        report.check("host: others are not", "is not whitelisted for creation" in failed["message"] and not os.path.exists(self.house.path("may-not")), failed)

    def propagation(self):
        shared = os.path.join(self.host, "shared")
        os.makedirs(shared)
        failed = self.refused("private", volumes=[of_host(self.private(shared), mount_propagation={"mode": "BIDIRECTIONAL"})])
        report.check("propagation: of what is not shared is refused", "because it is not under a shared mount" in failed["message"], failed)
        self.mount("--make-shared", shared)
        script = "mkdir -p data/inner && mount -t tmpfs none data/inner && echo x > data/inner/file"
        try:
            self.run("both-ways", script, volumes=[of_host(shared, mount_propagation={"mode": "BIDIRECTIONAL"})])
            report.equal("propagation: what a task mounts is on the machine", self.read(os.path.join(shared, "inner/file")), "x\n")
            self.mount("--make-private", os.path.join(shared, "inner"))
            subprocess.run(["umount", os.path.join(shared, "inner")], check=True)
            self.run("both-in-image", "busybox mkdir -p /data/inner && busybox mount -t tmpfs none /data/inner || echo no rights",
                     volumes=[of_host(shared, "/data", mount_propagation={"mode": "BIDIRECTIONAL"})], image="box:1")
            report.equal("propagation: a container of an image has no right to mount", self.output("both-in-image").splitlines()[-1:], ["no rights"])
            self.run("one-way", script, volumes=[of_host(shared, mount_propagation={"mode": "HOST_TO_CONTAINER"})])
            report.check("propagation: but not where it goes one way", not os.path.exists(os.path.join(shared, "inner/file")))
            self.start("waits", "until [ -e data/late/file ]; do sleep 0.05; done; echo seen", volumes=[of_host(shared)], state="TASK_RUNNING")
            late = os.path.join(shared, "late")
            os.makedirs(late)
            subprocess.run(["mount", "-t", "tmpfs", "none", late], check=True)
            with open(os.path.join(late, "file"), "w", encoding="ascii"):
                pass
            self.framework.wait_state("waits", "TASK_FINISHED", limit_s=LIMIT_S)
            report.equal("propagation: what the machine mounts is seen by a task", self.output("waits"), "seen\n")
            subprocess.run(["umount", late], check=True)
        finally:
            subprocess.run(["umount", "-R", shared], check=False)

    def private(self, path):
        subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
        self.mount("--make-private", path)
        return path

    @staticmethod
    def mount(how, path):
        subprocess.run(["mount", how, path], check=True)

    def sandboxes(self):
        script = "echo own > /data/file; (echo x > /fixed/file) 2>/dev/null || echo read-only; cat $MESOS_SANDBOX/a/file"
        volumes = [of_sandbox("a", "/data", "SELF"), of_sandbox("b", "/fixed", "SELF", "RO")]
        report.equal("sandbox: its own, and read-only", self.run("self", script, volumes=volumes, image="box:1"), "read-only\nown\n")
        writer = ("echo x > given/file; while [ ! -e given/done ]; do sleep 0.05; done", [of_sandbox("common", "given")], {})
        reader = ("while [ ! -e given/file ]; do sleep 0.05; done; (touch given/mine) 2>/dev/null || echo read-only; cat given/file; echo > both/done",
                  [of_sandbox("common", "given", mode="RO"), of_sandbox("common", "both")], {})
        found = self.group("parent", {"writer": writer, "reader": reader})
        report.equal("sandbox: the executor's, of which one task only reads", found["reader"], "read-only\nx\n")

    def persistent(self):
        """Of a task that may not write to a shared one, and of a user who is not root."""
        reservation = Reservation("keeper", "p")

        def volume(name, **more):
            return reservation.volume(name, 16, name, **more)
        keeper = Scheduler(self.house.address, "keeper", capabilities=["SHARED_RESOURCES", "RESERVATION_REFINEMENT"])
        keeper.info.update(role="keeper", principal="p")
        self.framework.teardown()
        keeper.subscribe()

        def run_on(name, command, *volumes, operations=(), user=None):
            offer = keeper.wait_offer(cpus=0.1, mem=32, limit_s=LIMIT_S)
            made = task(name, offer, command)
            made["resources"] += volumes
            made["command"].update({"user": user} if user else {})
            keeper.accept(offer, *operations, launch(made))
        shared, own = volume("shared", shared={}), volume("own")
        make = [reserve(*reservation.scalars(disk=32)), create(shared, own)]
        script = "echo x > shared/file; echo y > own/file; cat shared/file own/file; stat -L -c %U shared own"
        run_on("keeps", script, shared, own, operations=make, user="nobody")
        keeper.wait_state("keeps", "TASK_FINISHED", limit_s=LIMIT_S)
        report.equal("persistent: volumes, shared or not, are the user's", self.output("keeps"), "x\ny\nnobody\nnobody\n")
        run_on("reads", "cat shared/file; echo hello > shared/file", volume("shared", mode="RO", shared={}))
        keeper.wait_state("reads", "TASK_FAILED", limit_s=LIMIT_S)
        report.equal("persistent: one with the mode RO is only read", self.output("reads"), "x\n")
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            report.check("persistent: none is mounted on the machine", "/volumes/roles/" not in file.read())
        keeper.call("TEARDOWN")
        keeper.close()
        self.framework = Scheduler(self.house.address, "volumes-2").subscribe()

    def owners(self):
        found = self.run("self-user", "echo x > data/file && stat -c %U data data/file", volumes=[of_sandbox("a", "data", "SELF")], user="nobody")
        report.equal("owners: a directory of the sandbox is the user's", found, "nobody\nnobody\n")
        script = "echo x > given/file && stat -L -c %U given given/file"
        found = self.group("parent-other", {"other": (script, [of_sandbox("common", "given")], {"user": "nobody"})})
        report.equal("owners: one of an executor of another user is open to the task's", found["other"], "nobody\nnobody\n")
        self.framework.teardown()
        others = Scheduler(self.house.address, "others")
        others.info["user"] = "nobody"
        others.subscribe()
        found = self.group("parent-user", {"owner": (script, [of_sandbox("common", "given")], {})}, others)
        report.equal("owners: one of an executor of the same user is his", found["owner"], "nobody\nnobody\n")
        others.call("TEARDOWN")
        others.close()
        report.check("host: a file of the machine is not given away", os.stat(self.host).st_uid == 0)


def main():
    if os.geteuid() != 0:
        report.check("left out: volumes and secrets in files need root", True)
        sys.exit(report.end())
    house = House()
    images = house.path("images")
    os.makedirs(images)
    os.makedirs(house.path("may"))
    os.chmod(house.folder, 0o755)
    Image().layer(busybox()).save(os.path.join(images, "box.tar"), "box:1")
    os.rename(os.path.join(images, "box.tar"), os.path.join(images, "box:1.tar"))
    house.agents[0].command += ["--docker-registry", images, "--host-path-volume-force-creation", house.path("may")]
    with house:
        checks = Checks(house, images)
        report.run(checks.in_variables)
        if not report.failed:
            report.run(checks.in_files, checks.told_to_nobody, checks.made, checks.propagation, checks.sandboxes, checks.persistent, checks.owners)
        checks.framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
