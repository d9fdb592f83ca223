#!/usr/bin/env bash
# run.sh [--stay]: installs, builds and starts the demo cluster. It ends by itself, 0 only if every demo task ended as it should;
# with --stay it keeps the cluster and its web admin up until Ctrl-C.
set -euo pipefail
. "$(dirname "$0")/env.sh"
"$root/scripts/setup.sh" build
build_release
bin=$(tepui_bin)
# 5050 is Mesos' port and the one people expect; another where it is taken.
port=${TEPUI_PORT:-$("$root/scripts/free_port.py" --span 6 --prefer 5050)}
exec "$bin" demo --port "$port" "$@"
