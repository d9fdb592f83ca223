#!/usr/bin/env bash
# Puts the questions of golden/ to our daemons and compares the answers with recorded Mesos (golden/README.md, record/compare.py).
#   run.sh [--keep DIR] [RECORDER…]     recorders: golden golden2 golden3; without any, all three and the verdict of check.py
# The three recorders ask what record/run.sh asks, each of a cluster of its own (a master and two agents), but side by side and on
# free ports: most of their time is waiting. Recordings and logs stay in DIR, or go away when nothing is wrong.
set -euo pipefail
. "$(dirname "$0")/../../scripts/env.sh"
contain_me "$@"
here=$root/integration/conformance
record=$here/golden/record
bin=$(tepui_bin)
readonly READY_LIMIT_S=30 RECORD_LIMIT_S=400 BRIDGE_OFFSET=10

keep=''
if [[ ${1:-} == --keep ]]; then keep=$2; shift 2; fi
recorders=("$@")
[[ ${#recorders[@]} -gt 0 ]] || recorders=(golden golden2 golden3)
out=${keep:-$(mktemp -d "${TMPDIR:-/tmp}/tepui-conformance.XXXXXX")}
mkdir -p "$out"

agents_of() { # PORT: how many agents the master on this port knows; 0 while it does not answer
  curl -s --max-time 2 "127.0.0.1:$1/slaves" | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["slaves"]))' 2>/dev/null || echo 0
}

# One cluster, one recorder. Runs in a subshell of its own, so that its trap ends exactly what it started.
record_one() (
  recorder=$1 port=$2
  work=$out/$recorder pids=()
  rm -rf "$work"; mkdir -p "$work/recorded"
  stop() {
    kill "${pids[@]}" 2>/dev/null || true
    for _ in $(seq 20); do kill -0 "${pids[@]}" 2>/dev/null || break; sleep 0.1; done
    kill -9 "${pids[@]}" 2>/dev/null || true
  }
  trap stop EXIT
  trap 'exit 1' INT TERM
  "$bin" master --ip 127.0.0.1 --port "$port" --bridge-port $((port + BRIDGE_OFFSET)) --hostname localhost --cluster golden \
    --work-dir "$work/master" >"$work/master.log" 2>&1 & pids+=($!)
  for i in 1 2; do
    "$bin" agent --ip 127.0.0.1 --port $((port + i)) --hostname localhost --master "127.0.0.1:$port" --work-dir "$work/agent$i" \
      --resources 'cpus:4;mem:4096;disk:10240;ports:[31000-32000]' --attributes "rack:r$i;gen:[1-5];num:3.5" >"$work/agent$i.log" 2>&1 & pids+=($!)
  done
  ready_by=$((SECONDS + READY_LIMIT_S))
  until [[ $(agents_of "$port") == 2 ]]; do
    if ((SECONDS > ready_by)); then
      say "$recorder: the master on port $port does not list two agents within $READY_LIMIT_S s; its last lines:"
      tail -n 5 "$work"/*.log >&2
      exit 1
    fi
    sleep 0.2
  done
  sleep 1 # the recorders want an idle cluster: registration over, gauges settled
  MP=$port AP1=$((port + 1)) AP2=$((port + 2)) GOLDEN=$work/recorded \
    timeout "$RECORD_LIMIT_S" python3 "$record/play.py" "$recorder" >"$work/recorder.log" 2>&1 || say "$recorder: ended with $? (see $work/recorder.log)"
  passed_over=$(grep -c 'passed over\|out of time' "$work/recorder.log" || true)
  [[ $passed_over == 0 || -z $keep ]] || { grep 'passed over\|out of time' "$work/recorder.log" || true; } | sed "s/^/$recorder /"
  say "$recorder: $(find "$work/recorded" -name '[0-9]*.txt' | wc -l) exchanges in $SECONDS s, $passed_over statements passed over"
)

mapfile -t ports < <("$root/scripts/free_port.py" --span $((BRIDGE_OFFSET + 2)) --count "${#recorders[@]}")
waits=()
trap 'kill "${waits[@]}" 2>/dev/null || true; wait; exit 1' INT TERM
for i in "${!recorders[@]}"; do
  record_one "${recorders[i]}" "${ports[i]}" & waits+=($!)
done
failed=0
for pid in "${waits[@]}"; do wait "$pid" || failed=1; done
[[ $failed == 0 ]] || die "a cluster did not come up; logs in $out"

mkdir -p "$results_dir" "$out/all"
rm -f "$out"/all/*.txt
cp "$out"/golden*/recorded/[0-9]*.txt "$out/all/"
if [[ $# -gt 0 ]]; then
  "$record/compare.py" "$here/golden,$here/golden/again1,$here/golden/again2" "$out/all" --verbose | grep -v ': missing$' || true
  exit 0
fi
differences=$results_dir/conformance-differences.txt
"$here/check.py" "$out/all" --results "$results_dir/conformance.tsv" --differences "$differences" || {
  say "each difference: $differences; recordings and logs: $out"
  exit 1
}
[[ -n $keep ]] || rm -rf "$out"
