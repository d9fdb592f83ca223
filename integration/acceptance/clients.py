#!/usr/bin/env python3
"""clients.py [--jobs N] [NAME…]: runs the third-party clients, each against a `tepui dev` of its own, N at once (default 3).
clients.py --note NAME LOG --results FILE: only adds the PASS and FAIL lines of LOG to FILE.

A client passes when every check of CLIENTS below has printed PASS, but those that known-later.txt names
(CLIENT<tab>CHECK<tab>WHY, the check as printed before ' -- '). A known one that passes is told, so that its line goes.
Wants TEPUI_BIN and CLIENTS_HOME (clients.sh sets both). $TEPUI_RESULTS/acceptance.tsv gets CLIENT<tab>CHECK<tab>PASS|FAIL|later.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

from cluster import Dev, NotReady

HERE = os.path.dirname(os.path.abspath(__file__))

# script, interpreter below CLIENTS_HOME, checks on Mesos 1.11.0, seconds after which it is ended
CLIENTS = [
    ("01_pymesos_command.py", "pymesos/bin/python", 36, 170),
    ("02_pymesos_executor.py", "pymesos/bin/python", 27, 140),
    ("05_avmesos.py", "avmesos/bin/python", 13, 140),
    ("08_pymesos_operator.py", "pymesos/bin/python", 47, 110),
    ("09_dcos_client.js", None, 8, 60),
]


def parse_checks(output):
    """Returns [(check, passed)] in the order printed. Two checks may share a name."""
    found = re.findall(r"^(PASS|FAIL) (.*?)(?: -- .*)?$", output, re.M)
    return [(name.replace("\t", " ").strip(), verdict == "PASS") for verdict, name in found]


def read_known():
    """Returns {(client, check): why} of known-later.txt."""
    known = {}
    with open(os.path.join(HERE, "known-later.txt"), encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                fields = line.rstrip("\n").split("\t")
                if len(fields) != 3:
                    sys.exit(f"known-later.txt: expected CLIENT<tab>CHECK<tab>WHY, found {line!r}")
                known[fields[0], fields[1]] = fields[2]
    return known


def run_client(script, python, limit_s):
    """Returns (output, seconds, problem or None, tail of the cluster's log)."""
    home = os.environ["CLIENTS_HOME"]
    program = os.path.join(home, python) if python else "node"
    env = dict(os.environ, NODE_PATH=os.path.join(home, "npm", "node_modules"), PYTHONDONTWRITEBYTECODE="1")
    started = time.monotonic()
    try:
        with Dev() as dev:
            try:
                run = subprocess.run([program, os.path.join(HERE, "clients", script), dev.address], env=env, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit_s, check=False)
                output, problem = run.stdout, None
            except subprocess.TimeoutExpired as error:
                output, problem = error.stdout or b"", f"not done after {limit_s} s, ended"
            log = dev.log_tail(30)
    except NotReady as error:
        output, problem, log = b"", f"no cluster: {error}", ""
    return output.decode(errors="replace"), time.monotonic() - started, problem, log


def judge(script, expected, checks, problem, known):
    """Returns (rows for the results file, problems, notes)."""
    rows, problems, notes = [], [problem] if problem else [], []
    for name, passed in checks:
        why = known.get((script, name))
        if passed:
            rows.append((script, name, "PASS"))
            if why:
                notes.append(f"passes now, its line in known-later.txt can go: {name}")
        else:
            rows.append((script, name, "later" if why else "FAIL"))
            if not why:
                problems.append(f"FAIL {name}")
    if len(checks) != expected:
        problems.append(f"{len(checks)} checks ran, expected {expected}")
    return rows, problems, notes


def append_results(path, rows):
    if path:
        with open(path, "a", encoding="utf-8") as out:
            out.writelines("\t".join(row) + "\n" for row in rows)


def run_one(client, known):
    script, python, expected, limit_s = client
    output, seconds, problem, log = run_client(script, python, limit_s)
    rows, problems, notes = judge(script, expected, parse_checks(output), problem, known)
    passed = sum(row[2] == "PASS" for row in rows)
    later = sum(row[2] == "later" for row in rows)
    text = [f"{script}: {passed} of {expected} passed, {later} known for later, {len(problems)} problems, {seconds:.0f} s"]
    text += [f"  note: {note}" for note in notes]
    if problems:
        text += [f"  {line}" for line in output.splitlines()[-60:]]
        text += ["  -- last lines of tepui dev:"] + [f"  {line}" for line in log.splitlines()]
        text += [f"  problem: {problem}" for problem in problems]
    print("\n".join(text), flush=True)
    return passed, rows, not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--note", nargs=2, metavar=("NAME", "LOG"))
    folder = os.environ.get("TEPUI_RESULTS")
    parser.add_argument("--results", default=os.path.join(folder, "acceptance.tsv") if folder else None)
    args = parser.parse_args()
    if args.note:
        name, log = args.note
        with open(log, encoding="utf-8", errors="replace") as lines:
            checks = parse_checks(lines.read())
        append_results(args.results, [(name, check, "PASS" if passed else "FAIL") for check, passed in checks])
        return
    chosen = [c for c in CLIENTS if not args.names or any(c[0].startswith(n) for n in args.names)]
    if not chosen:
        sys.exit(f"no client is named {' or '.join(args.names)}; there are {', '.join(c[0] for c in CLIENTS)}")
    if args.results and os.path.exists(args.results):
        os.remove(args.results)
    known = read_known()
    with concurrent.futures.ThreadPoolExecutor(max(1, args.jobs)) as pool:
        done = list(pool.map(lambda client: run_one(client, known), chosen))
    append_results(args.results, [row for _, rows, _ in done for row in rows])
    print(f"clients: {sum(d[0] for d in done)} of {sum(c[2] for c in chosen)} checks passed")
    sys.exit(0 if all(d[2] for d in done) else 1)


if __name__ == "__main__":
    main()
