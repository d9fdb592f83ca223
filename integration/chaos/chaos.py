#!/usr/bin/env python3
"""chaos.py [--kills N | --cuts N] [--seed S] [--only FAULT]: three masters and two agents of TEPUI_BIN, and `tepui-chaos` (beside it) that has
them killed, or with --cuts, in network namespaces of their own, cut off from each other.

The processes are the House of the acceptance checks; tepui-chaos loads them, says which one to kill, and judges. When it fails, logs and
history stay in TEPUI_CHAOS_KEEP. The seed decides timing; processes and disks keep a say of their own, so the same seed comes near the
same run, not to it. Ends with 0 or 1.
"""
import argparse
import glob
import itertools
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "acceptance"))
from apart import Apart, masters_network  # noqa: E402
from daemons import House  # noqa: E402

AGENTS, MASTERS = 2, 3
# Of each sync of a slow disk: shorter than an election takes, longer, and much longer.
SYNC_DELAYS_MS = (200, 1000, 4000)
CUTS = ("isolate", "deafen", "mute", "unplug", "mend")
RESOURCES = "cpus:16;mem:8192;disk:1000;ports:[31000-32000]"


class SlowDisks:
    """Lets each sync of a process wait before it begins, with Debian's strace, until it is told otherwise."""

    def __init__(self):
        self.delays_ms, self.tracers = itertools.cycle(SYNC_DELAYS_MS), {}

    def slow(self, daemon):
        delay = f"inject=fdatasync,fsync:delay_enter={next(self.delays_ms)}ms"
        self.tracers[daemon.port] = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", delay, "-p", str(daemon.process.pid)])

    def quicken(self, daemon):
        tracer = self.tracers.pop(daemon.port)
        tracer.terminate()
        tracer.wait()


def obey(words, daemons, house, disks):
    """Carries out one order, such as `kill 5050 5051`."""
    deed, named = words[0], [daemons[int(port)] for port in words[1:]]
    if deed == "kill":
        for daemon in named:
            daemon.process.kill()
        for daemon in named:
            daemon.process.wait()
    elif deed in ("start", "pause", "resume"):
        for daemon in named:
            getattr(daemon, deed)()
    elif deed in ("slow", "quicken"):
        for daemon in named:
            getattr(disks, deed)(daemon)
    elif deed in CUTS:
        for daemon in named:
            house.cut(deed, daemon.port)
    else:
        raise ValueError(f"no such order: {' '.join(words)}")


def serve(command, daemons, house):
    """Runs the program and obeys it; its exit status."""
    disks = SlowDisks()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        try:
            for line in program.stdout:
                obey(line.split(), daemons, house, disks)
                program.stdin.write("done\n")
                program.stdin.flush()
        except BaseException:
            program.kill()
            raise
        return program.wait()


def keep(house, folder, again):
    """Copies the daemons' logs to where the history is."""
    for log in glob.glob(os.path.join(house.folder, "*.log")):
        shutil.copy(log, folder)
    print(f"chaos: failed; logs and history are in {folder}; again:  integration/chaos/run.sh {' '.join(again)}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=int(os.environ.get("TEPUI_CHAOS_KILLS", "3")))
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("TEPUI_CHAOS_SEED", "0")) or time.time_ns() // 1000 % 10**9)
    parser.add_argument("--only", metavar="FAULT")
    args = parser.parse_args()
    if args.cuts and os.geteuid() != 0:
        print("chaos: cuts are left out: network namespaces need root", file=sys.stderr)
        return
    if args.cuts:
        masters_network()
    folder = os.path.join(os.environ["TEPUI_CHAOS_KEEP"], f"seed-{args.seed}")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    often = ["--cuts", str(args.cuts)] if args.cuts else ["--kills", str(args.kills)]
    chosen = [*often, "--seed", str(args.seed), *(["--only", args.only] if args.only else [])]
    print(f"chaos: {' '.join(chosen)}", flush=True)
    kind = Apart if args.cuts else House
    with kind(agents=AGENTS, resources=RESOURCES, masters=MASTERS) as house:
        masters = house.addresses() if args.cuts else [f"127.0.0.1:{master.port}" for master in house.masters]
        marks = house.path("marks")
        os.mkdir(marks)
        daemons = {daemon.port: daemon for daemon in [*house.masters, *house.agents]}
        program = os.path.join(os.path.dirname(os.environ["TEPUI_BIN"]), "tepui-chaos")
        status = 1
        try:
            status = serve([program, "--masters", ",".join(masters),
                            "--agents", ",".join(str(agent.port) for agent in house.agents),
                            "--marks", marks, "--history", os.path.join(folder, "history.txt"), *chosen], daemons, house)
        finally:
            if status:
                keep(house, folder, chosen)
    if not status:
        shutil.rmtree(folder)
    sys.exit(1 if status else 0)


if __name__ == "__main__":
    main()
