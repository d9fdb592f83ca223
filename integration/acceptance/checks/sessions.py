#!/usr/bin/env python3
"""sessions.py: terminals and sessions: LAUNCH_NESTED_CONTAINER_SESSION, ATTACH_CONTAINER_OUTPUT and ATTACH_CONTAINER_INPUT on real processes.

Wants TEPUI_BIN. Ends with 0 or 1. Over `kill -9` of the agent, too; `tepui exec` and `tepui logs` have command_exec.py.
"""
import hashlib
import json
import os
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from agent_api import nested  # noqa: E402
from daemons import House, alive, process_called, request  # noqa: E402
from pid_files import pid_in  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, shell, task  # noqa: E402
from streams import STREAM, Input, Output  # noqa: E402

report = Report()
SOON_S = 20
BIG_BYTES = 50 << 20
SESSION, READ = "LAUNCH_NESTED_CONTAINER_SESSION", "ATTACH_CONTAINER_OUTPUT"


def terminal(rows=None, columns=None):
    size = {"window_size": {"rows": rows, "columns": columns}} if rows else {}
    return {"type": "MESOS", "tty_info": size}


class Checks:
    def __init__(self, house, framework):
        self.house, self.framework, self.agent = house, framework, house.agents[0]
        self.count = 0

    def post(self, message, **headers):
        """(status, text) of a call that does not stream."""
        body = message if isinstance(message, bytes) else json.dumps(message)
        sent = {"Content-Type": "application/json", "Accept": "application/json"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items() if value})
        for name in [name for name, value in headers.items() if value is None]:
            sent.pop(name.replace("_", "-"), None)
        status, _, answer = request(self.agent.port, "POST", "/api/v1", body, sent, timeout=SOON_S)
        return status, answer.decode()

    def call(self, kind, **body):
        return self.post({"type": kind, kind.lower(): body})

    def exit_status(self, container_id):
        status, text = self.call("WAIT_CONTAINER", container_id=container_id)
        return json.loads(text)["wait_container"].get("exit_status") if status == 200 else (status, text)

    def start(self, name, command="exec sleep 600", **more):
        """Starts a task; returns its container's name."""
        offer = self.framework.wait_offer(cpus=0.2, mem=32)
        self.framework.launch(offer, [{**task(name, offer, command), **more}])
        status = self.framework.wait_state(name, "TASK_RUNNING")
        return status["container_status"]["container_id"]["value"]

    def end(self, name, state="TASK_KILLED"):
        if state == "TASK_KILLED":
            self.framework.kill(name)
        return self.framework.wait_state(name, state)

    def sandbox(self, name):
        state = json.loads(request(self.agent.port, "GET", "/state")[2])
        frameworks = state["frameworks"] + state["completed_frameworks"]
        executors = [e for f in frameworks for e in f["executors"] + f["completed_executors"]]
        return next(e["directory"] for e in executors if e["id"] == name)

    def session(self, outer, command, accept=STREAM, **more):
        """(its id, its output) of a new session within `outer`."""
        self.count += 1
        container_id = nested(*outer.split("."), f"s{self.count}")
        return container_id, Output(self.agent.port, SESSION, accept, container_id=container_id, command=shell(command), **more)

    def a_session(self):
        outer = self.start("host", "echo here > mark; exec sleep 600")
        sandbox = self.sandbox("host")
        report.need("session: its task has begun", wait(lambda: os.path.exists(f"{sandbox}/mark"), SOON_S))
        container_id, output = self.session(outer, "echo out; echo err >&2; cat mark; pwd; echo $MESOS_SANDBOX; exit 7")
        with output:
            report.equal("session: its answer is a stream", (output.status, output.headers["Content-Type"], output.headers["Message-Content-Type"]),
                         (200, STREAM, "application/json"))
            out, err = output.read_all()
        report.equal("session: what it says on stdout, from the task's sandbox", out.decode().split(), ["out", "here", sandbox, sandbox])
        report.equal("session: what it says on stderr", err, b"err\n")
        report.equal("session: its exit status is kept", self.exit_status(container_id), 7 << 8)
        _, output = self.session(outer, "echo plain", accept="application/json")
        with output:
            report.equal("session: Accept: application/json gets records too", (output.headers["Content-Type"], output.read_all()[0]),
                         ("application/json", b"plain\n"))
        _, output = self.session(outer, "exec true")
        with output:
            report.equal("session: one that says nothing", output.read_all(), (b"", b""))
        with Output(self.agent.port, SESSION, container_id=nested("nobody", "x"), command=shell("true")) as output:
            report.equal("session: no container around it", (output.status, output.text), (400, "Parent container nobody does not exist"))
        _, output = self.session(outer, "exec /no/such/program")
        with output:
            report.equal("session: a command the shell does not find", output.read_all()[1].count(b"/no/such/program"), 1)
        self.count += 1
        with Output(self.agent.port, SESSION, container_id=nested(outer, "bad"), command={"shell": False, "value": "/no/such/program"}) as output:
            report.check("session: a command that cannot run is refused in words", output.status == 400 and "No such file" in output.text,
                         (output.status, output.text))
        self.end("host")

    def where_its_task_is(self):
        """A session sees the mounts of its task: what the launcher mounted, and what the task did itself."""
        if os.geteuid():
            return report.check("mounts: left out, they need root", True)
        outside = self.house.path("outside")
        os.mkdir(outside)
        with open(f"{outside}/file", "w", encoding="ascii") as file:
            file.write("of the host")
        volume = {"mode": "RW", "container_path": "data", "host_path": outside}
        # Its own mount hides what the volume shows.
        command = ("mkdir own && mount -t tmpfs none own && echo hidden > own/file && echo up > up; "
                   "(unshare -m sh -c 'mkdir theirs && mount -t tmpfs none theirs && touch theirs/file unshared; exec sleep 600') & exec sleep 600")
        outer = self.start("mounts", command, container={"type": "MESOS", "volumes": [volume]})
        sandbox = self.sandbox("mounts")
        report.need("mounts: the task has mounted its own", wait(lambda: os.path.exists(f"{sandbox}/up") and os.path.exists(f"{sandbox}/unshared"), SOON_S))
        _, output = self.session(outer, "cat data/file; echo; cat own/file")
        with output:
            report.equal("mounts: the session sees those of its task", output.read_all(), (b"of the host\nhidden\n", b""))
        _, output = self.session(outer, "ls theirs | wc -l")
        with output:
            report.equal("mounts: not those that only a part of its task sees", output.read_all(), (b"0\n", b""))
        report.check("mounts: nobody else does", not os.path.exists(f"{sandbox}/own/file"))
        self.end("mounts")

    def input_of_a_session(self):
        outer = self.start("reader")
        container_id, output = self.session(outer, "cat")
        data = os.urandom(1 << 20)
        with output, Input(self.agent.port, container_id) as stdin:
            for at in range(0, len(data), 4096):
                stdin.send(data[at:at + 4096])
                if at % 65536 == 0:
                    stdin.heartbeat()
            stdin.send(b"")
            report.equal("input: 1 MiB with heartbeats between, and its end", stdin.end(), (200, ""))
            report.check("input: all of it came back", output.read_all() == (data, b""))
        report.equal("input: cat ended by itself", self.exit_status(container_id), 0)

        container_id, output = self.session(outer, "cat")
        with output:
            with Input(self.agent.port, container_id) as stdin:
                stdin.send(b"first\n")
                report.check("input: a line at a time", output.read_until(b"first\n"))
                with Input(self.agent.port, container_id) as other:
                    report.equal("input: one client at a time", other.answer(), (409, "Multiple input connections are not allowed"))
                stdin.resize(10, 20)
                report.equal("input: no terminal to resize", stdin.answer(), (400, "Unable to set the window size: Inappropriate ioctl for device"))
            with Input(self.agent.port, container_id) as stdin:
                stdin.send(b"second\n")
                report.equal("input: another client after the first", stdin.end(), (200, ""))
                report.check("input: the second one's line", output.read_until(b"second\n"))
            with Input(self.agent.port, container_id) as stdin:
                stdin.record({"type": "PROCESS_IO", "process_io": {"type": "DATA", "data": {"type": "STDOUT", "data": "eA=="}}})
                report.equal("input: what is no input is refused", stdin.answer(), (400, "Expecting 'process_io.data.type' to be 'STDIN'"))
        report.equal("input: the session ended with its client", self.exit_status(container_id), 9)

        container_id, output = self.session(outer, "exec 0<&-; echo closed; sleep 600")
        with output:
            output.read_until(b"closed")
            with Input(self.agent.port, container_id) as stdin:
                stdin.send(b"nobody reads this")
                report.equal("input: a command that reads no more", stdin.answer(), (500, "Failed writing to stdin: Broken pipe"))
        self.end("reader")

    def a_terminal(self):
        outer = self.start("terminal-host")
        container_id, output = self.session(outer, "stty size; exec sh -i", container=terminal(33, 77))
        with output, Input(self.agent.port, container_id) as stdin:
            report.check("terminal: the size it began with", output.read_until(b"33 77"), bytes(output.said["STDOUT"]))
            stdin.resize(40, 123)
            stdin.send(b"stty size; tty; test -t 0 && test -t 1 && test -t 2 && echo all-three\n")
            report.check("terminal: resized", output.read_until(b"40 123"), bytes(output.said["STDOUT"]))
            report.check("terminal: of stdin, stdout and stderr", output.read_until(b"\r\nall-three"), bytes(output.said["STDOUT"]))
            stdin.send(b"trap 'echo changed' WINCH; echo re''ady\n")
            output.read_until(b"ready")
            stdin.send(b"sleep 602; echo interr''upted\n")
            wait(lambda: b"sleep 602" in output.said["STDOUT"] or output.record() is None, SOON_S)
            wait(lambda: process_called("sleep", "602"), SOON_S)
            stdin.send(b"\x03")
            report.check("terminal: Ctrl-C goes to the command, the shell goes on", self.goes_on(stdin, output), bytes(output.said["STDOUT"]))
            stdin.send(b"exit 9\n")
            output.read_all()
        report.equal("terminal: its exit status", self.exit_status(container_id), 9 << 8)
        self.end("terminal-host")

    @staticmethod
    def goes_on(stdin, output):
        stdin.send(b"echo al''ive\n")
        return output.read_until(b"alive")

    def a_lost_client(self):
        outer = self.start("lost-host")
        mark = self.house.path("lost")
        container_id, output = self.session(outer, f"echo $$ > {mark}; (trap '' TERM HUP; sleep 600) & exec sleep 600")
        pid = wait(lambda: pid_in(mark), SOON_S)
        report.check("lost client: the session runs", alive(pid))
        output.close()
        report.check("lost client: its session is killed", wait(lambda: not alive(pid), SOON_S))
        report.equal("lost client: its end is known", self.exit_status(container_id), 9)
        self.end("lost-host")

    def much_output(self):
        pattern = "0123456789abcdef" * 4 + "\n"
        lines = BIG_BYTES // len(pattern)
        outer = self.start("much-host")
        _, output = self.session(outer, f"yes {pattern.strip()} | head -n {lines}; echo done >&2")
        expected = hashlib.sha256(pattern.encode() * lines).hexdigest()
        with output:
            report.equal(f"much: {BIG_BYTES >> 20} MB in order and whole", output.digest(), (lines * len(pattern), expected))
            report.equal("much: and stderr", bytes(output.said["STDERR"]), b"done\n")
        self.end("much-host")

    def a_task_with_a_terminal(self):
        command = "stty size; i=0; while read line; do i=$((i+1)); echo \"got $line $i\"; done"
        outer = self.start("tty", command, container=terminal(24, 80))
        sandbox = self.sandbox("tty")
        report.check("tty task: what it says is in the sandbox too", wait(lambda: "24 80" in self.text(f"{sandbox}/stdout"), SOON_S))
        self.talk(outer, b"one", "tty task")
        shim = self.shim(outer)
        self.agent.kill()
        report.check("tty task: outlives kill -9 of the agent", alive(shim), shim)
        self.agent.start()
        report.need("tty task: the agent is back", wait(lambda: self.house.active_agents() == 1 and self.answers(), SOON_S))
        self.talk(outer, b"two", "tty task, attached again")
        report.equal("tty task: nothing is written twice", self.text(f"{sandbox}/stdout").count("got one 1"), 1)
        with Output(self.agent.port, READ, container_id=nested(outer)) as output:
            with Input(self.agent.port, nested(outer)) as stdin:
                stdin.send(b"\x04")
                stdin.end()
            output.read_all()
        status = self.end("tty", "TASK_FINISHED")
        report.equal("tty task: Ctrl-D ends it", status["state"], "TASK_FINISHED")
        memory = max(self.memory)
        report.check("tty task: its shim has at most 1 MB of private memory", memory <= 1024, f"{memory} kB")

    def talk(self, container, word, name):
        with Output(self.agent.port, READ, container_id=nested(container)) as output, Input(self.agent.port, nested(container)) as stdin:
            stdin.send(word + b"\n")
            report.check(f"{name}: asked and answered", output.read_until(b"got " + word), bytes(output.said["STDOUT"]))
            self.memory = getattr(self, "memory", []) + [private_kb(self.shim(container))]
            report.equal(f"{name}: the writer leaves", stdin.end(), (200, ""))

    @staticmethod
    def text(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def shim(self, container):
        """The shim of a container, by its record."""
        flags = json.loads(request(self.agent.port, "GET", "/flags")[2])["flags"]
        record = self.text(os.path.join(flags["runtime_dir"], container, "record"))
        return int(re.match(r"shim 1 \S+ (\d+) ", record).group(1))

    def in_a_group(self):
        offer = self.framework.wait_offer(cpus=0.5, mem=128)
        executor = self.framework.default_executor("group")
        inner = {**task("grouped", offer, "while read line; do echo \"got $line\"; done"), "container": terminal(11, 22)}
        self.framework.launch_group(offer, executor, [inner])
        container_id = self.framework.wait_state("grouped", "TASK_RUNNING")["container_status"]["container_id"]
        with Output(self.agent.port, READ, container_id=container_id) as output, Input(self.agent.port, container_id) as stdin:
            stdin.send(b"this\n")
            report.check("group: a task of one with a terminal", output.read_until(b"got this"), bytes(output.said["STDOUT"]))
        _, output = self.session(f"{container_id['parent']['value']}.{container_id['value']}", "basename $(dirname $PWD); stty size < /dev/tty")
        with output:
            out, err = output.read_all()
        report.check("group: a session within it, without a terminal", out == b"containers\n" and b"/dev/tty" in err, (out, err))
        self.end("grouped")

    def a_slow_client(self):
        """A client that stops reading is cut; the task goes on, and others hear it."""
        outer = self.start("slow", "i=0; while true; do i=$((i+1)); printf '%0100d\\n' $i; done > /dev/tty", container=terminal())
        slow = Output(self.agent.port, READ, container_id=nested(outer))
        slow.record()
        with Output(self.agent.port, READ, container_id=nested(outer)) as other:
            reader = threading.Thread(target=other.digest, daemon=True)
            reader.start()
            shim = self.shim(outer)
            report.check("slow client: the task is held up at most for a while", self.goes_quiet_and_on(shim), "it never went on")
            report.check("slow client: no memory grows in the shim", private_kb(shim) <= 1024, f"{private_kb(shim)} kB")
            self.end("slow")
            reader.join(SOON_S)
        slow.close()

    def goes_quiet_and_on(self, shim):
        """Bytes the shim has read grow, stop, and grow again once the slow client was cut."""
        def read_bytes():
            return int(re.search(r"rchar: (\d+)", self.text(f"/proc/{shim}/io")).group(1))
        def quiet():
            before = read_bytes()
            time.sleep(0.5)
            return read_bytes() == before
        if not wait(quiet, SOON_S, 0):
            return False
        stopped = read_bytes()
        return wait(lambda: read_bytes() > stopped + (1 << 20), 2 * SOON_S, 0.2)

    def over_the_agents_death(self):
        outer = self.start("death-host")
        mark = self.house.path("death")
        _, output = self.session(outer, f"echo $$ > {mark}; exec sleep 600")
        pid = wait(lambda: pid_in(mark), SOON_S)
        self.agent.kill()
        report.check("agent killed: its sessions lose their clients and end", wait(lambda: not alive(pid), SOON_S))
        output.close()
        self.agent.start()
        report.need("agent killed: it is back", wait(lambda: self.house.active_agents() == 1 and self.answers(), SOON_S))
        _, output = self.session(outer, "echo again")
        with output:
            report.equal("agent killed: the next one has new sessions", (output.status, output.read_all()[0]), (200, b"again\n"))
        self.end("death-host")

    def answers(self):
        return request(self.agent.port, "GET", "/state")[0] == 200

    def a_killed_task(self):
        outer = self.start("killed-host")
        mark = self.house.path("killed")
        _, output = self.session(outer, f"echo $$ > {mark}; exec sleep 600")
        pid = wait(lambda: pid_in(mark), SOON_S)
        self.end("killed-host")
        report.check("task killed: its session ends", wait(lambda: not alive(pid), SOON_S))
        with output:
            report.equal("task killed: the client hears the end", output.read_all(), (b"", b""))

    def a_killed_shim(self):
        outer = self.start("shimless", "exec sleep 601", container=terminal())
        pid = wait(lambda: process_called("sleep", "601"), SOON_S)
        os.kill(self.shim(outer), signal.SIGKILL)
        status = self.end("shimless", "TASK_FAILED")
        report.equal("shim killed: the task fails for that reason", status.get("reason"), "REASON_IO_SWITCHBOARD_EXITED")
        report.check("shim killed: nothing of the container is left", wait(lambda: not alive(pid), SOON_S))

    def refusals(self):
        outer = self.start("plain")
        call = {"type": READ, READ.lower(): {"container_id": nested(outer)}}
        report.equal("refused: a container with files for streams", self.post(call), (500, "I/O switchboard server was disabled for this container"))
        with Input(self.agent.port, nested(outer)) as stdin:
            report.equal("refused: input of a container with files for streams", stdin.answer(),
                         (500, "I/O switchboard server was disabled for this container"))
        with Output(self.agent.port, READ, container_id=nested("nobody")) as output:
            report.equal("refused: output of nobody", (output.status, output.text), (404, "Container nobody cannot be found"))
        with Input(self.agent.port, nested("nobody")) as stdin:
            report.equal("refused: input of nobody", stdin.answer(), (404, "Container nobody cannot be found"))
        with Input(self.agent.port, None, {"type": "PROCESS_IO", "process_io": {"type": "DATA", "data": {"type": "STDIN", "data": "eA=="}}}) as stdin:
            report.equal("refused: input without a container", stdin.answer(), (400, "Expecting 'attach_container_input.type' to be CONTAINER_ID"))
        with Input(self.agent.port, None, {"type": "CONTAINER_ID"}) as stdin:
            report.equal("refused: no id", stdin.answer(), (400, "Failed to validate agent::Call: 'attach_container_input.container_id' is invalid: "
                                                                 "ID must not be empty"))
        report.equal("refused: a stream of a call that has none", self.post(framed({"type": "GET_HEALTH"}), Content_Type=STREAM, Message_Content_Type="application/json"),
                     (415, "Streaming 'Content-Type' application/recordio is not supported for GET_HEALTH call"))
        report.equal("refused: an empty stream", self.post(b"", Content_Type=STREAM, Message_Content_Type="application/json"),
                     (400, "Received EOF while reading request body"))
        attach = {"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": {"type": "CONTAINER_ID", "container_id": nested(outer)}}
        report.equal("refused: input that does not stream", self.post(attach), (415, "Expecting 'Content-Type' to be application/recordio for "
                                                                                     "ATTACH_CONTAINER_INPUT call"))
        for headers, expected in HEADERS:
            report.equal(f"refused: {headers}", self.post({"type": "GET_HEALTH"}, **headers), expected)
        self.end("plain")


HEADERS = [
    ({"Content_Type": STREAM}, (400, "Expecting 'Message-Content-Type' to be set for streaming requests")),
    ({"Content_Type": STREAM, "Message_Content_Type": "text/plain"},
     (415, "Expecting 'Message-Content-Type' of application/json or application/x-protobuf")),
    ({"Message_Content_Type": "application/json"}, (415, "Expecting 'Message-Content-Type' to be not set for non-streaming requests")),
    ({"Accept": STREAM}, (406, "Streaming response is not supported for GET_HEALTH call")),
    ({"Accept": STREAM, "Message_Accept": "text/plain"}, (406, "Expecting 'Message-Accept' to allow application/json or application/x-protobuf")),
    ({"Message_Accept": "application/json"}, (406, "Expecting 'Message-Accept' to be not set for non-streaming responses")),
    ({"Accept": "text/plain"}, (406, "Expecting 'Accept' to allow application/json or application/x-protobuf or application/recordio")),
]


def framed(message):
    text = json.dumps(message).encode()
    return str(len(text)).encode() + b"\n" + text


def private_kb(pid):
    """Private memory of a process, in kB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith(("Private_Clean", "Private_Dirty")))


def main():
    with House() as house:
        framework = Scheduler(house.address, "sessions", failover_timeout=60).subscribe()
        checks = Checks(house, framework)
        report.run(checks.refusals, checks.a_session, checks.where_its_task_is, checks.input_of_a_session, checks.a_terminal, checks.a_lost_client, checks.much_output,
                   checks.a_task_with_a_terminal, checks.in_a_group, checks.a_slow_client, checks.over_the_agents_death, checks.a_killed_task, checks.a_killed_shim)
        framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
