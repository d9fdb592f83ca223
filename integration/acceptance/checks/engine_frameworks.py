#!/usr/bin/env python3
"""engine_frameworks.py: what frameworks ask of containers that a Docker engine runs, besides a command: executors of their own, persistent volumes,
files, users, checks over networks, GPUs, addresses of IPv6, and containers that are ended while they are being made.

Wants TEPUI_BIN, root, openssl and Debian's busybox-static and docker.io. Ends with 0 or 1.
"""
import http.server
import json
import os
import pwd
import shlex
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from daemons import House, alive, get  # noqa: E402
from engine_maker import Engine, own_network  # noqa: E402
from engine_tasks import EngineTasks, of, parameters  # noqa: E402
from image_maker import Image, busybox  # noqa: E402
from operations import create, launch, reserve  # noqa: E402
from report import Report, wait  # noqa: E402
from resources import Reservation, scalars, volumes_in  # noqa: E402
from sandbox import WAIT_FOR_GO  # noqa: E402
from scheduler import Scheduler, task, task_of  # noqa: E402
from tasks import LIMIT_S  # noqa: E402

report = Report()
STORE, USER = Reservation("store", "keeper"), "nobody"
# The number of fuse, under a name that nobody else has.
GPU = {"/dev/tepui-engine-gpu": os.makedev(10, 229)}
SHARED_DEVICE = "/dev/null"
OFTEN = {"delay_seconds": 0, "interval_seconds": 0.3, "grace_period_seconds": 60, "timeout_seconds": 20}
# Programs of the machine within an image that has none: this python3, openssl and what they load.
FOLDERS = [path for path in ("/usr", "/lib", "/lib64") if os.path.exists(path)] + [sys.base_prefix] * (not sys.base_prefix.startswith("/usr"))
PROGRAMS = {"volumes": [{"mode": "RO", "container_path": path, "host_path": os.path.realpath(path)} for path in FOLDERS]}

# The executor of another check, and what it imports.
EXECUTOR = {"/agent_executors.py": os.path.join(HERE, "agent_executors.py"), "/executor.py": os.path.join(HERE, "..", "executor.py")}


class Server:
    """The executor of another check, files that are not there, and one that never comes."""

    def __init__(self):
        self.asked, self.over = threading.Event(), threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path in EXECUTOR:
                    with open(EXECUTOR[self.path], "rb") as file:
                        self.send_response(200)
                        self.end_headers()
                        self.wfile.write(file.read())
                elif self.path == "/never":
                    server.asked.set()
                    server.over.wait()
                else:
                    self.send_error(404)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def uri(self, path):
        return {"value": f"http://127.0.0.1:{self.http.server_address[1]}{path}"}

    def stop(self):
        self.over.set()
        self.http.shutdown()


class Checks(EngineTasks):
    server = None

    def mounts(self, *words):
        """Mounts of this machine whose place holds all of these."""
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            points = [line.split()[4] for line in table]
        return [point for point in points if all(word in point for word in words)]

    def is_forgotten(self, name):
        """No container of the engine's is or was this task's."""
        return f"/mesos-{os.path.basename(self.sandbox(name) or name)}" not in self.engine.names()

    # --- executors ---

    def executor(self):
        """The executor of another check, in a container of the engine."""
        command = {"value": f"cd $MESOS_SANDBOX && exec {shlex.quote(os.path.realpath(sys.executable))} agent_executors.py --executor", "uris": [self.server.uri(path) for path in EXECUTOR]}
        info = self.framework.custom_executor("own", command, resources=scalars(cpus=0.1, mem=64), container=of(container=PROGRAMS))

        def run_in_it(name):
            offer = self.framework.wait_offer(cpus=0.5, mem=128)
            self.framework.launch(offer, [task_of(info, name, offer)])
            return self.framework.wait_state(name, "TASK_RUNNING", limit_s=LIMIT_S)
        running = run_in_it("first-of-own")
        report.equal("executor: a framework's own runs in its container, and tells of its task", running.get("labels"), {"labels": [{"key": "told", "value": "by executor"}]})
        found = self.inspected("own")
        report.check("executor: its container is the engine's, with its variables", "MESOS_EXECUTOR_ID=own" in found["Config"]["Env"] and found["State"]["Running"], found["Config"])
        report.equal("executor: with what it and its first task request", found["HostConfig"]["Memory"] >> 20, 96)
        run_in_it("second-of-own")
        report.equal("executor: a second task is its own too, which has as much more", wait(lambda: self.inspected("own")["HostConfig"]["Memory"] >> 20 == 128, LIMIT_S), True)
        self.agent.kill()
        self.agent.start()
        subscribed = os.path.join(self.sandbox("own"), "subscribed")
        report.check("executor: it subscribes to the agent after that one was killed", wait(lambda: open(subscribed, encoding="ascii").read().count("200") == 2, LIMIT_S), self.agent.log_tail())
        report.equal("executor: in the same process", self.inspected("own")["State"]["Pid"], found["State"]["Pid"])
        self.kill("first-of-own")
        self.ended("first-of-own", "TASK_KILLED")
        self.framework.call("SHUTDOWN", shutdown={"executor_id": {"value": "own"}, "agent_id": running["agent_id"]})
        report.check("executor: and ends when it is told to", wait(lambda: not self.inspected("own")["State"]["Running"], LIMIT_S), self.inspected("own")["State"])
        report.check("executor: of its own accord", os.path.exists(os.path.join(self.sandbox("own"), "shutdown")))

    # --- persistent volumes ---

    def with_volume(self, name, command, *operations, volume_id="v", state="TASK_FINISHED"):
        wanted = {"cpus", "mem"} if operations else {"cpus", "mem", "disk"}
        offer = self.framework.take_offer(lambda it: wanted <= {r["name"] for r in it["resources"]} and (operations or volume_id in volumes_in(it)), LIMIT_S)
        info = {**task(name, offer, command), "container": of()}
        info["resources"] += [STORE.volume(volume_id, 64, "data/deep")]
        self.framework.accept(offer, *operations, launch(info))
        return self.framework.wait_state(name, state, limit_s=LIMIT_S)

    def volumes(self):
        made = [reserve(*STORE.scalars(disk=64)), create(STORE.volume("v", 64, "data/deep"))]
        self.with_volume("keeper", "echo abc > $MESOS_SANDBOX/data/deep/file", *made)
        with open(STORE.on_disk(self.house, "v", "file"), encoding="utf-8") as file:
            report.equal("volume: what a task writes to a persistent one stays", file.read(), "abc\n")
        owner = os.stat(STORE.on_disk(self.house, "v"))
        report.equal("volume: it belongs to the task's user", pwd.getpwuid(owner.st_uid).pw_name, USER)
        report.equal("volume: nothing of it is mounted afterwards", self.mounts(self.sandbox("keeper")), [])

    def volumes_after_restart(self):
        self.with_volume("holder", f"{WAIT_FOR_GO}; cat $MESOS_SANDBOX/data/deep/file; echo def >> $MESOS_SANDBOX/data/deep/file", state="TASK_RUNNING")
        pid = self.inspected("holder")["State"]["Pid"]
        self.agent.kill()
        self.agent.start()
        wait(self.house.agents_are_back, LIMIT_S)
        report.check("volume: who has one runs on when the agent is killed", alive(pid))
        self.finish("holder")
        with open(STORE.on_disk(self.house, "v", "file"), encoding="utf-8") as file:
            report.equal("volume: and reads and writes it after that", (self.output("holder"), file.read()), ("abc\n", "abc\ndef\n"))
        report.equal("volume: which leaves no mount either", self.mounts(self.sandbox("holder")), [])

    def volumes_of_orphans(self):
        body = {"Image": "box:1", "Entrypoint": ["sleep"], "Cmd": ["1000"], "Labels": {"tepui.agent": os.path.realpath(self.house.path("agent0")), "tepui.container": "lost"},
                "HostConfig": {"NetworkMode": "host", "Mounts": [{"Type": "bind", "Source": STORE.on_disk(self.house, "v"), "Target": "/mnt/mesos/sandbox/data"}]}}
        self.engine.call("POST", "/containers/create?name=mesos-lost", json.dumps(body))
        self.engine.call("POST", "/containers/mesos-lost/start")
        # Somebody's, with a name that looks as if it were Mesos'.
        self.engine.call("POST", "/containers/create?name=mesos-malformedUUID", json.dumps({**body, "Labels": {}}))
        self.engine.call("POST", "/containers/mesos-malformedUUID/start")
        report.check("orphan: one with a persistent volume is ended", wait(lambda: "/mesos-lost" not in self.engine.names(), LIMIT_S), self.engine.names())
        report.check("orphan: the volume stays, and no mount of it", os.path.exists(STORE.on_disk(self.house, "v", "file")) and not self.mounts(self.sandbox("holder")))
        self.agent.kill()
        self.agent.start()
        wait(self.house.agents_are_back, LIMIT_S)
        self.run("after-orphans", "true", of())
        report.check("orphan: a container whose name only looks like Mesos' is let be", "/mesos-malformedUUID" in self.engine.names(running=True), self.engine.names())

    # --- files and users ---

    def users(self):
        self.run("of-nobody", "echo foo; id -u", of())
        sandbox = self.sandbox("of-nobody")
        owners = {pwd.getpwuid(os.stat(path).st_uid).pw_name for path in (sandbox, os.path.join(sandbox, "stdout"), os.path.join(sandbox, "stderr"))}
        report.equal("user: the framework's has the sandbox and its output", owners, {USER})
        report.equal("user: who writes there is the image's user, and can", self.output("of-nobody"), "foo\n0\n")
        out = self.run("as-nobody", "id -u; echo mine > $MESOS_SANDBOX/mine && cat $MESOS_SANDBOX/mine", of(parameters=parameters(user="65534:65534")))
        report.equal("user: who runs as that user can write in its sandbox", out, "65534\nmine\n")

    def fetching(self):
        failed = self.run("unfetched", {"value": "exit 0", "uris": [self.server.uri("/absent")]}, of(), "TASK_FAILED")
        report.check("fetch: what cannot be had is told", "Failed to fetch all URIs for container" in failed["message"] and "404" in failed["message"], failed)
        report.check("fetch: then there is no container", self.is_forgotten("unfetched"), self.engine.names())
        offer = self.framework.wait_offer(cpus=0.5, mem=128)
        stalled = {**task("stalled", offer, "exit 0"), "container": of()}
        stalled["command"]["uris"] = [self.server.uri("/never")]
        self.framework.launch(offer, [stalled])
        report.check("fetch: it goes on", self.server.asked.wait(LIMIT_S))
        self.kill("stalled")
        status = self.ended("stalled", "TASK_KILLED")
        report.check("fetch: a task that is killed meanwhile is ended at once, and has no container", self.is_forgotten("stalled"), status)

    # --- ends ---

    def ends(self):
        trapped = "trap 'exit 0' TERM; while true; do sleep 0.1; done"
        self.start("gentle", trapped, of(), "TASK_RUNNING")
        self.kill("gentle")
        self.ended("gentle", "TASK_KILLED")
        report.equal("kill: who ends with status 0 when asked to is killed, not finished", self.framework.told("gentle"), ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"])
        unknown = {"value": "00000000-0000-4000-8000-000000000000"}
        text = f"Container {unknown['value']} cannot be found"
        report.equal("unknown: nobody waits for a container that is not there", self.agent_says("WAIT_CONTAINER", container_id=unknown), (404, text))
        report.equal("unknown: nor is one destroyed", self.agent_says("KILL_CONTAINER", container_id=unknown), (404, text.replace(unknown['value'], "'" + unknown['value'] + "'") + " (or is already killed)"))
        # The kill comes in the same breath, whatever becomes of the launch.
        for name, container in (("breath", of()), ("breath-of-nothing", of(parameters=parameters(restart="always"))), ("breath-of-mesos", {"type": "MESOS"})):
            offer = self.framework.wait_offer(cpus=0.5, mem=128)
            self.framework.launch(offer, [{**task(name, offer, "sleep 1000"), "container": container}])
            self.kill(name)
            ends = {"TASK_KILLED", "TASK_FAILED"}
            self.framework.wait(lambda n=name: ends & set(self.framework.told(n)), LIMIT_S, f"an end of {name}")
        told = {name: [state for state in self.framework.told(name) if state in ("TASK_KILLED", "TASK_FAILED", "TASK_LOST")] for name in ("breath", "breath-of-nothing", "breath-of-mesos")}
        report.equal("breath: what is killed while it is launched ends once", told, {"breath": ["TASK_KILLED"], "breath-of-nothing": ["TASK_FAILED"], "breath-of-mesos": ["TASK_KILLED"]})
        report.check("breath: and runs nowhere", wait(lambda: not self.running("breath"), LIMIT_S), self.engine.names(running=True))

    def running(self, name):
        sandbox = self.sandbox(name)
        return sandbox and f"/mesos-{os.path.basename(sandbox)}" in self.engine.names(running=True)

    # --- limits and devices ---

    def quota(self):
        script = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null | head -n 1"
        report.equal("quota: with --cgroups-enable-cfs the CPUs of a task are a hard limit", self.run("quota", script, of(), cpus=1).split()[:1], ["100000"])

    def gpus(self):
        report.equal("gpus: the agent offers them", get(self.agent.port, "/state")["resources"]["gpus"], 1)
        name, = GPU
        script = f"(exec 3<{name}) 2>/dev/null && echo opened; {WAIT_FOR_GO}"
        self.start("gpu", script, of(), "TASK_RUNNING", extra=scalars(gpus=1))
        report.equal("gpus: a task that asks for one finds it in its container", self.waits(lambda: self.output("gpu")), "opened\n")
        devices = self.inspected("gpu")["HostConfig"]["Devices"]
        report.equal("gpus: and what all GPUs need", [(it["PathOnHost"], it["PathInContainer"], it["CgroupPermissions"]) for it in devices], [(name, name, "rwm"), (SHARED_DEVICE, SHARED_DEVICE, "rw")])
        self.agent.kill()
        self.agent.start()
        wait(self.house.agents_are_back, LIMIT_S)
        self.finish("gpu")
        report.equal("gpus: once it has ended another one has it", self.run("next-gpu", f"(exec 3<{name}) && echo opened", of(), extra=scalars(gpus=1)), "opened\n")
        report.equal("gpus: a task without has none", self.run("no-gpu", f"test -e {name} || echo none", of()), "none\n")

    # --- networks and checks ---

    def networks(self):
        body = {"Name": "team", "Driver": "bridge", "EnableIPv6": True, "IPAM": {"Config": [{"Subnet": "10.124.0.0/24"}, {"Subnet": "fd00:7e:7e::/64"}]}}
        report.equal("network: one of both families is made", self.engine.call("POST", "/networks/create", json.dumps(body))[0], 201)
        user = of(network="USER", container={"network_infos": [{"name": "team"}], **PROGRAMS})
        folder = self.house.path("tls")
        os.makedirs(folder)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=elsewhere", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                       check=True, capture_output=True)
        user["volumes"] = user["volumes"] + [{"mode": "RO", "container_path": "/tls", "host_path": folder}]
        serve = "exec /usr/bin/openssl s_server -quiet -www -accept 443 -cert /tls/cert.pem -key /tls/key.pem"
        https = {"type": "HTTP", "http": {"port": 443, "scheme": "https", "path": "/"}, **OFTEN}
        running = self.start("https", serve, user, "TASK_RUNNING", health_check=https)
        addresses = {it.get("protocol", "IPv4"): it["ip_address"] for it in running["container_status"]["network_infos"][0]["ip_addresses"]}
        report.check("network: addresses of both families are told", addresses["IPv4"].startswith("10.124.0.") and addresses["IPv6"].startswith("fd00:7e:7e:"), addresses)
        state = get(self.agent.port, "/state")["frameworks"][0]["executors"]
        told = next(it for executor in state for it in executor["tasks"] if it["id"] == "https")["statuses"]
        shown = next(it for it in told if it["state"] == "TASK_RUNNING")["container_status"]["network_infos"][0]["ip_addresses"]
        report.equal("network: and shown by /state", {it.get("protocol", "IPv4"): it["ip_address"] for it in shown}, addresses)
        report.check("check: by HTTPS in the container's network, whosever certificate it is", self.waits(lambda: any(it.get("healthy") for it in self.framework.updates_of("https"))), self.output("https", "stderr"))
        self.start("tcp", f"{WAIT_FOR_GO} & exec busybox httpd -f -p 80 -h /tls", user, "TASK_RUNNING", health_check={"type": "TCP", "tcp": {"port": 80}, **OFTEN})
        report.check("check: by TCP in the container's network", self.waits(lambda: any(it.get("healthy") for it in self.framework.updates_of("tcp"))), self.framework.updates_of("tcp"))
        for name in ("https", "tcp"):
            self.kill(name)
            self.ended(name, "TASK_KILLED")
        running = self.start("host-v6", WAIT_FOR_GO, of(), "TASK_RUNNING")
        infos = running["container_status"]["network_infos"]
        report.equal("network: of the machine's the agent's own addresses are told", [(it.get("protocol"), it["ip_address"]) for it in infos[0]["ip_addresses"]], [("IPv4", "127.0.0.1"), ("IPv6", "::1234")])
        self.finish("host-v6")

    def changing(self):
        """A health check that fails each other time, by a file in the container that the machine has not."""
        flips = "rm /tmp-of-the-container || { echo foo > /tmp-of-the-container && exit 1; }"
        health = {"type": "COMMAND", "command": {"value": flips}, **OFTEN, "grace_period_seconds": 0, "consecutive_failures": 100}
        self.start("changing", WAIT_FOR_GO, of(), "TASK_RUNNING", health_check=health)

        def said():
            told = [it["healthy"] for it in self.framework.updates_of("changing") if "healthy" in it]
            return told[:3] if len(told) >= 3 else None
        report.equal("check: health that changes in a container is told each time", self.waits(said), [False, True, False])
        report.check("check: its command saw the container's files", not os.path.exists("/tmp-of-the-container"))
        self.finish("changing")


def main():
    if os.geteuid() != 0:
        report.check("left out: an engine needs root", True)
        sys.exit(report.end())
    own_network()
    house = House(resources="cpus:8;mem:8192;disk:1000;ports:[31000-32000]")
    # What is fetched is written by the task's user.
    os.chmod(house.folder, 0o711)
    engine = Engine(house.path("engine"))
    Checks.server = Server()
    for path, number in GPU.items():
        if not os.path.exists(path):
            os.mknod(path, 0o20666, number)
            os.chmod(path, 0o666)
    try:
        engine.start()
        engine.load(Image(env=["COLOUR=blue"]).layer(busybox()), "box:1")
        allowed = {"allowed_devices": [{"device": {"path": SHARED_DEVICE}, "access": {"read": True, "write": True}}]}
        house.agents[0].command += ["--containerizers", "docker,mesos", "--docker-socket", engine.socket, "--docker-remove-delay", "30secs", "--ip6", "::1234", "--cgroups-enable-cfs",
                                    "--gpu-devices", ",".join(GPU), "--allowed-devices", json.dumps(allowed)]
        with house:
            framework = Scheduler(house.address, "engine", capabilities=["TASK_KILLING_STATE", "MULTI_ROLE", "RESERVATION_REFINEMENT", "GPU_RESOURCES"])
            framework.info.update(roles=[STORE.role], principal=STORE.principal, user=USER)
            framework.subscribe()
            checks = Checks(house, framework, engine)
            report.run(checks.executor, checks.volumes, checks.volumes_after_restart, checks.volumes_of_orphans, checks.users, checks.fetching, checks.ends, checks.quota, checks.gpus,
                       checks.networks, checks.changing)
            framework.close()
            engine.stop()
    finally:
        Checks.server.stop()
        engine.stop()
        for path in GPU:
            if os.path.exists(path):
                os.unlink(path)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
