# Sourced by the other scripts: the build environment and where the binaries are. Sets, never unsets what the caller chose.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# One cold build of RocksDB takes a quarter of an hour: ccache serves debug and release, and any later clone.
if command -v ccache >/dev/null 2>&1; then
  export CC=${CC:-ccache cc} CXX=${CXX:-ccache c++}
fi
# A CI machine clones afresh each time: what is compiled stays outside the clone.
if [[ ${CI:-} == true ]]; then
  export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/tepui-target}
fi
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
target_dir=${CARGO_TARGET_DIR:-$root/target}
[[ $target_dir == /* ]] || target_dir=$root/$target_dir

# What a run leaves for the ledger's checker: JUnit file, acceptance and conformance results.
results_dir=${TEPUI_RESULTS:-$target_dir/test-results}

# Runs the calling script again under contain.py, so that no daemon, shim or task outlives it. Call it first: contain_me "$@"
contain_me() {
  [[ ${TEPUI_CONTAINED:-} == "$0" ]] || TEPUI_CONTAINED=$0 exec "$root/scripts/contain.py" bash "$0" "$@"
}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Prints the tepui binary in use: TEPUI_BIN, or what the release build made.
tepui_bin() {
  local bin=${TEPUI_BIN:-$target_dir/release/tepui}
  [[ -x $bin ]] || die "no tepui binary at $bin; run 'make build', or let TEPUI_BIN name one"
  printf '%s\n' "$(cd "$(dirname "$bin")" && pwd)/$(basename "$bin")"
}

# The one release build that demo, acceptance, conformance and benches share. Nothing to do when TEPUI_BIN is given.
build_release() {
  if [[ -n ${TEPUI_BIN:-} ]]; then
    say "using TEPUI_BIN=$TEPUI_BIN, not building"
  else
    (cd "$root" && cargo build --release --workspace)
  fi
  tepui_bin >/dev/null
}
