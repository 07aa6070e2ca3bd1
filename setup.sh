#!/usr/bin/env bash
# Sets makima-relay up in this directory: checks what it needs, asks for its settings, installs it into .venv.
# Runs with any bash from 3.2 on, which is what macOS has.
set -euo pipefail
# Others have to be able to run what is installed, and must not be able to change it, whatever the caller's umask.
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
cd "$here"
venv=$here/.venv
env_file=$here/.env
default_url=wss://api.makima.jp

usage() {
  cat <<'TEXT'
Usage: ./setup.sh [--yes] [--force]        ask for the settings, write .env, install, offer to start
       ./setup.sh env [--yes] [--force]    ask for the settings and write .env, nothing else
       ./setup.sh install                  install, nothing else
       ./setup.sh demo [--keep]            install, and watch a server, a relay and two daemons at work; with --cluster
                                           two relays that share the daemons of one through a redis-server
       ./setup.sh dev [--port N] [...]     install with what development needs, and run a relay between stand-ins that is
                                           started again whenever its source changes
       ./setup.sh test [TEST...]           install with what the tests need, and run them under coverage
       ./setup.sh bench [--quick] [...]    install with what the benchmarks need, and measure the relay beside others;
                                           ./setup.sh bench --help lists what there is
       ./setup.sh lock [--upgrade]         make requirements.lock and requirements-dev.lock anew: with what setup.py asks
                                           for now, or with the newest of everything

  --yes, -y    ask nothing: take MAKIMA_SERVER_URL, MAKIMA_API_KEY and MAKIMA_AGENT_NAME (optional) from the
               environment, keep an .env that is there, start nothing
  --force      with --yes: replace an .env that is there
  --help, -h   show this

Everything is installed into .venv beside this script; nothing outside of this directory is changed.
TEXT
}

say() { printf '%s\n' "$*"; }
fail() {
  printf 'setup.sh: %s\n' "$*" >&2
  exit 1
}
misused() {
  printf 'setup.sh: %s\n' "$*" >&2
  usage >&2
  exit 2
}

# ------------------------------------------------------------------------------------------------ prerequisites

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

how_to_get_python() {
  cat >&2 <<'TEXT'
  Debian, Ubuntu:  sudo apt install python3 python3-venv python3-pip
  Fedora:          sudo dnf install python3 python3-pip
  macOS:           brew install python@3.13
TEXT
}

# Prints the first Python that is recent enough and can make virtual environments.
find_python() {
  local candidate recent=
  for candidate in python3.13 python3.12 python3.11 python3; do
    is_recent "$candidate" || continue
    recent=$candidate
    if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  if [ -n "$recent" ]; then
    printf 'setup.sh: %s has no venv or no pip. To get them:\n' "$recent" >&2
  else
    printf 'setup.sh: Python 3.11 or newer is needed. To get it:\n' >&2
  fi
  how_to_get_python
  return 1
}

# ------------------------------------------------------------------------------------------------- installation

# Programs in .venv know their place: one that was moved or copied here has to be made anew.
venv_is_good() {
  is_recent "$venv/bin/python" && [ -e "$venv/bin/pip" ] && head -n 2 "$venv/bin/pip" | grep -qF "$venv/bin/python"
}

make_venv() {
  local python
  venv_is_good && return
  python=$(find_python) || exit 1
  say "making .venv with $("$python" --version 2>&1) ..."
  "$python" -m venv --clear "$venv" || fail "$python cannot make $venv"
}

# What an installation depends on, as one word.
fingerprint() {
  "$venv/bin/python" - <<'PYTHON'
import hashlib, pathlib, sys
names = "setup.py", "pyproject.toml", "requirements.lock", "requirements-dev.lock"
files = [pathlib.Path(name).read_bytes() for name in names]
print(hashlib.sha256(b"\0".join([*files, sys.version.encode()])).hexdigest())
PYTHON
}

# Whether the lock files are meant for the Python of .venv and this machine.
is_locked_for() {
  "$venv/bin/python" - <<'PYTHON'
import platform, sys
system, machine = platform.system(), platform.machine()
sys.exit(not (
    sys.implementation.name == "cpython" and sys.version_info < (3, 15) and machine in ("x86_64", "aarch64", "arm64")
    and (system == "Darwin" or (system == "Linux" and platform.libc_ver()[0] == "glibc"))
))
PYTHON
}

# Runs pip install, which writes the log; shows what it fetches, so that one sees that it goes on.
pip_install() {
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" 2>&1 |
    tee -a "$log" | show_progress
}

# Installs what $1 locks. Returns 1 when it has nothing for this machine; a file with another hash ends all.
install_locked() {
  # Only what was built already: an sdist would run its own program, with requirements that nothing locks.
  pip_install --require-hashes --only-binary :all: -r "$1" && return
  grep -q 'DO NOT MATCH THE HASHES' "$log" && installation_failed "a file that was fetched is not the one of $1"
  grep -q 'No matching distribution found' "$log" && return 1
  installation_failed "the installation failed"
}

installation_failed() {
  printf 'setup.sh: %s; the end of %s:\n' "$1" "$log" >&2
  tail -n 20 "$log" >&2
  exit 1
}

# Installs the package, with the extras of $1 ("bench", or "dev", which has them too) or none, unless nothing has
# changed since. What there is a lock file for comes in the versions, and with the hashes, that are in it.
install() {
  local extras=$1 stamp=$venv/.installed${1:+-$1} lock=requirements${1:+-$1}.lock print log=$venv/install.log stamps
  make_venv
  print=$(fingerprint)
  stamps=("$stamp" "$venv/.installed-dev")
  [ -n "$extras" ] || stamps+=("$venv/.installed-bench")
  grep -qsxF "$print" "${stamps[@]}" && return
  say "installing into .venv ..."
  SECONDS=0
  : >"$log"
  if [ -e "$lock" ] && is_locked_for && install_locked "$lock"; then
    # setuptools, which builds the package, is locked as well.
    pip_install --no-deps --no-build-isolation -e . || installation_failed "the installation failed"
  else
    [ ! -e "$lock" ] || say "  $lock is not for this Python or machine: taking what setup.py allows instead"
    pip_install -e ".${extras:+[$extras]}" || installation_failed "the installation failed"
  fi
  # Twisted writes down here which plugins there are; as a service it may not write.
  "$venv/bin/twistd" --help >/dev/null 2>&1 || true
  printf '%s\n' "$print" >"$stamp"
  say "installed in $SECONDS s"
}

show_progress() {
  local line
  while IFS= read -r line; do
    case $line in
      Collecting\ *) line=${line#Collecting } && say "  fetching ${line%%[ <>=!~;]*}" ;;
      Building\ *) say "  building" ;;
      Installing\ collected*) say "  putting it all in place" ;;
    esac
  done
}

# ------------------------------------------------------------------------------------------------------ settings

is_url() { [[ $1 =~ ^wss?://[^[:space:]/?#]+[^[:space:]#]*$ ]]; }
is_secret() { [[ $1 =~ ^[!-~]+$ ]]; }
is_name() { [[ ${#1} -le 255 && ! $1 =~ [[:cntrl:]] ]]; }

# Writes a value so that python-dotenv, and any shell where possible, reads back the same.
quoted() {
  local value=$1 result="'" character i
  if [[ $value =~ ^[A-Za-z0-9_./:@%+,=~-]+$ ]]; then
    printf '%s' "$value"
    return
  fi
  for ((i = 0; i < ${#value}; i++)); do
    character=${value:i:1}
    case $character in
      "'" | \\) result+="\\$character" ;;
      *) result+=$character ;;
    esac
  done
  printf "%s'" "$result"
}

# Replaces .env at once: nobody ever sees half of it, and nobody else may read it.
write_env() {
  local url=$1 key=$2 name=$3
  # This file is nobody else's business.
  new=$(umask 077 && mktemp "$env_file.XXXXXX")
  trap 'rm -f "$new"' EXIT
  {
    printf 'MAKIMA_SERVER_URL=%s\n' "$(quoted "$url")"
    printf 'MAKIMA_API_KEY=%s\n' "$(quoted "$key")"
    [ -z "$name" ] || printf 'MAKIMA_AGENT_NAME=%s\n' "$(quoted "$name")"
  } >"$new"
  chmod 600 "$new"
  mv -f "$new" "$env_file"
  trap - EXIT
  say "wrote $env_file"
}

env_from_environment() {
  if [ -e "$env_file" ] && [ "$force" = no ]; then
    say "keeping $env_file"
    return
  fi
  [ -n "${MAKIMA_SERVER_URL:-}" ] || fail "--yes needs MAKIMA_SERVER_URL, a ws:// or wss:// URL"
  [ -n "${MAKIMA_API_KEY:-}" ] || fail "--yes needs MAKIMA_API_KEY"
  is_url "$MAKIMA_SERVER_URL" || fail "MAKIMA_SERVER_URL is no ws:// or wss:// URL"
  is_secret "$MAKIMA_API_KEY" || fail "MAKIMA_API_KEY must be printable ASCII characters without blanks"
  is_name "${MAKIMA_AGENT_NAME:-}" || fail "MAKIMA_AGENT_NAME must be at most 255 printable characters"
  write_env "$MAKIMA_SERVER_URL" "$MAKIMA_API_KEY" "${MAKIMA_AGENT_NAME:-}"
}

# Asks $1 and leaves the answer in $answer.
ask() {
  answer=
  IFS= read -r -p "$1" answer || no_answer
}
ask_secretly() {
  answer=
  printf '%s' "$1" >&2
  IFS= read -rs answer || no_answer
  printf '\n' >&2
}
no_answer() { fail "nobody answers; use --yes with MAKIMA_SERVER_URL and MAKIMA_API_KEY set"; }

env_from_answers() {
  local url key name
  if [ -e "$env_file" ]; then
    ask "There is an .env already. Replace all of it? [y/N] "
    [[ $answer == [yY]* ]] || { say "keeping $env_file" && return; }
  fi
  while :; do
    ask "Makima server URL [$default_url]: "
    url=${answer:-$default_url}
    is_url "$url" && break
    say "  it takes a ws:// or wss:// URL"
  done
  while :; do
    ask_secretly "API key (not shown): "
    key=$answer
    is_secret "$key" && break
    say "  it takes printable ASCII characters without blanks"
  done
  while :; do
    ask "Name of this relay (optional): "
    name=$answer
    is_name "$name" && break
    say "  it takes at most 255 printable characters"
  done
  write_env "$url" "$key" "$name"
}

# ------------------------------------------------------------------------------------------------------ commands

set_up_env() { if [ "$yes" = yes ]; then env_from_environment; else env_from_answers; fi; }

set_up() {
  venv_is_good || find_python >/dev/null || exit 1
  set_up_env
  install ""
  if [ "$yes" = no ]; then
    ask "Start the relay now? [Y/n] "
    if [[ $answer != [nN]* ]]; then
      exec "$venv/bin/twistd" -n makima-relay
    fi
  fi
  say "To start the relay:  cd '$here' && .venv/bin/twistd -n makima-relay"
}

run_tests() {
  local status=0
  install dev
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  export COVERAGE_FILE=$scratch/coverage
  # Each of very many processes would compile everything anew.
  unset PYTHONDONTWRITEBYTECODE
  if [ $# -gt 0 ]; then
    run_measured "$@" || status=$?
  else
    begin_to_look_at_dashboard
    MAKIMA_TEST_BROWSER=off run_measured tests || status=$?
    wait "$looking" || status=$?
    trap 'rm -rf "$scratch"' EXIT
    cat "$scratch/looked"
  fi
  "$venv/bin/coverage" combine --quiet || true
  "$venv/bin/coverage" report || true
  return "$status"
}

# Workers are measured too: see [tool.coverage.run]. There is one more than most machines' tests can use, because a test
# of processes mostly waits for them.
run_measured() { "$venv/bin/coverage" run -m twisted.trial --temp-directory="$scratch/trial" -j3 "$@"; }

# Meanwhile, because a browser mostly waits too. It is told apart by a group of its own, so that it ends, with what it
# started, when this ends before it.
begin_to_look_at_dashboard() {
  set -m
  look_at_dashboard >"$scratch/looked" 2>&1 &
  looking=$!
  set +m
  trap 'kill -INT -- "-$looking" 2>/dev/null; wait "$looking"; rm -rf "$scratch"' EXIT
}

# In one process, which has one browser and starts few relays; what they run there is measured elsewhere.
look_at_dashboard() {
  if command -v chromium >/dev/null; then
    say "looking at the dashboard with chromium ..."
    "$venv/bin/trial" --temp-directory="$scratch/browser" tests.browser
  else
    say "there is no chromium: the dashboard is NOT TESTED in a browser"
  fi
}

# Makes the lock files anew with uv, which resolves for all Pythons and platforms at once.
make_locks() {
  local uv
  make_venv
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  "$venv/bin/python" -m venv "$scratch/venv"
  "$scratch/venv/bin/python" -m pip install --disable-pip-version-check -q uv || fail "uv cannot be installed"
  uv=$scratch/venv/bin/uv
  "$venv/bin/python" - >"$scratch/build.in" <<'PYTHON'
import pathlib, tomllib
print(*tomllib.loads(pathlib.Path("pyproject.toml").read_text())["build-system"]["requires"], sep="\n")
PYTHON
  lock requirements.lock "$@"
  lock requirements-dev.lock --extra dev --constraints requirements.lock "$@"
}

# Writes the lock file $1. Neither the registry nor a path of this machine goes into it.
lock() {
  local file=$1
  shift
  "$uv" pip compile setup.py - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet \
    --custom-compile-command './setup.sh lock' --output-file "$file" "$@" <"$scratch/build.in" || fail "no $file"
  say "wrote $file"
}

only_env=no
yes=no
force=no
case ${1:-} in
  install)
    [ $# -eq 1 ] || misused "install takes no arguments"
    install ""
    exit
    ;;
  demo)
    shift
    install ""
    exec "$venv/bin/makima-relay" demo "$@"
    ;;
  dev)
    shift
    install dev
    exec "$venv/bin/makima-relay" sandbox dev "$@"
    ;;
  test)
    shift
    run_tests "$@"
    exit
    ;;
  bench)
    shift
    install bench
    exec "$venv/bin/python" -m benchmarks "$@"
    ;;
  lock)
    shift
    make_locks "$@"
    exit
    ;;
  env)
    only_env=yes
    shift
    ;;
esac
for argument in "$@"; do
  case $argument in
    --yes | -y) yes=yes ;;
    --force) force=yes ;;
    --help | -h) usage && exit ;;
    *) misused "unknown argument: $argument" ;;
  esac
done
[ "$force" = no ] || [ "$yes" = yes ] || misused "--force goes with --yes"
if [ "$only_env" = yes ]; then set_up_env; else set_up; fi
