# For the programs that start an engine for a test; source it. Waits for an engine and ends it, both within a time limit, and
# makes the user of a rootless engine.
# shellcheck shell=bash

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# answers SOCKET: whether the engine there answers a ping with OK.
answers() {
  # Uses curl, because not every client supports every engine's API version.
  [ -S "$1" ] && curl -sf -m 5 -o /dev/null --unix-socket "$1" http://engine/_ping
}

# wait_for_engine SOCKET PID LOG: waits at most 90 seconds. Fails with the end of the log when the engine dies or does not
# answer.
wait_for_engine() {
  local until=$((SECONDS + 90))
  until answers "$1"; do
    if ! kill -0 "$2" 2>/dev/null || [ "$SECONDS" -ge "$until" ]; then
      tail -n 15 "$3" >&2
      fail "the engine did not come up; its whole log is $3"
    fi
    sleep 0.05
  done
}

# end_process PID SECONDS: sends SIGTERM, and SIGKILL if the process lives longer than that. Succeeds if there is none.
end_process() {
  local until=$((SECONDS + $2)) stat
  kill "$1" 2>/dev/null || return 0
  while kill -0 "$1" 2>/dev/null; do
    # A zombie has ended, even before its parent waits for it. `read` avoids starting a process twenty times a second.
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
    [[ $stat != *") Z "* ]] || return 0
    [ "$SECONDS" -lt "$until" ] || kill -KILL "$1" 2>/dev/null
    sleep 0.05
  done
}

# in_own_namespace: fails where the engine's bridges and rules would be in the machine's own namespaces.
in_own_namespace() {
  [ "$(readlink /proc/self/ns/net)" != "$(readlink /proc/1/ns/net)" ] &&
    [ "$(readlink /proc/self/ns/mnt)" != "$(readlink /proc/1/ns/mnt)" ] ||
    fail "run it under tests/support/in_namespaces: its bridges and rules must not be the machine's"
}

# make_user NAME UID DIR: makes a user who may run a rootless engine in DIR, with DIR/home, DIR/tmp, and DIR/bin for callers,
# and with a runtime folder, DIR/run, where a login has it: Podman's clean-up after a container refuses a long path, and
# then each `podman wait` takes 20 seconds of processor time. The user exists in this mount namespace only, with ids for
# containers and /dev/net/tun as on any desktop. Sets `as_user`, the prefix of a command to run as that user after login.
# A user who exists already stays.
make_user() {
  local name=$1 uid=$2 dir=$3 file runtime=/run/user/$2
  as_user=(setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all
    env -i PATH="/usr/sbin:/usr/bin:/sbin:/bin" USER="$name" HOME="$dir/home" XDG_RUNTIME_DIR="$runtime")
  [ ! -e "$dir/tun" ] || return 0
  mkdir -p "$dir"/{etc,home,tmp,bin} "$runtime"
  ln -sfn "$runtime" "$dir/run"
  chmod 755 "$dir" "$dir/bin"
  chown "$uid:$uid" "$dir"/{home,tmp} "$runtime"
  chmod 700 "$runtime"
  for file in passwd group subuid subgid; do
    touch "/etc/$file"
    cp "/etc/$file" "$dir/etc"
  done
  grep -q "^$name:" /etc/passwd || echo "$name:x:$uid:$uid::$dir/home:/bin/sh" >>"$dir/etc/passwd"
  grep -q "^$name:" /etc/group || echo "$name:x:$uid:" >>"$dir/etc/group"
  # One range of 65,536 ids for each user, beyond the ranges that useradd assigns.
  for file in subuid subgid; do echo "$name:$((20200000 + (uid - 20001) * 65536)):65536" >>"$dir/etc/$file"; done
  for file in passwd group subuid subgid; do mount --bind "$dir/etc/$file" "/etc/$file"; done
  # On some machines only root may open it.
  mkdir -p /dev/net
  [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
  mknod -m 666 "$dir/tun" c 10 200
  mount --bind "$dir/tun" /dev/net/tun
}

# end_user UID: kills the remaining processes of a rootless engine, such as those that hold its namespaces, and removes its
# runtime folder, as the end of a login does.
end_user() {
  local i
  pkill -KILL -U "$1" 2>/dev/null || true
  for ((i = 0; i < 100; i++)); do pgrep -U "$1" >/dev/null || break; sleep 0.05; done
  rm -rf "/run/user/$1"
}
