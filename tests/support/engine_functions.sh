# Sourced by own-dockerd and own-podman: waiting for an engine, and ending it, with a bound on both.
# shellcheck shell=bash

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# answers SOCKET: an engine there says OK to a ping. By hand, as not every client speaks to every engine's API version.
answers() {
  python3 - "$1" <<'PING' 2>/dev/null
import socket, sys
engine = socket.socket(socket.AF_UNIX)
engine.settimeout(5)
engine.connect(sys.argv[1])
engine.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
sys.exit(b" 200 " not in engine.recv(64))
PING
}

# wait_for_engine SOCKET PID LOG: at most 30 seconds; fails with the end of the log when it dies or does not answer.
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

# end_process PID SECONDS: SIGTERM, and SIGKILL when that has not ended it in time. Nothing when there is none.
end_process() {
  local until=$((SECONDS + $2))
  kill "$1" 2>/dev/null || return 0
  while kill -0 "$1" 2>/dev/null; do
    # A zombie is over; its parent collects it when it likes.
    [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" != Z ] || return 0
    [ "$SECONDS" -lt "$until" ] || kill -KILL "$1" 2>/dev/null
    sleep 0.05
  done
}

# in_own_namespace: refuses to start an engine where its bridges and rules would be the machine's own.
in_own_namespace() {
  [ "$(readlink /proc/self/ns/net)" != "$(readlink /proc/1/ns/net)" ] &&
    [ "$(readlink /proc/self/ns/mnt)" != "$(readlink /proc/1/ns/mnt)" ] ||
    fail "run it under tests/support/in_namespaces: its bridges and rules must not be the machine's"
}
