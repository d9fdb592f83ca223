#!/usr/bin/env python3
"""command_line.py: what a user of the command line meets: `tepui run` and its exit status, the lists, settings from flags, environment and
file, and one clear line on stderr with an exit status for each wrong value.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import Daemon, House, alive, environment, get, request  # noqa: E402
from free_port import free_ranges  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402

LIMIT_S = 20
NOBODY = 65534
report = Report()


class Checks:
    def __init__(self, house):
        self.house, self.bin = house, os.environ["TEPUI_BIN"]
        self.clean = environment()
        self.nobody = None
        self.free, self.other = free_ranges(1, 2)

    def tepui(self, *words, env=None, user=None):
        """Returns (exit status, stdout, stderr); the status is None where it had to be ended."""
        process = subprocess.Popen([self.bin, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={**self.clean, **(env or {})}, user=user, cwd="/")
        try:
            out, err = process.communicate(timeout=LIMIT_S)
            return process.returncode, out, err
        except subprocess.TimeoutExpired:
            process.kill()
            return (None, *process.communicate())

    def run(self, *command, flags=()):
        return self.tepui("run", "--master", self.house.address, *flags, "--", *command)

    def run_streams_and_exits(self):
        status, out, err = self.run("sh", "-c", "echo words; echo warning >&2")
        report.equal("run: status 0, stdout and stderr of the task", (status, out, err), (0, "words\n", "warning\n"))
        report.equal("run: arguments stay apart", self.run("printf", "%s|", "a b", "", "$HOME")[:2], (0, "a b||$HOME|"))
        report.equal("run: status 3", self.run("sh", "-c", "echo before; exit 3"), (3, "before\n", ""))
        status, _, err = self.run("sh", "-c", "kill -9 $$")
        report.equal("run: ended by signal 9 is 137", (status, err.count("\n")), (137, 1))
        status, out, err = self.run("no-such-command-anywhere")
        report.check("run: a command that is not there: 125 to 127 and one line that says so", status in (125, 126, 127) and not out and err.count("\n") == 1 and "No such file" in err, (status, out, err))
        status, out, _ = self.run("sh", "-c", "yes 0123456789 | head -n 20000; echo end")
        report.check("run: long output is whole", status == 0 and out == "0123456789\n" * 20000 + "end\n", f"status {status}, {len(out)} characters")
        self.run("true", flags=("--name", "named", "--cpus", "0.3", "--mem", "48"))
        found = [t for f in self.house.get("/state")["completed_frameworks"] for t in f["completed_tasks"] if t["name"] == "named"]
        asked = [(t["resources"]["cpus"], t["resources"]["mem"]) for t in found]
        report.equal("run: --name, --cpus and --mem are what is asked for", asked, [(0.3, 48.0)])

    def run_interrupted(self):
        note = self.house.path("interrupted.pid")
        words = [self.bin, "run", "--master", self.house.address, "--", "sh", "-c", f"echo $$ > {note}.new; mv {note}.new {note}; exec sleep 600"]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.clean)
        try:
            report.need("run: a long task runs", wait(lambda: os.path.exists(note), 10))
            with open(note, encoding="ascii") as line:
                pid = int(line.read())
            process.send_signal(signal.SIGINT)
            report.equal("run: Ctrl-C ends with 130", process.wait(10), 130)
            report.check("run: and takes its task along", wait(lambda: not alive(pid), 10))
        finally:
            process.kill()
            process.wait()

    def lists(self):
        framework = Scheduler(self.house.address, "listed").subscribe()
        framework.launch(offer := framework.wait_offer(cpus=1), [task("listed-task", offer, "exec sleep 600", 0.5, 64)])
        framework.wait_state("listed-task", "TASK_RUNNING")
        agent, outstanding = offer["agent_id"]["value"], framework.wait_offer()
        cases = [("ps", "listed-task", ["TASK", "NAME", "STATE"], "id"), ("agents", agent, ["AGENT", "HOST", "STATE"], "id"),
                 ("frameworks", framework.id, ["FRAMEWORK", "NAME"], "id"), ("offers", outstanding["id"]["value"], ["OFFER"], "id")]
        for word, found, header, key in cases:
            status, out, err = self.tepui(word, "--master", self.house.address)
            lines = out.splitlines()
            good = status == 0 and not err and lines and lines[0].split()[:len(header)] == header and any(found in line.split() for line in lines[1:])
            report.check(f"{word}: a table", good, (status, out, err))
            status, out, err = self.tepui(word, "--json", "--master", self.house.address)
            objects = [json.loads(line) for line in out.splitlines()]
            ids = [o[key]["value"] if isinstance(o[key], dict) else o[key] for o in objects]
            report.check(f"{word} --json: one object a line", status == 0 and not err and found in ids, (status, ids, err))
        found = self.tepui("ps", "--json", env={"TEPUI_MASTER": self.house.address})
        report.check("ps: TEPUI_MASTER names the master", found[0] == 0 and "listed-task" in found[1], found)
        framework.teardown()
        framework.close()

    def hostile_names(self):
        """What others chose must not command the terminal of who looks."""
        name = "\x1b]0;owned\x07 \x9b2J gpj.\u202eexe\rline"
        framework = Scheduler(self.house.address, name).subscribe()
        offer = framework.wait_offer(cpus=1)
        framework.launch(offer, [dict(task("hostile", offer, "exec sleep 600", 0.1, 32), name=name)])
        framework.wait_state("hostile", "TASK_RUNNING")
        for word in ("ps", "frameworks"):
            for flags in ([], ["--json"]):
                status, out, err = self.tepui(word, *flags, "--master", self.house.address)
                good = status == 0 and "gpj." in out and not any(c in out + err for c in "\x1b\x07\x9b\u202e\r")
                report.check(f"{word} {' '.join(flags)}: no name commands the terminal", good, (status, out, err))
        names = [json.loads(line)["name"] for line in self.tepui("ps", "--json", "--master", self.house.address)[1].splitlines()]
        report.check("ps --json: the name is still the name", name in names, names)
        framework.teardown()
        framework.close()

    def states_of_agents(self):
        agent_id = get(self.house.port, "/slaves")["slaves"][0]["id"]

        def state():
            lines = self.tepui("agents", "--master", self.house.address)[1].splitlines()
            return next((line.split()[2] for line in lines if line.startswith(agent_id)), None)

        def called(kind):
            body = json.dumps({"type": kind, kind.lower(): {"agent_id": {"value": agent_id}}})
            status, _, answer = request(self.house.port, "POST", "/api/v1", body, {"Content-Type": "application/json"})
            report.equal(f"{kind}", (status, answer), (200, b""))

        found = [state()]
        for kind in ("DEACTIVATE_AGENT", "REACTIVATE_AGENT", "DRAIN_AGENT"):
            called(kind)
            found.append(state())
        report.check("agents: the state of each is told", found[:3] == ["active", "deactivated", "active"] and found[3] in ("draining", "drained"), found)
        called("REACTIVATE_AGENT")

    def patience(self):
        """Who waits is told what for; what can be had later is waited for."""
        words = [self.bin, "run", "--master", self.house.address, "--cpus", "1000", "--", "true"]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=self.clean)
        try:
            line = process.stderr.readline()
            report.check("run: who waits is told why, and how to learn more", "waiting for cpus:1000;mem:32; the largest offer has cpus:" in line
                         and "--need 'cpus:1000;mem:32'" in line, line)
            framework_id = line.partition("tepui why ")[2].split(" ")[0]
            found = self.tepui("why", framework_id, "--need", "cpus:1000;mem:32", "--master", self.house.address)
            report.check("run: and the command it names says it", found[0] == 0 and "lacks cpus" in found[1], found)
        finally:
            process.terminate()
            process.wait(10)
            process.stderr.close()

    def wrong(self, name, words, *wanted, env=None, user=None, expected=2):
        """Exactly one line on stderr that holds the words, nothing on stdout, and this exit status."""
        status, out, err = self.tepui(*words, env=env, user=user)
        good = status == expected and not out and err.endswith("\n") and err.count("\n") == 1 and all(word in err for word in wanted)
        report.check(f"wrong: {name}: one clear line and status {expected}", good, f"status {status}, stdout {out!r}, stderr {err!r}")

    def master(self, *more, work_dir=None):
        return ["master", "--work-dir", work_dir or self.house.path("m2"), "--bridge-port", "0", *more]

    def agent(self, *more, work_dir=None):
        return ["agent", "--work-dir", work_dir or self.house.path("a2"), "--master", self.house.address, *more]

    def wrong_values(self):
        port, free, taken = str(self.house.port), str(self.free), str(self.house.agents[0].port)
        self.wrong("a master's port in use", self.master("--port", port), "--port", port)
        self.wrong("an agent's port in use", self.agent("--port", taken), "--port", taken)
        with socket.create_server(("127.0.0.1", 0)) as other:
            bridge = str(other.getsockname()[1])
            self.wrong("a bridge port in use", ["master", "--work-dir", self.house.path("m2"), "--port", free, "--bridge-port", bridge], "--bridge-port", bridge)
        self.wrong("a port that is none", self.master("--port", "http"), "--port", "http")
        self.wrong("a port too high", self.master("--port", "70000"), "--port", "70000")
        self.wrong("an address that is none", self.master("--ip", "here"), "--ip", "here")
        self.wrong("an address of another machine", self.master("--ip", "192.0.2.1", "--port", free), "--ip", "192.0.2.1")
        file = self.house.path("a-file")
        with open(file, "w", encoding="ascii"):
            pass
        self.wrong("a master's work directory below a file", self.master("--port", free, work_dir=f"{file}/below"), "--work-dir", file)
        self.wrong("an agent's work directory below a file", self.agent("--port", free, work_dir=f"{file}/below"), "--work-dir", file)
        closed = self.house.path("closed")
        os.mkdir(closed, 0o555)
        self.as_nobody()
        self.wrong("a master's directory that is not writable", self.master("--port", free, work_dir=closed), "--work-dir", closed, user=self.nobody)
        self.wrong("an agent's directory that is not writable", self.agent("--port", free, work_dir=closed), "--work-dir", closed, user=self.nobody)
        self.wrong("no work directory for a master", ["master"], "--work-dir", "expected")
        self.wrong("no work directory for an agent", ["agent", "--master", self.house.address], "--work-dir", "expected")
        self.wrong("no master for an agent", ["agent", "--work-dir", self.house.path("a2")], "--master", "expected")
        self.wrong("a master address without port", ["agent", "--work-dir", self.house.path("a2"), "--master", "localhost"], "--master", "localhost", "host:port")
        for text in ("cpus:many", "cpus", "cpus:-1", "ports:[2-1]", "cpus:[1-2"):
            self.wrong(f"resources {text}", self.agent("--port", free, "--resources", text), "--resources")
        self.wrong("attributes without a value", self.agent("--port", free, "--attributes", "rack"), "--attributes", "rack")
        self.wrong("an unknown flag", self.master("--prot", "1"), "--prot")
        self.wrong("an unknown command", ["mastre"], "mastre")
        self.wrong("no command for run", ["run", "--master", self.house.address], "CMD")
        for word in ("ps", "agents", "frameworks", "offers"):
            self.wrong(f"{word} where no master is", [word, "--master", f"127.0.0.1:{free}"], "--master", free, expected=69)
            self.wrong(f"{word} with an address that is none", [word, "--master", "nonsense"], "--master", "nonsense")
        self.wrong("run where no master is", ["run", "--master", f"127.0.0.1:{free}", "--", "true"], "--master", free, expected=69)
        self.wrong("run with an address that is none", ["run", "--master", "nonsense", "--", "true"], "--master", "nonsense")
        self.wrong("a ZooKeeper as master", ["ps", "--master", "zk://a:2181,b:2181/mesos"], "--master", "ZooKeeper", "host:port")
        for amount in ("nan", "inf", "-1", "0", "1G"):
            self.wrong(f"run with {amount} of memory", ["run", "--mem", amount, "--", "true"], "--mem", amount, "number above 0")

    def as_nobody(self):
        """Root may write anywhere, so these two are started as somebody else, who may not be able to reach the program where it is."""
        if os.geteuid() != 0:
            return
        self.nobody = NOBODY
        os.chmod(self.house.folder, 0o755)
        for name in ("tepui", "tepui-shim"):
            source, reachable = os.path.join(os.path.dirname(os.path.realpath(self.bin)), name), self.house.path(name)
            try:
                os.link(source, reachable)
            except OSError:
                shutil.copy2(source, reachable)
        self.bin = self.house.path("tepui")

    def wrong_files(self):
        def config(text):
            path = self.house.path("wrong.toml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return self.master("--config", path)
        self.wrong("a config file that is not there", self.master("--config", "/no/such.toml"), "--config", "/no/such.toml")
        self.wrong("an unknown key in the file", config("prot = 5050\n"), "prot", "port")
        self.wrong("a wrong type in the file", config('port = "high"\n'), "port")
        self.wrong("a file that is no TOML", config("port = = 1\n"), "wrong.toml")
        self.wrong("a wrong value in the environment", self.master(), "PORT", "high", env={"TEPUI_PORT": "high"})

    def precedence(self):
        """Flag, then TEPUI_, then MESOS_, then the file, told by /flags of a running agent that never finds its master."""
        path = self.house.path("agent.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write('hostname = "from-file"\nattributes = "a:file"\nresources = "cpus:1;mem:64"\nport = 1\n'
                       f'work_dir = "{self.house.path("a3")}"\nmaster = "127.0.0.1:{self.other}"\n')
        env = {"MESOS_HOSTNAME": "from-mesos", "MESOS_ATTRIBUTES": "a:mesos", "MESOS_PORT": "2", "TEPUI_ATTRIBUTES": "a:tepui", "TEPUI_PORT": "3",
               # A text that looks like a number.
               "TEPUI_DEFAULT_ROLE": "2024"}
        agent = Daemon(["agent", "--config", path, "--port", str(self.free)], self.free, self.house.path("a3.log"), env)
        agent.start()
        try:
            state = wait(lambda: get(self.free, "/state"), 10) or {}
            report.check("settings: a flag wins over TEPUI_, MESOS_ and the file", state, agent.log_tail())
            report.equal("settings: TEPUI_ wins over MESOS_ and the file", state.get("attributes"), {"a": "tepui"})
            report.equal("settings: a text may look like a number", get(self.free, "/flags")["flags"].get("default_role"), "2024")
            report.equal("settings: MESOS_ wins over the file", state.get("hostname"), "from-mesos")
            resources = state.get("resources", {})
            report.equal("settings: the file wins over the default", (resources.get("cpus"), resources.get("mem")), (1.0, 64.0))
        finally:
            agent.stop()
            for name in ("a2", "a3", "closed", "a-file/below"):
                self.house.forget_runtime(self.house.path(name))


def main():
    with House() as house:
        checks = Checks(house)
        report.run(checks.run_streams_and_exits, checks.run_interrupted, checks.lists, checks.hostile_names, checks.states_of_agents, checks.patience, checks.wrong_values, checks.wrong_files, checks.precedence)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
