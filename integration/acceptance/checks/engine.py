#!/usr/bin/env python3
"""engine.py: containers of type DOCKER that a Docker engine runs through its API, on a real dockerd.

Wants TEPUI_BIN, root and Debian's busybox-static, docker.io and docker-registry. Ends with 0 or 1.
"""
import glob
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, alive, get, post, process_called  # noqa: E402
from engine_maker import Engine, own_network  # noqa: E402
from engine_tasks import EngineTasks, of, parameters  # noqa: E402
from free_port import free_ranges  # noqa: E402
from image_maker import Image, Registry, busybox  # noqa: E402
from report import Report, wait  # noqa: E402
from sandbox import WAIT_FOR_GO  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402
from tasks import LIMIT_S  # noqa: E402
from tepui_command import tepui_in_bytes  # noqa: E402
from terminal import Terminal  # noqa: E402

report = Report()


class Checks(EngineTasks):
    def first(self):
        script = "echo out; echo err >&2; echo $MESOS_CONTAINER_NAME $COLOUR $MESOS_SANDBOX \"$MESOS_ALLOCATION_ROLE\"; ls $MESOS_SANDBOX; touch $MESOS_SANDBOX/mine; pwd; test -e /usr && echo host; true"
        out = self.run("first", script, of())
        name = f"mesos-{os.path.basename(self.sandbox('first'))}"
        lines = out.splitlines()
        report.equal("engine: a command runs in its image, with Mesos' variables", lines[1], f"{name} blue /mnt/mesos/sandbox *")
        report.equal("engine: its output is in its sandbox", (lines[0], self.output("first", "stderr")), ("out", "err\n"))
        report.check("engine: it sees its sandbox, and nothing of the machine", os.path.exists(os.path.join(self.sandbox("first"), "mine")) and "host" not in lines, out)
        report.check("engine: which keeps it for people to look at", f"/{name}" in self.engine.names())
        running = next(it for it in self.framework.updates_of("first") if it["state"] == "TASK_RUNNING")
        told = json.loads(__import__("base64").b64decode(running["data"]))
        report.equal("engine: TASK_RUNNING tells what the engine tells", (told[0]["Name"], len(told)), (f"/{name}", 1))
        report.equal("engine: the last word is Mesos'", self.framework.updates[-1]["message"], "Container exited with status 0")
        failed = self.run("seven", "exit 7", of(), "TASK_FAILED")
        report.equal("engine: an exit status is told", failed["message"], "Container exited with status 7")

    def commands(self):
        self.engine.load(Image(entrypoint=["echo", "-n"], cmd=["default"]).layer(busybox()), "echo:1")
        report.equal("command: the image's own", self.run("own", {"shell": False}, of("echo:1")), "default")
        report.equal("command: words follow the entrypoint", self.run("words", {"shell": False, "value": "a", "arguments": ["b"]}, of("echo:1")), "a b")
        failed = self.run("absent", {"shell": False, "value": "/absent"}, of(), "TASK_FAILED")
        report.check("command: a program that is not there is told in the engine's words", "no such file" in failed["message"], failed["message"])
        report.check("command: nothing is left of it", wait(lambda: f"/mesos-{os.path.basename(self.sandbox('absent'))}" not in self.engine.names(), LIMIT_S))

    def limits(self):
        # Podman adds a limit of processes, which may be above the machine's, where only another one is given.
        given = parameters(label="team=a", memory_swap="256m", ulimit="nofile=100:200", cap_drop="KILL", env="EXTRA=1") + parameters(ulimit="nproc=1000:2000")
        self.start("limited", "sleep 1000", of(parameters=given), "TASK_RUNNING", cpus=0.5, mem=64, limits={"cpus": {"value": 1.5}, "mem": {"value": 96}})
        found = self.inspected("limited")
        host = found["HostConfig"]
        report.equal("limits: shares, quota, memory and its request", (host["CpuShares"], host["CpuQuota"], host["Memory"] >> 20, host["MemoryReservation"] >> 20), (512, 150000, 96, 64))
        report.check("limits: who may use more than requested is ended first", host["OomScoreAdj"] > 900, host["OomScoreAdj"])
        files = next(it["Hard"] for it in host["Ulimits"] if it["Name"].lower().endswith("nofile"))
        dropped = "KILL" in [it.removeprefix("CAP_") for it in host["CapDrop"]]
        report.equal("parameters: label, swap, ulimit, capability", (found["Config"]["Labels"]["team"], host["MemorySwap"] >> 20, files, dropped), ("a", 256, 200, True))
        report.check("parameters: a variable", "EXTRA=1" in found["Config"]["Env"])
        used = [it for it in get(self.agent.port, "/monitor/statistics") if it["executor_id"] == "limited"]
        report.check("usage: the engine's figures of the container", used and used[0]["statistics"]["mem_limit_bytes"] == 96 << 20 and used[0]["statistics"]["cpus_user_time_secs"] >= 0, used)
        containers = post(self.agent.port, {"type": "GET_CONTAINERS"})["get_containers"]["containers"]
        one = next(it for it in containers if it["executor_id"]["value"] == "limited")
        report.equal("usage: GET_CONTAINERS has it with its pid", one["container_status"]["executor_pid"], found["State"]["Pid"])
        self.kill("limited")
        self.ended("limited", "TASK_KILLED")
        endless = self.start("endless", "sleep 1000", of(), "TASK_RUNNING", mem=64, limits={"mem": {"value": "Infinity"}}) and self.inspected("endless")["HostConfig"]
        report.equal("limits: an endless one leaves the request", (endless["Memory"], endless["MemoryReservation"] >> 20), (0, 64))
        self.kill("endless")
        self.ended("endless", "TASK_KILLED")
        failed = self.run("unknown", "true", of(parameters=parameters(restart="always")), "TASK_FAILED")
        report.check("parameters: an unknown one is refused by its name", "parameter 'restart'" in failed["message"], failed["message"])

    def out_of_memory(self):
        failed = self.run("hungry", "head -c 200000000 /dev/zero | busybox tail", of(parameters=parameters(memory_swap="32m")), "TASK_FAILED")
        report.check("limits: who takes more memory is ended, and told why", failed.get("reason") == "REASON_CONTAINER_LIMITATION_MEMORY", failed)

    def volumes(self):
        shared = self.house.path("shared")
        os.makedirs(shared)
        with open(os.path.join(shared, "file"), "w", encoding="utf-8") as file:
            file.write("of the host\n")
        both = [{"mode": "RO", "container_path": "/ro", "host_path": shared}, {"mode": "RW", "container_path": "inner", "host_path": shared}, {"mode": "RW", "container_path": "/own", "host_path": "made"}]
        out = self.run("volumes", "cat /ro/file; touch /ro/x || echo closed; touch $MESOS_SANDBOX/inner/x /own/y && echo open", of(container={"volumes": both}))
        report.equal("volumes: of the host, read-only or not, and of the sandbox", out, "of the host\nclosed\nopen\n")
        report.check("volumes: a relative one lies in the sandbox", os.path.exists(os.path.join(self.sandbox("volumes"), "made", "y")))
        failed = self.run("both", "true", of(container={"volumes": [{"mode": "RW", "container_path": "a", "host_path": "b"}]}), "TASK_FAILED")
        report.equal("volumes: not both relative", failed["message"], "Failed to create docker run options: Both host_path 'b' and container_path 'a' of a volume are relative")

    def networks(self):
        self.engine.call("POST", "/networks/create", json.dumps({"Name": "team", "Driver": "bridge", "IPAM": {"Config": [{"Subnet": "10.123.0.0/24"}]}}))
        user = of(network="USER", container={"network_infos": [{"name": "team"}], "hostname": "inner"}, port_mappings=[{"host_port": 31500, "container_port": 80}])
        ports = {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31500, "end": 31500}]}}
        script = "cat /etc/hostname; mkdir -p /www; echo served > /www/index.html; busybox httpd -f -p 80 -h /www"
        health = {"type": "HTTP", "http": {"port": 80, "path": "/index.html", "scheme": "http"}, "delay_seconds": 0, "interval_seconds": 0.3, "grace_period_seconds": 30}
        running = self.start("served", script, user, "TASK_RUNNING", extra=[ports], health_check=health)
        infos = running["container_status"]["network_infos"]
        address = infos[0]["ip_addresses"][0]["ip_address"]
        report.check("network: a user's network gives an address, which is told", address.startswith("10.123.0.") and infos[0].get("name") == "team", infos)
        import urllib.request
        report.equal("network: a port of the machine leads to one of the container", wait(lambda: urllib.request.urlopen("http://127.0.0.1:31500/index.html", timeout=5).read(), LIMIT_S), b"served\n")
        healthy = wait(lambda: any(it.get("healthy") for it in self.framework.updates_of("served")), LIMIT_S)
        report.check("network: a health check by HTTP asks in the container's network", healthy, self.framework.updates[-1])
        self.kill("served")
        self.ended("served", "TASK_KILLED")
        report.equal("network: a host name", self.output("served").splitlines()[0], "inner")
        out = self.run("none", "cat /proc/net/dev | grep -c :", of(network="NONE"))
        report.equal("network: none is a loopback alone", out, "1\n")
        failed = self.run("port", "true", of(network="BRIDGE", port_mappings=[{"host_port": 1, "container_port": 80}]), "TASK_FAILED", extra=[{**ports, "ranges": {"range": [{"begin": 31600, "end": 31600}]}}])
        report.check("network: a port is one of the task's", "Port [1] not included in resources" in failed["message"], failed["message"])

    def checked(self):
        health = {"type": "COMMAND", "delay_seconds": 0, "interval_seconds": 0.3, "grace_period_seconds": 0, "consecutive_failures": 2, "timeout_seconds": 20,
                  "command": {"shell": True, "value": "test \"$COLOUR\" = 'blue' && test ! -e $MESOS_SANDBOX/sick"}}
        self.start("checked", WAIT_FOR_GO, of(), "TASK_RUNNING", health_check=health)
        mine = lambda: self.framework.updates_of("checked")  # noqa: E731
        report.check("health: a command within the container says that it is well", wait(lambda: any(it.get("healthy") for it in mine()), LIMIT_S), mine()[-1])
        with open(os.path.join(self.sandbox("checked"), "sick"), "w", encoding="utf-8"):
            pass
        last = self.ended("checked", "TASK_KILLED")
        report.check("health: and ends it where it is not", last.get("healthy") is False, last)

    def killed(self):
        self.start("polite", "trap 'echo bye; exit 0' TERM; while true; do sleep 0.1; done", of(), "TASK_RUNNING", kill_policy={"grace_period": {"nanoseconds": 30_000_000_000}})
        self.kill("polite")
        self.ended("polite", "TASK_KILLED")
        report.equal("kill: a command is asked first", self.output("polite"), "bye\n")
        self.start("stubborn", "trap '' TERM; while true; do sleep 0.1; done", of(), "TASK_RUNNING", kill_policy={"grace_period": {"nanoseconds": 3_600_000_000_000}})
        self.kill("stubborn", kill_policy={"grace_period": {"nanoseconds": 100_000_000}})
        status = self.ended("stubborn", "TASK_KILLED")
        states = [it["state"] for it in self.framework.updates_of("stubborn")]
        report.equal("kill: then killed, after the kill's own grace", (status["message"], states[-2:]), ("Container exited with status 137", ["TASK_KILLING", "TASK_KILLED"]))
        late = self.run("late", "sleep 1000", of(), "TASK_FAILED", max_completion_time={"nanoseconds": 1_000_000_000})
        report.equal("kill: a task that takes too long", late["reason"], "REASON_MAX_COMPLETION_TIME_REACHED")

    def exec(self, task, *command, given=None):
        """(exit status, stdout, stderr) of `tepui exec`."""
        return tepui_in_bytes(*self.exec_words(task, *command)[1:], given=given, timeout=LIMIT_S)

    def exec_words(self, task, *command):
        return [os.environ["TEPUI_BIN"], "exec", "--master", self.house.address, task, "--", *command]

    def sessions(self):
        command = {"value": "sleep 1000", "environment": {"variables": [{"name": "OF_THE_TASK", "value": "value"}]}}
        self.start("box", command, of(), "TASK_RUNNING")
        script = "echo out; echo err >&2; echo $COLOUR $OF_THE_TASK; test -e /usr || echo in-the-image; ls -d $MESOS_SANDBOX; exit 3"
        report.equal("session: output, errors and status of a command in the container", self.exec("box", "sh", "-c", script), (3, b"out\nblue value\nin-the-image\n/mnt/mesos/sandbox\n", b"err\n"))
        data = os.urandom(3 << 20)
        report.check("session: what is piped in comes out", self.exec("box", "cat", given=data) == (0, data, b""))
        report.equal("session: an end of input", self.exec("box", "sh", "-c", "cat; echo end"), (0, b"end\n", b""))
        report.equal("session: ended by signal 9 is 137", self.exec("box", "sh", "-c", "kill -9 $$")[0], 137)
        absent = self.exec("box", "no-such-command")
        report.check("session: a command that is not there is told", absent[0] in (125, 126, 127) and b"no-such-command" in absent[1] + absent[2], absent)
        process = subprocess.Popen(self.exec_words("box", "sh", "-c", "sleep 4711; true"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pid = wait(lambda: process_called("sleep", "4711"), LIMIT_S)
        process.kill()
        process.wait()
        report.check("session: it ends with its client, whatever it runs", wait(lambda: not alive(pid), LIMIT_S))

    def a_terminal(self):
        person = Terminal(self.exec_words("box", "sh"), os.environ)
        # The shell drops what was typed before it was ready.
        person.until(b"# ")
        person.type(b"stty size; tty\n")
        report.check("terminal: of the user's size", person.until(b"30 90"), person.seen)
        report.check("terminal: a real one", person.until(b"/dev/pts/"), person.seen)
        person.resize(44, 101)
        person.type(b"until stty size | grep '44 10[1]'; do sleep 0.1; done\n")
        report.check("terminal: follows the user's size", person.until(b"44 101"), person.seen)
        person.type(b"sleep 4712\n")
        wait(lambda: process_called("sleep", "4712"), LIMIT_S)
        person.type(b"\x03")
        person.type(b"echo al''ive $?\n")
        report.check("terminal: Ctrl-C ends the command, not the shell", person.until(b"alive 130"), person.seen)
        person.type(b"\x04")
        report.equal("terminal: Ctrl-D ends the shell, with the status of its last command", person.end(), 0)

    @staticmethod
    def noted(pid):
        """Whether an agent has the process around this one among what the next is to end."""
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            around = int(stat.read().rpartition(")")[2].split()[1])
        for path in glob.glob("/run/tepui/*/*/engine"):
            with open(path, encoding="utf-8") as file:
                record = json.load(file)
            if record["is_session"] and record["process"] and record["process"][0] == around:
                return True
        return False

    def sessions_end(self):
        """With the agent, and with the container."""
        process = subprocess.Popen(self.exec_words("box", "sh", "-c", "sleep 4713; true"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pid = wait(lambda: process_called("sleep", "4713"), LIMIT_S)
        # An engine tells a moment later which process that is; an agent that dies before cannot leave word of it.
        report.need("session: the agent notes its process", wait(lambda: self.noted(pid), LIMIT_S))
        self.agent.kill()
        self.agent.start()
        report.need("session: the agent is back", wait(self.agent.registered, LIMIT_S), self.agent.log_tail())
        report.check("session: one of an agent that was killed is ended by the next", wait(lambda: not alive(pid), LIMIT_S))
        process.wait()
        report.equal("session: and others are as before", wait(lambda: self.exec("box", "echo", "again"), LIMIT_S), (0, b"again\n", b""))
        nested = {"value": "inner", "parent": {"value": os.path.basename(self.sandbox("box"))}}
        status, text = self.agent_says("LAUNCH_NESTED_CONTAINER", container_id=nested, command={"value": "true"})
        report.check("session: containers within it are refused with what to do instead", status >= 400 and "docker exec" in text, (status, text))
        process = subprocess.Popen(self.exec_words("box", "sleep", "4714"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait(lambda: process_called("sleep", "4714"), LIMIT_S)
        self.kill("box")
        self.ended("box", "TASK_KILLED")
        report.equal("session: it ends with the task", (process.wait(LIMIT_S), process_called("sleep", "4714")), (137, None))

    def survives(self):
        """The agent is killed while tasks write, end and run on."""
        script = "i=0; while ! test -e $MESOS_SANDBOX/go; do i=$((i+1)); echo line $i; sleep 0.01; done; echo last; exit 5"
        for name in ("writer", "ended"):
            self.start(name, script, of(), "TASK_RUNNING")
        wait(lambda: self.output("writer").count("\n") > 50, LIMIT_S)
        pid = self.inspected("writer")["State"]["Pid"]
        self.agent.kill()
        self.go("ended")
        wait(lambda: not self.inspected("ended")["State"]["Running"], LIMIT_S)
        self.agent.start()
        status = self.ended("ended", "TASK_FAILED")
        report.equal("restart: an end that fell in between is told", status["message"], "Container exited with status 5")
        report.check("restart: who runs runs on", alive(pid) and self.inspected("writer")["State"]["Pid"] == pid)
        self.finish("writer", "TASK_FAILED")
        for name in ("writer", "ended"):
            lines = self.output(name).splitlines()
            report.check(f"restart: each line is there once ({name})", lines == [f"line {number}" for number in range(1, len(lines))] + ["last"] and len(lines) > 1, f"{lines[:3]} {lines[-3:]} {len(lines)}")

    def forsaken(self):
        """Nobody starts the agent again in time."""
        usual = self.agent.command
        self.agent.kill()
        self.agent.command = [*usual, "--recovery-timeout", "4secs"]
        self.agent.start()
        report.need("away: the agent is back", wait(self.agent.registered, LIMIT_S), self.agent.log_tail())
        self.start("waits", "trap 'echo asked; exit 0' TERM; while :; do sleep 0.1; done", of(), "TASK_RUNNING")
        pid = self.inspected("waits")["State"]["Pid"]
        self.agent.kill()
        report.check("away: a container ends when no agent comes", wait(lambda: not alive(pid), LIMIT_S), pid)
        self.agent.command = usual
        self.agent.start()
        status = self.ended("waits", "TASK_FAILED")
        report.equal("away: and its framework hears why", (status["reason"], status["message"]), (
            "REASON_EXECUTOR_TERMINATED", "Executor terminated: its agent was away for longer than the recovery timeout"))
        report.equal("away: it was asked first", self.output("waits"), "asked\n")

    def orphans(self):
        """A container of this agent that it does not know any more, and one of somebody else."""
        body = {"Image": "box:1", "Entrypoint": ["sleep"], "Cmd": ["1000"], "Labels": {"tepui.agent": os.path.realpath(self.house.path("agent0")), "tepui.container": "unknown"}}
        self.engine.call("POST", "/containers/create?name=mesos-unknown", json.dumps(body))
        self.engine.call("POST", "/containers/create?name=mesos-not-ours", json.dumps({**body, "Labels": {"tepui.agent": "/another"}}))
        for name in ("mesos-unknown", "mesos-not-ours"):
            self.engine.call("POST", f"/containers/{name}/start")
        report.check("orphan: one that nobody knows is killed, and removed", wait(lambda: "/mesos-unknown" not in self.engine.names(), LIMIT_S), self.engine.names())
        report.check("orphan: those of others are let be", "/mesos-not-ours" in self.engine.names(running=True))
        label = f"tepui.agent={os.path.realpath(self.house.path('agent0'))}"
        report.check("orphan: containers that ended are removed after a while", wait(lambda: not self.engine.labelled(label), LIMIT_S), self.engine.labelled(label))

    def engine_dies(self):
        self.start("outlives", "sleep 1000", of(), "TASK_RUNNING")
        self.engine.kill()
        offer = self.framework.wait_offer(cpus=0.5, mem=128)
        self.framework.launch(offer, [{**task("no-engine", offer, "true"), "container": of()}])
        failed = self.ended("no-engine", "TASK_FAILED")
        report.check("dead engine: told to who wants a container", "cannot be reached" in failed["message"], failed["message"])
        report.equal("dead engine: the agent answers", get(self.agent.port, "/state")["frameworks"][0]["id"], self.framework.id)
        plain = self.framework.wait_offer(cpus=0.5, mem=128)
        self.framework.launch(plain, [task("plain", plain, "true")])
        self.ended("plain")
        report.check("dead engine: others run", True)
        self.engine.start()
        status = self.ended("outlives", "TASK_FAILED")
        report.check("dead engine: what it ended is told when it is back", status["message"].startswith("Container exited with status"), status)
        report.equal("dead engine: and all is well then", self.run("again", "echo again", of()), "again\n")

    def pulled(self, registry):
        name = f"127.0.0.1:{registry.port}/team/pulled:1"
        Image(cmd=["echo", "pulled"]).layer(busybox()).push(registry.port, "team/pulled", "1")
        report.equal("pull: an image that is not there is fetched by the engine", self.run("pulled", {"shell": False}, of(name)), "pulled\n")
        Image(cmd=["echo", "newer"]).layer(busybox()).push(registry.port, "team/pulled", "1")
        report.equal("pull: what is there will do", self.run("cached", {"shell": False}, of(name)), "pulled\n")
        report.equal("pull: unless it will not", self.run("forced", {"shell": False}, of(name, force_pull_image=True)), "newer\n")
        failed = self.run("absent-image", "true", of(f"127.0.0.1:{registry.port}/team/absent:1"), "TASK_FAILED")
        report.check("pull: an image that is nowhere is told", "cannot be had" in failed["message"] and "manifest" in failed["message"], failed["message"])


def main():
    if os.geteuid() != 0:
        report.check("left out: an engine needs root", True)
        sys.exit(report.end())
    own_network()
    house = House(resources="cpus:8;mem:8192;disk:1000;ports:[31000-32000]")
    engine = Engine(house.path("engine"))
    registry = Registry(house.folder, free_ranges(1, 1)[0])
    try:
        engine.start()
        engine.load(Image(env=["COLOUR=blue"]).layer(busybox()), "box:1")
        house.agents[0].command += ["--containerizers", "docker,mesos", "--docker-socket", engine.socket, "--docker-remove-delay", "3secs"]
        wait(registry.ready, LIMIT_S)
        with house:
            framework = Scheduler(house.address, "engine", capabilities=["TASK_KILLING_STATE"]).subscribe()
            checks = Checks(house, framework, engine)
            report.run(checks.first, checks.commands, checks.limits, checks.out_of_memory, checks.volumes, checks.networks, checks.checked, checks.killed, checks.sessions, checks.a_terminal, checks.sessions_end,
                       lambda: checks.pulled(registry), checks.survives, checks.forsaken, checks.orphans, checks.engine_dies)
            framework.close()
            engine.stop()
    finally:
        registry.stop()
        engine.stop()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
