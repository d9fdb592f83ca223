#!/usr/bin/env bash
# Installs the third-party clients (once, into CLIENTS_HOME) and runs each against a `tepui dev` of its own; see clients.py.
#   clients.sh [--jobs N] [NAME…]       NAME: the beginning of a script's name, 01 for example
set -euo pipefail
. "$(dirname "$0")/../../scripts/env.sh"
contain_me "$@"
here=$root/integration/acceptance
export CLIENTS_HOME=${CLIENTS_HOME:-$HOME/.cache/tepui-clients}

# Two runs at once must not install into one folder; a registry that stumbles is asked once more.
mkdir -p "$CLIENTS_HOME"
(
  flock 9
  stamp=$CLIENTS_HOME/.installed-$(sha256sum "$here/clients/setup.sh" | cut -c1-16)
  [[ -e $stamp ]] || {
    say "installing the third-party clients into $CLIENTS_HOME (once, about a minute and a half)"
    for attempt in 1 2 3; do
      if "$here/clients/setup.sh" >"$CLIENTS_HOME/setup.log" 2>&1; then touch "$stamp"; break; fi
      say "attempt $attempt failed:"; tail -n 5 "$CLIENTS_HOME/setup.log" >&2
    done
    [[ -e $stamp ]] || die "the clients could not be installed; full output in $CLIENTS_HOME/setup.log"
  }
) 9>"$CLIENTS_HOME/.lock"

mkdir -p "$results_dir"
TEPUI_BIN=$(tepui_bin) TEPUI_RESULTS=$results_dir exec "$here/clients.py" "$@"
