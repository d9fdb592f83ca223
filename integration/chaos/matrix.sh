#!/usr/bin/env bash
# matrix.sh [--cases N] [--only LIFE:POINT:N]: kill_matrix.py with the release binaries, and nothing left behind.
set -euo pipefail
. "$(dirname "$0")/../../scripts/env.sh"
contain_me "$@"
TEPUI_BIN=$(tepui_bin)
export TEPUI_BIN PYTHONPATH=$root/scripts
"$root/integration/chaos/kill_matrix.py" "$@"
