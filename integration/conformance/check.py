#!/usr/bin/env python3
"""check.py RECORDED [--results FILE] [--differences FILE]: judges a folder of our recorded answers.

Runs golden/record/compare.py, which decides what is equal, and holds its result against the files beside this one:
  limits.tsv     minimum-equal N         fewer equal exchanges fail (justified ones do not count)
                 strict-prefixes A,B,…   each exchange whose name begins so must be equal or justified; empty: not enforced yet
  justified.tsv  NAME<tab>REASON         exchanges allowed to differ; a name no recording has fails, one that is equal is told
Ends with one line of counts. The results file gets NAME<tab>equal|differ|missing|justified for the ledger's checker; each difference
goes to the differences file, or is printed where none is given.
"""
import argparse
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden")


def read_tsv(path):
    """Returns {first column: second column}; lines that are empty or begin with # are passed over."""
    rows = {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                continue
            name, tab, value = line.partition("\t")
            if not tab:
                sys.exit(f"{path}:{number}: expected NAME<tab>VALUE, found {line!r}")
            if name in rows:
                sys.exit(f"{path}:{number}: {name} stands twice")
            rows[name] = value.strip()
    return rows


def plain_name(file_name):
    """'085-err-v1-bad-json.txt' -> 'err-v1-bad-json'"""
    return re.sub(r"^\d+-|\.txt$", "", file_name)


def golden_names():
    return {plain_name(f) for f in os.listdir(GOLDEN) if re.match(r"\d+-.*\.txt$", f)}


def compare(recorded):
    """Returns {name: [difference, …]} of what is not equal, as compare.py sees it."""
    references = ",".join([GOLDEN, os.path.join(GOLDEN, "again1"), os.path.join(GOLDEN, "again2")])
    run = subprocess.run(
        [sys.executable, os.path.join(GOLDEN, "record", "compare.py"), references, recorded],
        capture_output=True, text=True, check=False)
    lines = run.stdout.splitlines()
    if not lines or not re.match(r"\d+ equal, ", lines[-1]):
        sys.exit(f"compare.py did not end with its counts:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    differences = {}
    for line in lines[:-1]:
        file_name, _, what = line.partition(".txt: ")
        differences.setdefault(plain_name(file_name), []).append(what)
    return differences


def verdicts(names, differences, justified):
    """Returns {name: equal | justified | missing | differ}."""
    result = {}
    for name in sorted(names):
        found = differences.get(name)
        if not found:
            result[name] = "equal"
        elif name in justified:
            result[name] = "justified"
        else:
            result[name] = "missing" if found == ["missing"] else "differ"
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recorded")
    parser.add_argument("--results")
    parser.add_argument("--differences")
    args = parser.parse_args()
    limits = read_tsv(os.path.join(HERE, "limits.tsv"))
    justified = read_tsv(os.path.join(HERE, "justified.tsv"))
    names = golden_names()
    differences = compare(args.recorded)
    result = verdicts(names, differences, justified)
    if args.results:
        with open(args.results, "w", encoding="utf-8") as out:
            out.writelines(f"{name}\t{verdict}\n" for name, verdict in result.items())

    told = [f"{result[name]:9} {name}: {what}\n" for name, found in sorted(differences.items()) for what in found]
    if args.differences:
        with open(args.differences, "w", encoding="utf-8") as out:
            out.writelines(told)
    else:
        sys.stdout.writelines(told)
    problems = [f"justified.tsv names {name}, which no recording has" for name in sorted(set(justified) - names)]
    problems += [f"justified.tsv gives no reason for {name}" for name, reason in justified.items() if not reason]
    for name in sorted(justified):
        if result.get(name) == "equal":
            print(f"note: {name} is equal now; its line in justified.tsv can go")
    counts = {kind: list(result.values()).count(kind) for kind in ("equal", "differ", "justified", "missing")}
    minimum = int(limits["minimum-equal"])
    if counts["equal"] < minimum:
        problems.append(f"{counts['equal']} exchanges are equal, limits.tsv wants at least {minimum}")
    prefixes = tuple(prefix for prefix in limits.get("strict-prefixes", "").split(",") if prefix)
    if prefixes:
        problems += [f"{name} ({verdict}): such an exchange must be equal or stand in justified.tsv"
                     for name, verdict in result.items() if name.startswith(prefixes) and verdict in ("differ", "missing")]
    for problem in problems:
        print(f"FAIL {problem}")
    print(f"conformance: {counts['equal']} equal, {counts['differ']} differ, {counts['justified']} justified, "
          f"{counts['missing']} missing, of {len(result)}; at least {minimum} equal wanted")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
