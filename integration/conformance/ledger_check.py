#!/usr/bin/env python3
"""ledger_check.py [--results DIR] [--summary] [--list TEXT]: holds ledger.tsv to its word.

ledger.tsv has one row for each of the 2338 tests of Mesos 1.11's own suite (mesos-tests.tsv: suite, fixture, test):

  suite  test  verdict  reference
         fixture.test
               shown    the test or tests of ours that show the same behaviour, separated by ' + ':
                          unit BINARY TEST         a Rust test, as nextest lists it:  unit tepui-protocol recordio::tests::split_record
                          client SCRIPT CHECK      a check of a third-party client:   client 01_pymesos_command.py OFFERS received
                          check SCRIPT CHECK       a check of integration/acceptance/checks
                          golden NAME              a recorded exchange that must be equal: golden err-v1-bad-json
               n/a      one word of REASONS below
               later    empty, or what it waits for

It fails when a Mesos test has no row or two, when a row names no Mesos test, when a reason is not in the list, or when a named test of
ours does not exist. With --results (what `make test` leaves: unit.junit.xml or unit.txt, acceptance.tsv, conformance.tsv) a named test
must also have run and passed in that run. Without it, Rust tests are asked of `cargo nextest list`, or of --list FILE, its JSON output.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# The only grounds on which a Mesos test may be left aside. What Tepui might do one day is `later`, never one of these.
REASONS = {
    "zookeeper": "speaks with a ZooKeeper server; Tepui elects and stores by Raft",
    "replicated-log": "Paxos log and key-value storage inside Mesos; Raft and RocksDB have tests of their own",
    "libprocess": "messages between Mesos' own processes, which no client sees; Tepui's bridge replaces them",
    "driver": "the client-side C++, Java or Python driver library; it is not part of Tepui",
    "modules": "loading of C++ shared-library modules and hooks; Tepui is extended in Rust at build time",
    "cpp-helper": "a C++ helper with no behaviour visible from outside",
    "sasl": "CRAM-MD5 over libprocess between Mesos' own processes",
    "hadoop": "runs the client program of Hadoop",
    "appc": "the App Container image format, which is dead",
    "port-mapping": "the isolator that needs a patched kernel and libnl; Mesos does not build it by default",
    "nvidia": "NVIDIA's own library, drivers and images; GPUs here are devices by their paths",
    "net-cls": "class ids of packets for rules of traffic control that Mesos leaves to others; nothing here makes such rules",
    "perf-tool": "parses the output of the perf program",
    "resource-provider": "resource providers, which are processes of their own beside the agent; a Tepui agent has its own resources only",
    "old-agent": "an agent of an earlier Mesos, or what one left on its disk; only Tepui's agents register, each with every capability",
    "benchmark": "prints figures and asserts nothing; integration/bench measures",
    "strict": "--strict, which keeps an agent down for one damaged record; ours leaves that record aside and goes on",
    "xfs": "project quotas of the XFS file system, an isolator that Mesos does not build by default",
    "docker-volume": "runs the client program dvdcli of volume drivers",
    "csi": "volumes of CSI plug-ins, which are experimental in Mesos",
    "backends": "ways to lay out root file systems that need a kernel module (aufs) or serve one layer only (bind)",
    "mounts-on-host": "mounts that Mesos makes on the machine; ours are in each container's own view of it",
    "manifest-v1": "image manifests of schema 1, which no registry serves any more",
    "mesos-disabled": "disabled in Mesos itself (DISABLED_)",
}
VERDICTS = ("shown", "n/a", "later")


def read_rows(path):
    """Returns [(line number, fields)] without the header and comments."""
    with open(path, encoding="utf-8") as lines:
        rows = [(number, line.rstrip("\n").split("\t")) for number, line in enumerate(lines, 1)
                if line.strip() and not line.startswith("#")]
    return rows[1:]


def mesos_tests():
    return {(suite, f"{fixture}.{test}") for _, (suite, fixture, test) in read_rows(os.path.join(HERE, "mesos-tests.tsv"))}


class Ours:
    """The tests of ours that exist, and, where results are given, which of them passed."""

    def __init__(self, results, nextest_list):
        self.ran = results is not None
        self.loose_unit = False  # `cargo test` output does not tell binaries apart
        self.unit = self.read_unit(results, nextest_list)
        self.acceptance = self.read_verdicts(results, "acceptance.tsv", 2)
        self.golden = self.read_verdicts(results, "conformance.tsv", 1)
        if not self.ran:
            folder = os.path.join(HERE, "golden")
            self.golden = {re.sub(r"^\d+-|\.txt$", "", name): True for name in os.listdir(folder) if re.match(r"\d+-", name)}

    def read_unit(self, results, nextest_list):
        """Returns {'binary test': passed}."""
        if results is None:
            return self.list_unit(nextest_list)
        junit, text = os.path.join(results, "unit.junit.xml"), os.path.join(results, "unit.txt")
        if os.path.exists(junit):
            found = {}
            for suite in ElementTree.parse(junit).getroot().iter("testsuite"):
                for case in suite.iter("testcase"):
                    bad = case.find("failure") is not None or case.find("error") is not None or case.find("skipped") is not None
                    found[f"{suite.get('name')} {case.get('name')}"] = not bad
            return found
        if os.path.exists(text):
            self.loose_unit = True
            with open(text, encoding="utf-8", errors="replace") as lines:
                return {m[1]: m[2] == "ok" for m in re.finditer(r"^test (\S+)(?: - should panic)? \.\.\. (\w+)", lines.read(), re.M)}
        sys.exit(f"no unit.junit.xml and no unit.txt in {results}: run the unit step of `make test` first")

    @staticmethod
    def list_unit(nextest_list):
        if nextest_list:
            with open(nextest_list, encoding="utf-8") as text:
                listed = json.load(text)
        else:
            run = subprocess.run(["cargo", "nextest", "list", "--workspace", "--message-format", "json"], cwd=ROOT,
                                 stdout=subprocess.PIPE, check=False)
            if run.returncode != 0:
                sys.exit("cargo nextest list failed; give its JSON with --list, or results of a run with --results")
            listed = json.loads(run.stdout)
        return {f"{suite} {test}": True for suite, content in listed["rust-suites"].items() for test in content["testcases"]}

    @staticmethod
    def read_verdicts(results, name, keys):
        """Returns {'first second': passed} of a results file; empty without results, or where its step has not run."""
        path = os.path.join(results or "", name)
        if results is None or not os.path.exists(path):
            return {}
        found = {}
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                fields = line.rstrip("\n").split("\t")
                key = " ".join(fields[:keys])
                found[key] = found.get(key, True) and fields[keys] in ("PASS", "equal")
        return found

    def problem(self, reference):
        """Returns what is wrong with one reference, or None."""
        kind, _, name = reference.partition(" ")
        if kind == "unit":
            known = self.unit
            if self.loose_unit:
                name = name.partition(" ")[2]
        elif kind in ("client", "check"):
            if not self.ran:
                return self.script_problem(kind, name)
            known = self.acceptance
        elif kind == "golden":
            known = self.golden
        else:
            return f"'{reference}' begins with none of unit, client, check, golden"
        if name not in known:
            return f"{kind} '{name}' " + ("did not run" if self.ran else "does not exist")
        return None if known[name] else f"{kind} '{name}' did not pass"

    @staticmethod
    def script_problem(kind, name):
        """Without results only the script's existence can be told: its checks have names only when it runs."""
        script = name.partition(" ")[0]
        folder = os.path.join(ROOT, "integration", "acceptance", "clients" if kind == "client" else "checks")
        return None if os.path.exists(os.path.join(folder, script)) else f"{kind} script '{script}' does not exist"


def check(rows, expected, ours):
    """Returns the problems of the ledger, worded for the one who mends it."""
    problems, seen = [], {}
    for number, fields in rows:
        at = f"ledger.tsv:{number}"
        if len(fields) != 4:
            problems.append(f"{at}: expected 4 columns, found {len(fields)}")
            continue
        suite, test, verdict, reference = fields
        if (suite, test) in seen:
            problems.append(f"{at}: {suite} {test} stands already in line {seen[suite, test]}")
        seen[suite, test] = number
        if (suite, test) not in expected:
            problems.append(f"{at}: Mesos has no test {suite} {test}")
        if verdict not in VERDICTS:
            problems.append(f"{at}: verdict {verdict!r}, expected one of {', '.join(VERDICTS)}")
        elif verdict == "n/a" and reference not in REASONS:
            problems.append(f"{at}: reason {reference!r} is not in the list of ledger_check.py")
        elif verdict == "shown":
            named = [part.strip() for part in reference.split(" + ") if part.strip()]
            if not named:
                problems.append(f"{at}: 'shown' names no test of ours")
            problems += [f"{at}: {wrong}" for wrong in map(ours.problem, named) if wrong]
    problems += [f"ledger.tsv: no row for {suite} {test}" for suite, test in sorted(expected - set(seen))]
    return problems


def print_summary(rows):
    counts = Counter(fields[2] for _, fields in rows)
    print("ledger: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS) + f", of {len(rows)}")


def print_table(rows):
    by_suite = {}
    for _, (suite, _test, verdict, _reference) in rows:
        by_suite.setdefault(suite, Counter())[verdict] += 1
    print(f"{'suite':48} {'shown':>6} {'n/a':>6} {'later':>6}")
    for suite, counts in sorted(by_suite.items()):
        print(f"{suite:48} " + " ".join(f"{counts[verdict]:6}" for verdict in VERDICTS))
    reasons = Counter(fields[3] for _, fields in rows if fields[2] == "n/a")
    for reason, count in reasons.most_common():
        print(f"n/a {count:5}  {reason}: {REASONS.get(reason, '?')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results")
    parser.add_argument("--list")
    parser.add_argument("--summary", action="store_true", help="print counts by suite and check nothing")
    args = parser.parse_args()
    rows = read_rows(os.path.join(HERE, "ledger.tsv"))
    if args.summary:
        print_table(rows)
        print_summary(rows)
        return
    problems = check(rows, mesos_tests(), Ours(args.results, args.list))
    for problem in problems:
        print(f"FAIL {problem}")
    print_summary(rows)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
