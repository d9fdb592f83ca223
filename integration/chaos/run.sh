#!/usr/bin/env bash
# run.sh [--kills N | --cuts N] [--seed S]: chaos.py with the release binaries, and nothing left behind. TEPUI_CHAOS_KILLS and TEPUI_CHAOS_SEED do the same.
set -euo pipefail
. "$(dirname "$0")/../../scripts/env.sh"
contain_me "$@"
TEPUI_BIN=$(tepui_bin)
export TEPUI_BIN TEPUI_CHAOS_KEEP=$results_dir/chaos PYTHONPATH=$root/scripts
"$root/integration/chaos/chaos.py" "$@"
