#!/usr/bin/env python3
"""command_exec.py: `tepui exec` and `tepui logs` as their users meet them: pipes and exit statuses, a real terminal with its size and its keys,
what is followed until the task ends, and one clear line for each thing that cannot be.

Wants TEPUI_BIN. Ends with 0 or 1.
"""
import os
import re
import select
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from daemons import House, alive, environment, process_called  # noqa: E402
from pid_files import pid_in  # noqa: E402
from report import Report, wait  # noqa: E402
from scheduler import Scheduler, task  # noqa: E402
from tepui_command import tepui_in_bytes  # noqa: E402
from terminal import Terminal  # noqa: E402

report = Report()
LIMIT_S = 40


class Checks:
    def __init__(self, house, framework):
        self.house, self.framework, self.bin = house, framework, os.environ["TEPUI_BIN"]
        self.env = environment()

    def words(self, verb, task_id, *command, flags=()):
        tail = ["--", *command] if command else []
        return [self.bin, verb, "--master", self.house.address, *flags, task_id, *tail]

    def tepui(self, verb, task_id, *command, flags=(), given=None):
        """(exit status, stdout, stderr)"""
        return tepui_in_bytes(*self.words(verb, task_id, *command, flags=flags)[1:], given=given, timeout=LIMIT_S)

    def exec(self, *command, **more):
        return self.tepui("exec", "box", *command, **more)

    def start(self, name, command):
        offer = self.framework.wait_offer(cpus=0.2, mem=32)
        started = task(name, offer, command)
        started["command"]["environment"] = {"variables": [{"name": "OF_THE_TASK", "value": "value"}]}
        self.framework.launch(offer, [started])
        return self.framework.wait_state(name, "TASK_RUNNING")

    def pipes(self):
        report.equal("exec: stdout, stderr and status 0", self.exec("sh", "-c", "echo out; echo err >&2"), (0, b"out\n", b"err\n"))
        report.equal("exec: status 3", self.exec("sh", "-c", "exit 3"), (3, b"", b""))
        report.equal("exec: ended by signal 9 is 137", self.exec("sh", "-c", "kill -9 $$")[0], 137)
        report.equal("exec: arguments stay apart", self.exec("printf", "%s|", "a b", "", "$HOME"), (0, b"a b||$HOME|", b""))
        data = os.urandom(3 << 20)
        report.check("exec: what is piped in comes out", self.exec("cat", given=data) == (0, data, b""))
        report.equal("exec: an end of input", self.exec("sh", "-c", "cat; echo end"), (0, b"end\n", b""))
        report.equal("exec: a command need not read", self.exec("true", given=data)[0], 0)
        report.equal("exec: in the task's sandbox, with its environment", self.exec("sh", "-c", "cat mark; echo $OF_THE_TASK"), (0, b"here\nvalue\n", b""))
        head = subprocess.run(["sh", "-c", '"$@" | head -n 1', "sh", *self.words("exec", "box", "yes")], capture_output=True, env=self.env, timeout=LIMIT_S,
                              check=False)
        report.equal("exec: a reader that has seen enough is no error", (head.stdout, head.stderr), (b"y\n", b""))
        report.check("exec: and its session is gone", wait(lambda: not self.sessions(), LIMIT_S), self.sessions())

    def sessions(self):
        """Processes named `yes`."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and alive(int(entry)):
                try:
                    with open(f"/proc/{entry}/comm", encoding="utf-8", errors="replace") as name:
                        if name.read() == "yes\n":
                            found.append(int(entry))
                except OSError:
                    continue
        return found

    def signals(self):
        process = subprocess.Popen(self.words("exec", "box", "sh", "-c", "trap 'echo got it; exit 5' INT; echo up; while true; do sleep 0.1; done"),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
        # Before its output comes the session is not ours yet, and Ctrl-C gives it up.
        up = process.stdout.readline() if select.select([process.stdout], [], [], LIMIT_S)[0] else b""
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=LIMIT_S)
        report.equal("exec: Ctrl-C goes to the command, whose status counts", (process.returncode, up + out), (5, b"up\ngot it\n"))
        mark = self.house.path("deaf")
        process = subprocess.Popen(self.words("exec", "box", "sh", "-c", f"trap '' INT; echo $$ > {mark}; while true; do sleep 0.1; done"),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.env)
        pid = wait(lambda: pid_in(mark), LIMIT_S)
        process.kill()
        process.wait()
        report.check("exec: killed itself, its session ends", wait(lambda: not alive(pid), LIMIT_S))

    def a_terminal(self):
        person = Terminal(self.words("exec", "box", "sh"), self.env)
        report.check("terminal: the user's is raw meanwhile", wait(person.is_raw, LIMIT_S))
        person.type(b"stty size; tty; echo =$TERM=\n")
        report.check("terminal: of the user's size", person.until(b"30 90"), person.seen)
        report.check("terminal: a real one of the user's kind", person.until(b"/dev/pts/") and person.until(b"=vt220="), person.seen)
        person.resize(44, 101)
        person.type(b"until stty size | grep '44 10[1]'; do sleep 0.1; done\n")
        report.check("terminal: follows the user's size", person.until(b"44 101"), person.seen)
        person.type(b"sleep 60417\n")
        wait(lambda: process_called("sleep", "60417"), LIMIT_S)
        person.type(b"\x03")
        person.type(b"echo al''ive $?\n")
        report.check("terminal: Ctrl-C ends the command, not the shell", person.until(b"alive 130"), person.seen)
        person.type(b"\x04")
        report.equal("terminal: Ctrl-D ends the shell, with the status of its last command", person.end(), 0)

        person = Terminal(self.words("exec", "box", "sh", "-c", "test -t 0 || echo pi''pes; exit 6", flags=["--no-tty"]), self.env)
        report.check("terminal: --no-tty gives pipes", person.until(b"pipes"), person.seen)
        report.equal("terminal: --no-tty: the exit status", person.end(), 6)
        person = Terminal(self.words("exec", "box", "cat", flags=["--no-tty", "-i"]), self.env)
        person.type(b"typed\n")
        report.check("terminal: --no-tty -i gives what is typed", wait(lambda: person.until(b"typed\r\ntyped"), LIMIT_S), person.seen)
        person.type(b"\x04")
        report.equal("terminal: --no-tty -i: Ctrl-D ends it", person.end(), 0)

    def refusals(self):
        for name, found, pattern in [
            ("no such task", self.tepui("exec", "nobody", "true"), r"no task is called 'nobody'; there are .*; `tepui ps` lists them"),
            ("a task that has ended", self.tepui("exec", "brief", "true"), r"task 'brief' has ended; nothing runs in it any more"),
            ("a command that is not there", self.exec("no-such-command"), r".*could not be executed: .*\(os error \d+\)"),
            ("--tty without a terminal", self.exec("true", flags=["--tty"]), r"--tty: standard input is no terminal; .*"),
        ]:
            status, out, err = found
            told = re.fullmatch(rb"tepui exec: " + pattern.encode() + rb"\n", err)
            report.check(f"exec refuses: {name}: 125 and one line", (status, out) == (125, b"") and told, found)
        status, _, err = self.tepui("exec", "box")
        report.check("exec refuses: no command: 2, as wrong usage", status == 2 and err.count(b"\n") == 1, (status, err))
        status, _, err = self.tepui("logs", "nobody")
        told = re.fullmatch(rb"tepui: no task is called 'nobody'; there are .*; `tepui ps` lists them\n", err)
        report.check("logs refuses: no such task", status == 2 and told, (status, err))

    def logs(self):
        report.equal("logs: of a task that has ended", self.tepui("logs", "brief"), (0, b"begun\nended\n", b"careful\n"))
        report.equal("logs: only one of the two", (self.tepui("logs", "brief", flags=["--stdout"]), self.tepui("logs", "brief", flags=["--stderr"])),
                     ((0, b"begun\nended\n", b""), (0, b"", b"careful\n")))
        go = self.house.path("go")
        self.start("story", f"echo once; while [ ! -e {go} ]; do sleep 0.1; done; echo upon >&2; printf '\\377\\n'; sleep 0.3; echo a time")
        report.equal("logs: of a task that runs, so far", self.tepui("logs", "story"), (0, b"once\n", b""))
        process = subprocess.Popen(self.words("logs", "story", flags=["-f"]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
        first = []
        reader = threading.Thread(target=lambda: first.append(process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(LIMIT_S)
        report.equal("logs -f: what is there", first, [b"once\n"])
        with open(go, "w", encoding="ascii"):
            pass
        out, err = process.communicate(timeout=LIMIT_S)
        report.equal("logs -f: the rest, to the task's end", (process.returncode, out, err), (0, b"\xff\na time\n", b"upon\n"))


def main():
    with House() as house:
        framework = Scheduler(house.address, "exec", failover_timeout=60).subscribe()
        checks = Checks(house, framework)
        checks.start("box", "echo here > mark; exec sleep 1000")
        checks.start("brief", "echo begun; echo careful >&2; echo ended")
        framework.wait_state("brief", "TASK_FINISHED")
        report.run(checks.pipes, checks.signals, checks.a_terminal, checks.refusals, checks.logs)
        framework.close()
    sys.exit(report.end())


if __name__ == "__main__":
    main()
