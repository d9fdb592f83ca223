#!/usr/bin/env bash
# test.sh [long]: all that proves the project, step by step; stops at the first step that fails, and ends with a table of seconds.
# ONLY='unit conformance' runs just these steps (names as in the table), those that need the programs after a build of them. `long` repeats with more inputs and adds the benches.
set -euo pipefail
. "$(dirname "$0")/env.sh"
cd "$root"
mode=${1:-short}
mkdir -p "$results_dir"
[[ -n ${ONLY:-} ]] || rm -f "$results_dir"/*.tsv "$results_dir"/unit.*

names=() seconds=() states=() all=() current='' started=0
table() {
  local status=$? i total=0
  if [[ -n $current ]]; then
    names+=("$current") seconds+=($((SECONDS - started))) states+=(FAILED)
  fi
  printf '\n%-14s %8s  %s\n' step seconds result
  for i in "${!names[@]}"; do
    printf '%-14s %8d  %s\n' "${names[i]}" "${seconds[i]}" "${states[i]}"
    total=$((total + seconds[i]))
  done
  printf '%-14s %8d\n' total "$total"
  if [[ -n $current ]]; then
    printf "\nmake test: FAILED in step '%s' (exit %d). This step alone:  ONLY='%s' make test\n" "$current" "$status" "$current"
  elif [[ $status == 0 && ${#names[@]} == 0 ]]; then
    printf "\nmake test: no step is named '%s'; there are: %s\n" "$ONLY" "${all[*]}"
    status=2
  elif [[ $status == 0 ]]; then
    printf '\nmake test: all steps passed\n'
  fi
  exit "$status"
}
trap table EXIT
trap 'exit 130' INT TERM

# step NAME COMMAND…: runs it in this shell with errexit on (so never under `if` or `||`) and notes how long it took.
step() {
  local name=$1; shift
  all+=("$name")
  [[ -z ${ONLY:-} || " $ONLY " == *" $name "* ]] || return 0
  current=$name started=$SECONDS
  printf '\n==> %s\n' "$name"
  "$@"
  names+=("$name") seconds+=($((SECONDS - started))) states+=(ok)
  current=''
}

# The same cases in every run, so that a red run is a red change; make test-long draws new ones, and prints the seed of one that fails.
[[ $mode == long ]] || export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20261122}

clippy() { cargo clippy --workspace --all-targets -- -D warnings; }

# unit [PROFILE WORD…]: leaves unit.junit.xml (nextest) or unit.txt (cargo test) for the ledger.
unit() {
  local profile=${1:-default}
  rm -f "$results_dir"/unit.*
  # Tests launch the real shim, and cargo builds a program for a test only if it is of the test's own package.
  cargo build --workspace --bin tepui-shim
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --profile "$profile" "${@:2}"
    # nextest keeps its store in the clone, whatever CARGO_TARGET_DIR says
    cp "$root/target/nextest/$profile/junit.xml" "$results_dir/unit.junit.xml"
  else
    cargo test --workspace -- ${1:+--include-ignored} 2>&1 | tee "$results_dir/unit.txt"
  fi
}
unit_long() {
  export PROPTEST_CASES=${PROPTEST_CASES:-4096} TEPUI_FUZZ_INPUTS=${TEPUI_FUZZ_INPUTS:-1000000}
  unit long --run-ignored all
}

# As the cases of the property tests: the same pauses in every run, new ones in make test-long. A failure prints its seed.
chaos() {
  local kills=3 cuts=2
  if [[ $mode == long ]]; then kills=50 cuts=24; else export TEPUI_CHAOS_SEED=${TEPUI_CHAOS_SEED:-20261122}; fi
  integration/chaos/run.sh --kills "${TEPUI_CHAOS_KILLS:-$kills}"
  integration/chaos/run.sh --cuts "$cuts"
}

# The agent dies at so many points of its way, or at each.
kill_matrix() {
  if [[ $mode == long ]]; then integration/chaos/matrix.sh; else integration/chaos/matrix.sh --cases 8; fi
}

# As the acceptance check, with many more.
kill_races() {
  TEPUI_CHAOS_SEED=${TEPUI_CHAOS_SEED:-0} TEPUI_BIN=$(tepui_bin) "$root/scripts/contain.py" "$root/integration/acceptance/checks/kill_race.py" "${TEPUI_RACES:-100000}"
}

# Benches print one JSON line each; only a bench that cannot run fails here, the figures are for people.
benches() {
  local bench name
  bench=$(dirname "$(tepui_bin)")/tepui-bench
  for name in mailbox wire launch-latency launch-growth alloc-cycle; do
    "$bench" "$name" --json
  done
  "$bench" reregister --json
  beside_peers "$bench" registry --rounds 2 --seconds 1 --json
  beside_peers "$bench" failover --count 3 --own-timeouts --json
}
# 3: a peer is not installed, as standard error says; all else was measured.
beside_peers() { "$@" || [[ $? == 3 ]]; }

# Seeds through the simulated cluster, those that failed once first: as many as fit, or so many.
simulation() {
  "$(dirname "$(tepui_bin)")/tepui-sim" --seeds "$@"
}
# Whether one of these steps needs more than it makes itself.
uses_programs() {
  local name
  for name in "$@"; do
    [[ ' setup fmt clippy unit build planted ledger ' == *" $name "* ]] || return 0
  done
  return 1
}
# Each planted bug is found. The feature is of the simulation alone: nothing else is built for it.
planted() {
  cargo build --release --workspace --features tepui-simulation/planted --bin tepui-sim
  "$target_dir/release/tepui-sim" --bugs
}

step setup scripts/setup.sh test
step fmt cargo fmt --all --check
step clippy clippy
if [[ $mode == long ]]; then step unit unit_long; else step unit unit; fi
# What follows uses the programs: those of this source, also where only some of these steps are wanted.
if [[ -n ${ONLY:-} ]] && uses_programs $ONLY; then build_release; fi
step build build_release
if [[ $mode == long ]]; then step simulation simulation 0..5000; else step simulation simulation 0..5000 --within 80; fi
step planted planted
step demo "$root/scripts/demo_check.sh"
step acceptance integration/acceptance/run.sh
step chaos chaos
step kill-matrix kill_matrix
step conformance integration/conformance/run.sh
if [[ $mode == long ]]; then
  step kill-races kill_races
  step conformance-2 integration/conformance/run.sh
  step conformance-3 integration/conformance/run.sh
  step benches benches
fi
step ledger integration/conformance/ledger_check.py --results "$results_dir"
