#!/usr/bin/env bash
# Make .venv (stage `environment`), then try to add ffcv to it (stage `ffcv`). Called by the Makefile.
# One line a phase on the terminal; everything else goes to .venv/setup.log.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
log=$venv/setup.log
constraints=$venv/constraints.txt
pip=("$venv/bin/python" -m pip --no-input --disable-pip-version-check)

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

# phase DESCRIPTION COMMAND...: the command's status, after one line on the terminal.
phase() {
    local what=$1 begin=$SECONDS
    shift
    printf 'setup: %s ... ' "$what"
    printf '\n== %s: %s\n' "$what" "$*" >>"$log"
    if "$@" >>"$log" 2>&1 </dev/null; then
        printf '%d s\n' $((SECONDS - begin))
    else
        printf 'failed\n'
        return 1
    fi
}

# The same, but nothing can go on without it.
must() {
    phase "$@" && return
    printf '\n' >&2
    tail -n 20 "$log" >&2
    fail "the log ends above; all of it is in $log. Once the cause is gone, run the same command again."
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    local candidate without_venv=
    for candidate in python3 python3.13 python3.12 python3.11; do
        supported "$candidate" || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
        without_venv=${without_venv:-$candidate}
    done
    if [[ -n $without_venv ]]; then
        fail "$without_venv has no venv or no ensurepip module, so no environment can be made." \
            "On Debian or Ubuntu run: apt-get install -y python3-venv; then run the same command again."
    fi
    fail "no Python 3.11, 3.12 or 3.13 was found as python3, python3.13, python3.12 or python3.11." \
        "Install one, put it on PATH, and run the same command again."
}

# Pins for the torch that was chosen. Another torch than the default brings its own torchvision
# (0.N+15 goes with 2.N) and may need another sympy, which torch pins in some versions.
write_constraints() {
    local torch=$1 default=$2 minor patch
    if [[ $torch == "$default" ]]; then
        cp constraints.txt "$constraints"
        return
    fi
    IFS=. read -r _ minor patch <<<"${torch%%+*}"
    sed -E '/^(torch|torchvision|sympy)==/d' constraints.txt >"$constraints"
    printf 'torch==%s\ntorchvision==0.%d.%d\n' "$torch" $((minor + 15)) "$patch" >>"$constraints"
}

environment() {
    local python default torch
    default=$(sed -n 's/^torch==//p' constraints.txt)
    # A torch chosen once stays until another is named or .venv is removed.
    torch=${TORCH:-$(cat $venv/.torch 2>/dev/null || echo "$default")}
    if [[ ! $torch =~ ^2\.([0-9]+)\.[0-9]+(\+[a-z0-9.]+)?$ ]] || ((BASH_REMATCH[1] < 6)); then
        fail "TORCH=$torch is not a version that works here: write it in full, 2.6.0 or newer, as in TORCH=2.7.1."
    fi

    rm -f $venv/.ready
    if ! supported $venv/bin/python || ! "${pip[@]}" --version >/dev/null 2>&1; then
        python=$(find_python)
        rm -rf $venv
        mkdir $venv
        : >$log
        must "environment with $("$python" --version) ($python)" "$python" -m venv $venv
    fi
    # The stamp has the time at which set-up began, so that a file edited meanwhile counts as newer.
    touch $venv/.begun
    echo "$torch" >$venv/.torch
    write_constraints "$torch" "$default"

    # pip itself and setuptools are pinned as well, and nothing is built in isolation, where pins do not reach.
    must "pip" "${pip[@]}" install -c $constraints pip setuptools
    # torch before all that needs it, by its exact version; torchvision without a say in which torch.
    must "torch $torch" "${pip[@]}" install -c $constraints "torch==$torch"
    must "torchvision" "${pip[@]}" install -c $constraints --no-deps torchvision
    must "bench and its tools" "${pip[@]}" install -c $constraints --no-build-isolation -e '.[dev,claims]'
    mv $venv/.begun $venv/.ready
}

# The Debian packages that building ffcv lacks here.
missing_packages() {
    local packages=()
    command -v pkg-config >/dev/null || packages+=(pkg-config)
    command -v c++ >/dev/null || packages+=(g++)
    pkg-config --exists opencv4 2>/dev/null || packages+=(libopencv-dev)
    pkg-config --exists libturbojpeg 2>/dev/null || packages+=(libturbojpeg0-dev)
    "$venv/bin/python" - <<'PYTHON' || packages+=(python3-dev)
import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())
PYTHON
    echo "${packages[*]}"
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install -y --no-install-recommends "$@"
}

# One that was built but cannot be loaded is no use to anyone.
install_ffcv() {
    "${pip[@]}" install -c $constraints --no-build-isolation ffcv || return
    "$venv/bin/python" -c 'import ffcv' && return
    "${pip[@]}" uninstall -y ffcv
    return 1
}

# Without ffcv everything else works, so nothing here fails the set-up. $venv/.ffcv says how it went.
ffcv() {
    local packages toolchain
    if compgen -G "$venv/lib/python3.*/site-packages/ffcv-*.dist-info" >/dev/null; then
        echo installed >$venv/.ffcv
        return
    fi
    packages=$(missing_packages)
    if [[ -n $packages && $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        # shellcheck disable=SC2086  # a list of words
        phase "Debian packages for ffcv ($packages)" apt_install $packages || true
        packages=$(missing_packages)
    fi
    if [[ -n $packages ]]; then
        echo "missing: $packages" >$venv/.ffcv
        if command -v apt-get >/dev/null; then
            echo "setup: going on without the ffcv loader. To have it: sudo apt-get install -y $packages && make setup"
        else
            echo "setup: going on without the ffcv loader. To have it, install OpenCV 4, libturbojpeg, pkg-config and" \
                "a C++ compiler (in Debian's words: $packages), then: make setup"
        fi
        return
    fi

    # A build that failed is not tried again with the same tools.
    toolchain="failed with $(c++ --version | head -n 1), opencv $(pkg-config --modversion opencv4)"
    if [[ $(cat $venv/.ffcv 2>/dev/null) == "$toolchain" ]]; then
        touch $venv/.ffcv
        echo "setup: going on without the ffcv loader: its build failed before, with the same tools; see $log"
        return
    fi
    if phase "ffcv" install_ffcv; then
        echo installed >$venv/.ffcv
    else
        echo "$toolchain" >$venv/.ffcv
        echo "setup: going on without the ffcv loader: its build failed; see the end of $log"
    fi
}

case ${1-} in
environment | ffcv) "$1" ;;
*) fail "usage: tools/setup.sh environment|ffcv (or rather: make setup)" ;;
esac
