#!/usr/bin/env bash
# The acceptance step: the third-party clients, then each executable in checks/ (name order).
# A check gets TEPUI_BIN and PYTHONPATH (for cluster.py), picks free ports, prints PASS or FAIL a check and ends with 0 or 1.
set -euo pipefail
. "$(dirname "$0")/../../scripts/env.sh"
contain_me "$@"
here=$root/integration/acceptance
mkdir -p "$results_dir"
"$here/clients.sh"

TEPUI_BIN=$(tepui_bin)
export TEPUI_BIN PYTHONPATH=$here:$root/scripts
for check in "$here"/checks/*; do
  [[ -f $check && -x $check ]] || continue
  name=$(basename "$check")
  printf '\n-- %s\n' "$name"
  log=$(mktemp)
  status=0
  timeout --kill-after=10 "${CHECK_LIMIT_S:-300}" "$root/scripts/contain.py" "$check" </dev/null 2>&1 | tee "$log" || status=$?
  "$here/clients.py" --note "$name" "$log" --results "$results_dir/acceptance.tsv"
  rm -f "$log"
  [[ $status == 0 ]] || die "acceptance check $name failed (exit $status)"
done
