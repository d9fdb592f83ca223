#!/usr/bin/env bash
# What `make demo` promises: it ends by itself, within a limit, with exit status 0. Run on a free port, with its own data.
set -euo pipefail
. "$(dirname "$0")/env.sh"
contain_me "$@"
bin=$(tepui_bin)
timeout --kill-after=10 "${DEMO_LIMIT_S:-120}" "$bin" demo --port "$("$root/scripts/free_port.py" --span 6)"
