#!/usr/bin/env python3
"""chaos.py [--kills N] [--seed S]: three masters and two agents of TEPUI_BIN, and `tepui-chaos` (beside it) that has them killed.

The processes are the House of the acceptance checks; tepui-chaos loads them, says which one to kill, and judges. When it fails, logs and
history stay in TEPUI_CHAOS_KEEP. The seed decides timing; processes and disks keep a say of their own, so the same seed comes near the
same run, not to it. Ends with 0 or 1.
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "acceptance"))
from daemons import House  # noqa: E402

AGENTS, MASTERS = 2, 3
RESOURCES = "cpus:16;mem:8192;disk:1000;ports:[31000-32000]"


def obey(words, masters):
    """Carries out one order, such as `kill 5050 5051`."""
    deed, daemons = words[0], [masters[int(port)] for port in words[1:]]
    if deed == "kill":
        for daemon in daemons:
            daemon.process.kill()
        for daemon in daemons:
            daemon.process.wait()
    elif deed in ("start", "pause", "resume"):
        for daemon in daemons:
            getattr(daemon, deed)()
    else:
        raise ValueError(f"no such order: {' '.join(words)}")


def serve(command, masters):
    """Runs the program and obeys it; its exit status."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        try:
            for line in program.stdout:
                obey(line.split(), masters)
                program.stdin.write("done\n")
                program.stdin.flush()
        except BaseException:
            program.kill()
            raise
        return program.wait()


def keep(house, folder, seed):
    """Copies the daemons' logs to where the history is."""
    for log in glob.glob(os.path.join(house.folder, "*.log")):
        shutil.copy(log, folder)
    print(f"chaos: seed {seed} failed; logs and history are in {folder}; again:  TEPUI_CHAOS_SEED={seed} ONLY=chaos make test", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=int(os.environ.get("TEPUI_CHAOS_KILLS", "3")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("TEPUI_CHAOS_SEED", "0")) or time.time_ns() // 1000 % 10**9)
    args = parser.parse_args()
    folder = os.path.join(os.environ["TEPUI_CHAOS_KEEP"], f"seed-{args.seed}")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    print(f"chaos: the leader is killed {args.kills} times, seed {args.seed}", flush=True)
    with House(agents=AGENTS, resources=RESOURCES, masters=MASTERS) as house:
        marks = house.path("marks")
        os.mkdir(marks)
        masters = {master.port: master for master in house.masters}
        program = os.path.join(os.path.dirname(os.environ["TEPUI_BIN"]), "tepui-chaos")
        status = serve([program, "--masters", ",".join(f"127.0.0.1:{port}" for port in masters), "--agents", str(AGENTS),
                        "--kills", str(args.kills), "--seed", str(args.seed), "--marks", marks,
                        "--history", os.path.join(folder, "history.txt")], masters)
        if status:
            keep(house, folder, args.seed)
    if not status:
        shutil.rmtree(folder)
    sys.exit(1 if status else 0)


if __name__ == "__main__":
    main()
