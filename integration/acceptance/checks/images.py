#!/usr/bin/env python3
"""images.py: containers with images, from archives, OCI layouts and a registry, on real processes.

Wants TEPUI_BIN, root and Debian's busybox-static and docker-registry. Ends with 0 or 1.
"""
import base64
import json
import os
import socket
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from containers import of_docker, of_mesos, of_sandbox  # noqa: E402
from daemons import House, request  # noqa: E402
from free_port import free_ranges  # noqa: E402
from image_maker import Image, Registry, TokenRegistry, busybox, entry, folder, symlink, text  # noqa: E402
from operations import create, launch, reserve  # noqa: E402
from remains import roots  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import Reservation  # noqa: E402
from sandbox import WAIT_FOR_GO  # noqa: E402
from scheduler import Scheduler, shell, task  # noqa: E402
from tasks import LIMIT_S, Tasks  # noqa: E402

report = Report()


class Checks(Tasks):
    def __init__(self, house, framework, folder):
        super().__init__(house, framework)
        self.folder = folder

    def image(self, name, image):
        image.save(os.path.join(self.folder, f"{name}.tar"), name)
        return name

    def root_file_system(self):
        self.image("box:1", Image(env=["COLOUR=blue", "KEPT=image"], workdir="/tmp").layer(busybox(), text("mark", "of the image")))
        script = "cat /mark; echo; pwd; echo $COLOUR $KEPT; echo $MESOS_SANDBOX; touch /written $MESOS_SANDBOX/mine; ls /; test -e /usr && echo host; true"
        command = shell(script, KEPT="task")
        out = self.run("first", command, of_mesos("box:1"))
        report.equal("root: files, directory, variables and sandbox are the image's", out.splitlines()[:4],
                     ["of the image", "/tmp", "blue task", "/mnt/mesos/sandbox"])
        report.check("root: nothing of the machine is in it", "host" not in out and "written" in out, out)
        report.check("root: the sandbox is the agent's", os.path.exists(os.path.join(self.sandbox("first"), "mine")))
        out = self.run("second", "ls /; ls -A $MESOS_SANDBOX", of_mesos("box:1"))
        report.check("root: what one container writes another does not see", "written" not in out and "mine" not in out, out)
        report.check("root: nothing is left of it", wait(lambda: not roots(self.house), LIMIT_S), roots(self.house))

    def kernel_file_systems(self):
        script = ("for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done; ls -l /dev; cat /proc/mounts; echo x > /proc/sys/kernel/hostname; "
                  "echo x > /sys/x; for f in kcore keys timer_list sched_debug; do test -e /proc/$f && ! test -c /proc/$f && echo open $f; done; ls /sys/firmware | grep . && echo open firmware; cat /etc/resolv.conf > resolv; cat /etc/hosts > hosts; cp /bin/busybox /dev/shm/echo && /dev/shm/echo shm")
        out = self.run("kernel", "cd $MESOS_SANDBOX; exec 2>&1; " + script, of_mesos("box:1"))
        report.check("kernel: the standard devices are there", "no null" not in out and "no tty" not in out, out)
        mounts = {line.split()[1]: line.split()[3].split(",") for line in out.splitlines() if line.count(" ") == 5 and line.split()[1].startswith("/")}
        report.check("kernel: proc, sys, dev, pts, shm", {"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm"} <= set(mounts), sorted(mounts))
        report.check("kernel: sys is read-only, and what of proc changes the machine", "ro" in mounts["/sys"] and "ro" in mounts["/proc/sys"], mounts)
        report.check("kernel: what tells of the machine is hidden", "open " not in out, out)
        report.check("kernel: nothing of the machine is mounted in it", not any("agent0" in point for point in mounts), sorted(mounts))
        report.check("kernel: /proc/sys refuses to be written", "Read-only file system" in out, out)
        report.check("kernel: /dev/shm can be written, and a program run from it", "shm\n" in out, out)
        with open("/etc/resolv.conf", encoding="utf-8") as file:
            with open(os.path.join(self.sandbox("kernel"), "resolv"), encoding="utf-8") as seen:
                report.equal("kernel: names are resolved as on the machine", seen.read(), file.read())

    def layers(self):
        below = [text("kept", "1"), text("gone", "1"), text("new", "below"), folder("hidden"), text("hidden/old", "1"), folder("merged"), text("merged/old", "1")]
        above = [text(".wh.gone", ""), text("new", "above"), folder("hidden"), text("hidden/.wh..wh..opq", ""), text("hidden/fresh", "1"), text("merged/fresh", "1")]
        self.image("layers:1", Image().layer(busybox()).layer(*below).layer(*above))
        script = "ls /gone; cat /kept /new; echo; ls /hidden; ls /merged; rm /kept; echo x > /new; ls / | grep -c kept"
        container = of_mesos("layers:1")
        out = self.run("layered", script + "; true", container)
        report.equal("layers: each shows, hides and removes", out.split(), ["1above", "fresh", "fresh", "old", "0"])
        out = self.run("again", "cat /kept /new", container)
        report.equal("layers: they are never written to", out, "1above")

    def scratch(self):
        """Nothing but one program."""
        with open("/bin/busybox", "rb") as file:
            program = file.read()
        self.image("scratch:1", Image(entrypoint=["/busybox", "echo"], cmd=["hello"]).layer(entry("busybox", data=program, mode=0o755)))
        report.equal("scratch: an image of one program", self.run("scratch", {"shell": False}, of_mesos("scratch:1")), "hello\n")

    def many_layers(self):
        image = Image().layer(busybox())
        for number in range(2, 128):
            image.layer(text(f"layer{number}", "x"), text("last", str(number)))
        self.image("many:1", image)
        report.equal("layers: the most that an image may have", self.run("many", "ls / | grep -c layer; cat /last", of_mesos("many:1")), "126\n127")
        self.image("too-many:1", image.layer(text("one", "more")))
        failed = self.run("too-many", "true", of_mesos("too-many:1"), "TASK_FAILED")
        report.check("layers: one more is refused", "128 layers" in failed["message"], failed)

    def overwritten(self):
        """Directories become files and links, and back; a link that leads out is replaced, not followed."""
        out = self.house.path("abc")
        with open(out, "w", encoding="utf-8") as file:
            file.write("of the host")
        below = [folder("dir"), text("dir/old", "1"), text("file", "1"), symlink("xyz", "../" * 12 + out.lstrip("/")), folder("other"), text("other/old", "1")]
        above = [text("dir", "file now"), folder("file"), text("file/new", "1"), text("xyz", ""), symlink("other", "tmp")]
        self.image("overwrite:1", Image().layer(busybox()).layer(*below).layer(*above))
        script = "cat /dir; echo; ls /file; test -f /xyz && test ! -s /xyz && echo empty; readlink /other"
        report.equal("layers: a name of another kind replaces it", self.run("overwrite", script, of_mesos("overwrite:1")), "file now\nnew\nempty\ntmp\n")
        with open(out, encoding="utf-8") as file:
            report.equal("layers: where a link had led nothing changes", file.read(), "of the host")

    def task_user(self):
        command = {"shell": True, "user": "nobody", "value": "id -u; touch $MESOS_SANDBOX/mine; touch /mine || echo closed; grep NoNewPrivs /proc/self/status"}
        out = self.run("of-user", command, of_mesos("box:1"))
        report.equal("user: the task's, in its own sandbox alone, and no program gives more rights", out.split(), ["65534", "closed", "NoNewPrivs:", "1"])
        owners = {os.stat(os.path.join(self.sandbox("of-user"), name)).st_uid for name in ("mine", "stdout", "stderr")}
        report.equal("user: owns what the command writes", owners, {65534})

    def of_a_group(self):
        self.image("other:1", Image(cmd=["cat", "/mark"]).layer(busybox(), text("mark", "another")))
        offer = self.framework.wait_offer(cpus=1, mem=256)
        info = self.framework.default_executor("pod")
        shared = of_sandbox("common", "/shared")
        inner = of_sandbox("common", "common")
        tasks = [
            dict(task("pod-first", offer, "cat /mark > /shared/first; while ! test -e /shared/second; do sleep 0.1; done"), container={**of_mesos("box:1"), "volumes": [shared]}),
            dict(task("pod-second", offer, "while ! test -e common/first; do sleep 0.1; done; cat common/first /mark; echo x > common/second"), container={**of_mesos("other:1"), "volumes": [inner]}),
            dict(task("pod-third", offer, ""), command={"shell": False}, container=of_mesos("other:1"))]
        self.framework.launch_group(offer, info, tasks)
        for name in ("pod-first", "pod-second", "pod-third"):
            self.framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)
        outputs = {}
        for top, _, files in os.walk(self.sandbox("pod")):
            if "/containers/" in top and "stdout" in files:
                with open(os.path.join(top, "stdout"), encoding="utf-8") as out:
                    outputs[out.read()] = top
        report.check("group: each task has its own image, and they share a directory", "of the imageanother" in outputs, list(outputs))
        report.check("group: the image's own command", "another" in outputs, list(outputs))

    def commands(self):
        self.image("cmd:1", Image(cmd=["echo", "from", "cmd"]).layer(busybox()))
        self.image("entry:1", Image(entrypoint=["echo", "entry"], cmd=["cmd"]).layer(busybox()))
        plain = {"shell": False}
        for name, image, command, expected in (
                ("cmd", "cmd:1", plain, "from cmd\n"),
                ("cmd-args", "cmd:1", {**plain, "arguments": ["other"]}, "other\n"),
                ("entry", "entry:1", plain, "entry cmd\n"),
                ("entry-args", "entry:1", {**plain, "arguments": ["own"]}, "entry own\n"),
                ("value", "entry:1", {**plain, "value": "/bin/echo", "arguments": ["echo", "value"]}, "value\n"),
                ("shell", "entry:1", "echo shell", "shell\n")):
            report.equal(f"command: {name}", self.run(f"command-{name}", command, of_mesos(image)), expected)
        failed = self.run("nothing", plain, of_mesos("box:1"), "TASK_FAILED")
        report.check("command: none at all is an error", "No executable is found" in failed["message"], failed)

    def volumes(self):
        host = self.house.path("shared")
        os.makedirs(host)
        with open(os.path.join(host, "given"), "w", encoding="utf-8") as file:
            file.write("of the host\n")
        self.image("links:1", Image().layer(busybox(), symlink("out", "/../../../../tmp"), symlink("etc/hosts", "/nowhere/hosts")))
        volume = {"host_path": host, "mode": "RW"}
        volumes = [{**volume, "container_path": "/data/deep"}, {**volume, "container_path": "/fixed", "mode": "RO"}, {**volume, "container_path": "own"},
                   {**volume, "container_path": "/out/in"}, {"host_path": os.path.join(host, "given"), "mode": "RO", "container_path": "/etc/given"},
                   of_sandbox("sub", "/sub", "SELF")]
        script = "cat /data/deep/given /fixed/given own/given /tmp/in/given /etc/given; touch /fixed/x || echo ro; echo made > /data/deep/made; touch /sub/x; ls $MESOS_SANDBOX/sub"
        out = self.run("volumes", script, {**of_mesos("links:1"), "volumes": volumes})
        report.equal("volumes: in the root, in the sandbox, through links of the image", out, "of the host\n" * 5 + "ro\nx\n")
        report.check("volumes: what is written is on the host", os.path.exists(os.path.join(host, "made")))
        report.check("volumes: no place for them is made on the host", not os.path.exists("/data") and not os.path.exists("/tmp/in"))

    def image_volumes(self):
        self.image("data:1", Image().layer(folder("deep"), text("deep/file", "of the volume")).layer(text("more", "above"), text("deep/.wh.none", "")))
        shown = {"mode": "RW", "image": {"type": "DOCKER", "docker": {"name": "data:1"}}}
        volumes = [{**shown, "container_path": "data"}, {**shown, "container_path": "fixed", "mode": "RO"}]
        script = "cat data/deep/file data/more; echo; echo x > data/new && cat data/new; touch fixed/new || echo read-only"
        expected = "of the volumeabove\nx\nread-only\n"
        report.equal("image volumes: in a container of the machine's files", self.run("image-volume", script, {"type": "MESOS", "volumes": volumes}), expected)
        volumes = [{**it, "container_path": f"/{it['container_path']}"} for it in volumes]
        report.equal("image volumes: in one of an image's", self.run("image-volume-in", "cd /; " + script, {**of_mesos("box:1"), "volumes": volumes}), expected)
        report.check("image volumes: nothing is left of them", wait(lambda: not roots(self.house), LIMIT_S), roots(self.house))

    def docker_containers(self):
        out = self.run("docker", {"shell": False}, of_docker("cmd:1"))
        report.equal("docker: the image's own command", out, "from cmd\n")
        out = self.run("docker-args", {"shell": False, "value": "own", "arguments": ["args"]}, of_docker("entry:1"))
        report.equal("docker: the command follows the entrypoint", out, "entry own args\n")
        self.image("user:1", Image(user="box", workdir="/home/made").layer(busybox()))
        script = "id; pwd; touch $MESOS_SANDBOX/x && echo wrote; grep CapBnd /proc/self/status"
        out = self.run("docker-user", script, of_docker("user:1"))
        report.equal("docker: user, groups and directory are the image's", out.splitlines()[:3],
                     ["uid=4321(box) gid=4322(box) groups=4322(box),4323(more)", "/home/made", "wrote"])
        report.check("docker: with the capabilities that Docker leaves, but MKNOD and NET_RAW", "00000000a00405fb" in out, out)
        parameters = [{"key": key, "value": value} for key, value in (("env", "A=1"), ("workdir", "/etc"), ("user", "4321:4323"), ("label", "x=y"), ("volume", f"{self.house.path('shared')}:/v:ro"))]
        out = self.run("docker-options", "echo $A; pwd; id -u; id -g; cat /v/given", of_docker("box:1", parameters=parameters))
        report.equal("docker: options of docker run", out, "1\n/etc\n4321\n4323\nof the host\n")
        out = self.run("docker-says", "echo $MESOS_ALLOCATION_ROLE $MESOS_SANDBOX $MESOS_CONTAINER_NAME; echo wrong >&2", of_docker("box:1"))
        container = os.path.basename(self.sandbox("docker-says"))
        report.equal("docker: what it is told in variables", out, f"* /mnt/mesos/sandbox mesos-{container}\n")
        report.equal("docker: what it says is in its sandbox", self.output("docker-says", "stderr"), "wrong\n")
        status = self.start("docker-killed", "sleep 600", of_docker("box:1"), "TASK_RUNNING")
        addresses = [it["ip_address"] for info in status["container_status"]["network_infos"] for it in info["ip_addresses"]]
        report.equal("docker: its address is the machine's", addresses, ["127.0.0.1"])
        self.framework.call("KILL", kill={"task_id": {"value": "docker-killed"}})
        self.framework.wait_state("docker-killed", "TASK_KILLED", limit_s=LIMIT_S)
        report.check("docker: a kill ends it, and nothing is left", wait(lambda: not roots(self.house), LIMIT_S), roots(self.house))
        for name, container, words in (
                ("bridge", of_docker("box:1", network="BRIDGE"), "Unknown CNI network 'bridge'"),
                ("privileged", of_docker("box:1", privileged=True), "no privileged"),
                ("option", of_docker("box:1", parameters=[{"key": "device", "value": "/dev/sda"}]), "does not know the Docker parameter 'device'")):
            failed = self.run(f"docker-{name}", "true", container, "TASK_FAILED")
            report.check(f"docker: {name} is refused in words", words in failed["message"], failed)

    def missing(self):
        for name, image, words in (("absent", "absent:1", "there is no image 'absent:1'"), ("path", "../../etc/passwd", "is no re")):
            failed = self.run(name, "true", of_mesos(image), "TASK_FAILED")
            report.check(f"missing: {name} is refused in words", words in failed["message"], failed)
        report.check("missing: nothing is left of them", wait(lambda: not roots(self.house), LIMIT_S), roots(self.house))

    def oci_layout(self):
        Image(cmd=["echo", "layout"]).layer(busybox()).layout(os.path.join(self.folder, "team/laid"), "v2")
        report.equal("layout: by its tag", self.run("laid", {"shell": False}, of_mesos("team/laid:v2")), "layout\n")
        failed = self.run("laid-not", "true", of_mesos("team/laid:v3"), "TASK_FAILED")
        report.check("layout: another tag is not there", "no image of that name" in failed["message"], failed)
        damaged = os.path.join(self.folder, "damaged")
        Image(cmd=["echo", "x"]).layer(busybox(), text("x", "y")).layout(damaged, "1")
        blobs = os.path.join(damaged, "blobs/sha256")
        biggest = max(os.listdir(blobs), key=lambda name: os.path.getsize(os.path.join(blobs, name)))
        with open(os.path.join(blobs, biggest), "ab") as file:
            file.write(b"more")
        failed = self.run("damaged", "true", of_mesos("damaged:1"), "TASK_FAILED")
        report.check("layout: a layer that was changed is refused", "digest" in failed["message"] or "cannot be read" in failed["message"], failed)

    def hostile_layers(self):
        host = self.house.path("hostile")
        os.makedirs(host)
        target = os.path.join(host, "target")
        with open(target, "w", encoding="utf-8") as file:
            file.write("untouched")
        up = "../" * 12
        hostile = {
            "parents": [text(up.lstrip("/") + host.lstrip("/") + "/planted", "x")],
            "hard-link": [entry("in", tarfile.LNKTYPE, link=up + target.lstrip("/"))],
            "device": [entry("disk", tarfile.BLKTYPE, device=(8, 0))],
            "loop": [symlink("a", "b"), symlink("b", "a"), text("a/x", "x")],
            "proc": [symlink("p", "/proc/self/root"), text(f"p{host}/planted", "x")],
        }
        for name, members in hostile.items():
            image = self.image(f"hostile-{name}:1", Image().layer(busybox()).layer(*members))
            failed = self.run(f"hostile-{name}", "true", of_mesos(image), "TASK_FAILED")
            report.check(f"hostile: {name} is refused in words", "the layer's entry" in failed["message"], failed)
        image = self.image("hostile-twice:1", Image().layer(busybox()).layer(symlink("file", target), text("file", "replaced")))
        report.equal("hostile: what comes again takes the place of a link", self.run("hostile-twice", "cat /file", of_mesos(image)), "replaced")
        inside = {
            "absolute": [symlink("out", host), text("out/planted", "x")],
            "chain": [symlink("a", ".."), symlink("b", "a/.."), symlink("c", f"b{host}"), folder(host.lstrip("/")), text("c/planted", "x")],
            "mounts": [symlink("mnt", host), symlink("etc/hostname", target)],
        }
        for name, members in inside.items():
            image = self.image(f"hostile-{name}:1", Image().layer(busybox(), *members))
            state = self.start(f"hostile-{name}", "echo x > $MESOS_SANDBOX/y; echo broken > /etc/hostname", of_mesos(image), "TASK_FAILED")["state"]
            report.check(f"hostile: {name} stays in its root", state == "TASK_FAILED")
        with open(target, encoding="utf-8") as file:
            report.equal("hostile: the host's file is untouched", file.read(), "untouched")
        report.equal("hostile: nothing is planted on the host", os.listdir(host), ["target"])

    def pruned(self):
        store = self.house.path("agent0/store/docker")

        def kept():
            return {kind: len(os.listdir(os.path.join(store, kind))) for kind in ("images", "layers")}
        self.image("pruned:1", Image().layer(busybox()).layer(text("only", "here")))
        self.image("excluded:1", Image().layer(busybox()).layer(text("only", "there")))
        for name in ("pruned:1", "excluded:1"):
            self.run(f"prune-{name[:-2]}", "true", of_mesos(name))
        self.start("prune-user", f"{WAIT_FOR_GO}; cat /mark", of_mesos("box:1"), "TASK_RUNNING")
        wait(lambda: len(roots(self.house)) == 1, LIMIT_S)
        before = kept()
        excluded = [{"type": "DOCKER", "docker": {"name": "excluded:1"}}]
        call = {"type": "PRUNE_IMAGES", "prune_images": {"excluded_images": excluded}}
        status, _, body = request(self.house.agents[0].port, "POST", "/api/v1", json.dumps(call), {"Content-Type": "application/json"})
        report.equal("prune: the agent does it", (status, body), (200, b""))
        left = kept()
        report.check("prune: images and layers that nobody uses are gone", left["images"] < before["images"] and left["layers"] < before["layers"], (before, left))
        report.equal("prune: what runs and what is excluded stays", left, {"images": 2, "layers": 3})
        self.finish("prune-user")
        report.equal("prune: a container keeps its files", self.output("prune-user"), "of the image")
        report.equal("prune: an image that is gone is brought again", self.run("prune-again", "cat /only", of_mesos("pruned:1")), "here")

    def survives(self):
        sleeper = f"echo begun; {WAIT_FOR_GO}; cat /mark"
        self.start("survivor", sleeper, of_docker("box:1"), "TASK_RUNNING")
        self.house.agents[0].kill()
        stray = self.house.path("agent0/provisioner/left-over")
        os.makedirs(os.path.join(stray, "u"))
        self.house.agents[0].start()
        wait(self.house.agents_are_back, LIMIT_S)
        self.finish("survivor")
        report.equal("restart: a container keeps its root", self.output("survivor"), "begun\nof the image")
        report.check("restart: what is left of others is swept", not os.path.exists(stray))
        report.check("restart: and nothing is left at the end", wait(lambda: not roots(self.house), LIMIT_S), roots(self.house))
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            report.check("restart: nothing was ever mounted on the machine", self.house.folder not in file.read())

    def ignored(self):
        """What an image says of how it is run, by an agent that does not listen."""
        agent = self.house.agents[0]
        agent.stop()
        agent.command += ["--docker-ignore-runtime=true"]
        agent.start()
        wait(self.house.agents_are_back, LIMIT_S)
        out = self.run("ignores", "test -z $COLOUR && pwd", of_mesos("box:1"))
        report.equal("ignored: variables and directory are not the image's", out, "/mnt/mesos/sandbox\n")
        failed = self.run("ignores-cmd", {"shell": False}, of_mesos("box:1"), "TASK_FAILED")
        report.check("ignored: nor is a command", "No executable is found" in failed["message"], failed)
        out = self.run("docker-keeps", "echo $COLOUR", of_docker("box:1"))
        report.equal("ignored: containers of type DOCKER keep theirs", out, "blue\n")

    def shim_is_out_of_reach(self):
        with open(os.path.join(os.path.dirname(os.environ["TEPUI_BIN"]), "tepui-shim"), "rb") as file:
            before = file.read()
        self.image("self:1", Image().layer(busybox(), text("self", "#!/proc/self/exe\n", mode=0o755), symlink("proc/x", "/")))
        self.run("self", {"shell": False, "value": "/self"}, of_mesos("self:1"))
        script = f"for i in 1 2 3; do /self; done; ls -l /proc/self/fd; {WAIT_FOR_GO}"
        status = self.start("reach", script, of_mesos("self:1"), "TASK_RUNNING")
        with open(f"/proc/{status['container_status']['executor_pid']}/stat", encoding="utf-8") as stat:
            shim = stat.read().rpartition(")")[2].split()[1]
        report.check("shim: what a container can reach is a sealed copy in memory", os.readlink(f"/proc/{shim}/exe").startswith("/memfd:tepui-shim"))
        try:
            with open(f"/proc/{shim}/exe", "ab") as file:
                file.write(b"x")
            written = True
        except OSError:
            written = False
        report.check("shim: which even root cannot write to", not written)
        self.finish("reach")
        links = [line.split(" -> ")[1] for line in self.output("reach").splitlines() if " -> " in line]
        report.check("shim: no descriptor of the machine is left to a container", links and all(it.startswith(("/dev/null", "/mnt/mesos/sandbox/std", "/proc/")) for it in links), links)
        with open(os.path.join(os.path.dirname(os.environ["TEPUI_BIN"]), "tepui-shim"), "rb") as file:
            report.check("shim: the machine's own is untouched", file.read() == before)

    def checked(self):
        check = {"type": "COMMAND", "delay_seconds": 0, "interval_seconds": 0.5, "grace_period_seconds": 30, "timeout_seconds": 30,
                 "command": {"shell": True, "value": "test -e /mark && test $COLOUR = blue && test -e $MESOS_SANDBOX/stdout"}}
        self.start("checked", WAIT_FOR_GO, of_mesos("box:1"), "TASK_RUNNING", health_check=check)
        healthy = wait(lambda: any(it.get("healthy") for it in self.framework.updates_of("checked")), LIMIT_S)
        report.check("check: its command sees what the task sees", healthy, self.framework.updates[-1])
        self.finish("checked")


class VolumeChecks(Checks):
    """Of a framework with a role of its own: others would hold the offers it waits for."""

    def persistent(self):
        self.image("box:0", Image().layer(busybox()))
        keeper = Reservation("keeper", "p")
        volume = keeper.volume("kept", 16)
        offer = self.framework.wait_offer(cpus=0.5, mem=64)
        info = task("keeps", offer, "echo kept > data/file; cat $MESOS_SANDBOX/data/file")
        info.update(container=of_mesos("box:0"), resources=[*info["resources"], volume])
        info["command"]["value"] = "cd $MESOS_SANDBOX; " + info["command"]["value"]
        self.framework.accept(offer, reserve(*keeper.scalars(disk=16)), create(volume), launch(info))
        self.framework.wait_state("keeps", "TASK_FINISHED", limit_s=LIMIT_S)
        report.equal("persistent: a volume is in the root", self.output("keeps"), "kept\n")
        with open(keeper.on_disk(self.house, "kept", "file"), encoding="utf-8") as file:
            report.equal("persistent: and outlives it", file.read(), "kept\n")


class RegistryChecks(Checks):
    """The same from registries: one of Debian's, and one that wants tokens."""

    def plain(self, registry, tokens):
        image = Image(cmd=["echo", "pulled"]).layer(busybox())
        name = image.push(registry.port, "team/pulled", "1")
        report.equal("registry: by its tag", self.run("pulled", {"shell": False}, of_mesos("team/pulled:1")), "pulled\n")
        by_digest = f"127.0.0.1:{registry.port}/team/pulled@{name}"
        report.equal("registry: by its digest, from the registry it names", self.run("pulled-digest", {"shell": False}, of_mesos(by_digest)), "pulled\n")
        Image(cmd=["echo", "newer"]).layer(busybox()).push(registry.port, "team/pulled", "1")
        report.equal("registry: what is there will do", self.run("pulled-cached", {"shell": False}, of_mesos("team/pulled:1")), "pulled\n")
        report.equal("registry: unless it will not", self.run("pulled-forced", {"shell": False}, of_mesos("team/pulled:1", cached=False)), "newer\n")
        report.equal("registry: nor for Docker's flag", self.run("pulled-docker", {"shell": False}, of_docker("team/pulled:1", force_pull_image=True)), "newer\n")
        failed = self.run("pulled-not", "true", of_mesos("team/absent:1"), "TASK_FAILED")
        report.check("registry: what it has not is told", "has no manifests/1 of team/absent" in failed["message"], failed)

    def with_login(self, registry, tokens):
        name = f"127.0.0.1:{tokens.port}/secret/box:1"
        report.equal("token: asked for with the login, for a registry that wants one", self.run("token", {"shell": False}, of_mesos(name)), "secret\n")
        asked = [path for path in tokens.requests if path.startswith("/data/")]
        report.equal("token: a layer that is there is not fetched again", len(asked), 2)
        failed = self.run("token-not", "true", of_mesos(f"localhost:{tokens.port}/secret/box:1"), "TASK_FAILED")
        report.check("token: without a login it is refused in words", "--docker_config has no login" in failed["message"] and "opens" not in failed["message"], failed)

    def called_off(self, registry, tokens):
        silent = socket.create_server(("127.0.0.1", 0))
        offer = self.framework.wait_offer(cpus=0.5, mem=64)
        name = f"127.0.0.1:{silent.getsockname()[1]}/never/comes:1"
        self.framework.launch(offer, [{**task("called-off", offer, "true"), "container": of_mesos(name)}])
        silent.settimeout(LIMIT_S)
        asked, _ = silent.accept()
        self.framework.call("KILL", kill={"task_id": {"value": "called-off"}})
        self.framework.wait_state("called-off", "TASK_KILLED", limit_s=LIMIT_S / 2)
        report.check("killed: a task whose image is being fetched waits for no registry", True)
        asked.close()
        silent.close()
        store = self.house.path("agent0/store/docker/tmp")
        report.check("killed: nothing is left of what was fetched", wait(lambda: not os.listdir(store), LIMIT_S), os.listdir(store))

    def at_once(self, registry, tokens):
        Image(cmd=["echo", "once"]).layer(busybox(), text("once", "x" * 1000)).push(registry.port, "team/once", "1")
        offer = self.framework.wait_offer(cpus=1, mem=256)
        names = [f"once-{number}" for number in range(4)]
        self.framework.launch(offer, [{**task(name, offer, ""), "command": {"shell": False}, "container": of_mesos("team/once:1")} for name in names])
        for name in names:
            self.framework.wait_state(name, "TASK_FINISHED", limit_s=LIMIT_S)
        report.equal("registry: several at once get the same image", {self.output(name) for name in names}, {"once\n"})

    def copied(self, registry, tokens):
        Image().layer(busybox(), text("kept", "1"), text("gone", "1")).layer(text(".wh.gone", ""), text("more", "2")).push(registry.port, "layers", "1")
        report.equal("copy: the same root without overlayfs", self.run("copied", "cat /kept /more; ls /gone || touch /new && echo; pwd", of_mesos("layers:1")), "12\n/mnt/mesos/sandbox\n")
        report.check("copy: nothing is left of it", wait(lambda: not roots(self.house), LIMIT_S), roots(self.house))


def from_folder():
    house = House()
    images = house.path("images")
    os.makedirs(images)
    house.agents[0].command += ["--docker-registry", images]
    with house:
        keeper = Scheduler(house.address, "keeper", capabilities=["MULTI_ROLE", "RESERVATION_REFINEMENT"])
        keeper.info.update(roles=["keeper"], principal="p")
        report.run(VolumeChecks(house, keeper.subscribe(), images).persistent)
        keeper.call("TEARDOWN")
        keeper.close()
        framework = Scheduler(house.address, "images").subscribe()
        checks = Checks(house, framework, images)
        report.run(checks.root_file_system, checks.kernel_file_systems, checks.layers, checks.scratch, checks.many_layers, checks.overwritten, checks.commands, checks.volumes, checks.image_volumes, checks.docker_containers,
                   checks.task_user, checks.of_a_group, checks.missing, checks.oci_layout, checks.hostile_layers, checks.shim_is_out_of_reach, checks.checked, checks.pruned, checks.survives, checks.ignored)
        framework.close()


def from_registry():
    house = House()
    registry = Registry(house.folder, free_ranges(1, 1)[0])
    tokens = TokenRegistry("user:secret", {"secret/box:1": Image(cmd=["echo", "secret"]).layer(busybox()).layer(text("own", "1"))})
    try:
        login = {"auths": {f"http://127.0.0.1:{tokens.port}/v2/": {"auth": base64.b64encode(b"user:secret").decode()}}}
        house.agents[0].command += ["--docker-registry", f"http://127.0.0.1:{registry.port}", "--docker-config", json.dumps(login), "--image-provisioner-backend", "copy"]
        wait(registry.ready, LIMIT_S)
        with house:
            framework = Scheduler(house.address, "registry").subscribe()
            checks = RegistryChecks(house, framework, None)
            report.run(lambda: checks.plain(registry, tokens), lambda: checks.with_login(registry, tokens), lambda: checks.at_once(registry, tokens),
                       lambda: checks.called_off(registry, tokens), lambda: checks.copied(registry, tokens))
            framework.close()
    finally:
        registry.stop()
        tokens.stop()


def main():
    if os.geteuid() != 0:
        report.check("left out: images need root", True)
        sys.exit(report.end())
    from_folder()
    from_registry()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
