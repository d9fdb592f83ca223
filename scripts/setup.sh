#!/usr/bin/env bash
# setup.sh build|test: makes sure that the machine has what this target needs, and installs what is missing (Debian, Ubuntu).
# Where it may not install (neither root nor sudo without a password) it prints the exact command and ends with 1.
set -euo pipefail
. "$(dirname "$0")/env.sh"

has() { command -v "$1" >/dev/null 2>&1; }
# libclang-cpp is another library, which a machine may have without the one that bindgen loads.
has_libclang() {
  local place
  [[ -z ${LIBCLANG_PATH:-} ]] || return 0
  for place in '/usr/lib/llvm-*/lib' '/usr/lib/*'; do
    compgen -G "$place/libclang.so*" >/dev/null && return 0
    compgen -G "$place/libclang-[0-9]*.so*" >/dev/null && return 0
  done
  return 1
}
has_chromium() { [[ -n ${CHROMIUM:-} ]] || has chromium || has chromium-browser || has google-chrome; }
has_venv() { has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }
# Containers with an image have no libraries of this machine.
has_static_busybox() { [[ -x /bin/busybox ]] && ! ldd /bin/busybox >/dev/null 2>&1; }
has_libfaketime() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null; }
is_ubuntu() { grep -qs '^ID=ubuntu' /etc/os-release; }

missing=()
need() { local package=$1; shift; "$@" || missing+=("$package"); }

need_for_build() {
  need g++ has g++
  need libclang-dev has_libclang
  need ccache has ccache
  need curl has curl
  need python3 has python3
}
need_for_test() {
  need_for_build
  need python3-venv has_venv
  need nodejs has node
  need npm has npm
  need busybox-static has_static_busybox
  need docker-registry has docker-registry
  need docker.io has dockerd
  need podman has podman
  need containernetworking-plugins test -x /usr/lib/cni/bridge
  need iptables has iptables
  need iproute2 has ip
  need libfaketime has_libfaketime
  need strace has strace
  if is_ubuntu; then need chromium-browser has_chromium; else need chromium has_chromium; fi
}

need_rust() {
  has cargo || die "no Rust toolchain: install one with  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh  and open a new shell"
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
  have=$(rustc --version | cut -d' ' -f2)
  [[ $(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -1) == "$wanted" ]] ||
    die "Rust $have is too old, expected $wanted or newer: run  rustup update stable"
}

# Installs without asking; apt's lists may be stale or absent, so they are brought up to date first.
install_missing() {
  local install=(apt-get install -y --no-install-recommends "${missing[@]}") as_root=()
  has apt-get || die "missing: ${missing[*]} (Debian's names); install them with this system's package manager"
  if [[ $(id -u) != 0 ]]; then
    if has sudo && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      die "missing packages, and no right to install them. Run:
  sudo apt-get update && sudo ${install[*]}"
    fi
  fi
  say "installing: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" -qq >&2 </dev/null ||
    die "apt could not install ${missing[*]}; try by hand:  ${as_root[*]} ${install[*]}"
}

case ${1:-} in
  build) need_for_build ;;
  test) need_for_test ;;
  *) die "usage: setup.sh build|test" ;;
esac
[[ ${#missing[@]} == 0 ]] || install_missing
need_rust
