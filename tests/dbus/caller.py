"""A bus client for tests: reads commands from standard input, one JSON object per line, and answers in the same form.

It is one connection of one user; its leases and descriptors live until it ends or a command closes them.
"""
import ctypes
import json
import os
import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

NAME = "io.github.tchostnet.HostNet1"
MANAGER = "/io/github/tchostnet/HostNet1"
FOREVER = 2**31 - 1


class Caller:
    def __init__(self):
        self.bus = Gio.DBusConnection.new_for_address_sync(
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"],
            Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        self.keepalives = {}
        self.heard = []

    def call(self, path, interface, member, arguments, flags=0, timeout=FOREVER):
        return self.bus.call_with_unix_fd_list_sync(NAME, path, interface, member, arguments, None,
                                                    Gio.DBusCallFlags(flags), timeout, None, None)

    def raw(self, signature, values, member="Expose", interface=NAME + ".Manager", path=MANAGER):
        reply, _ = self.call(path, interface, member, GLib.Variant(signature, values))
        return reply.unpack()

    def expose(self, ifindex, ports, options, flag=False):
        values = {key: GLib.Variant(signature, value) for key, (signature, value) in options.items()}
        reply, fds = self.call(MANAGER, NAME + ".Manager", "Expose",
                               GLib.Variant("(ia(sqq)a{sv})", (ifindex, [tuple(port) for port in ports], values)),
                               Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if flag else 0)
        path, index = reply.unpack()
        self.keepalives[path] = fds.get(index)
        return path

    def release(self, path, flag=False):
        self.call(path, NAME + ".Lease", "Release", None,
                  Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if flag else 0)

    def get(self, path, name, interface=NAME + ".Lease"):
        reply, _ = self.call(path, "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (interface, name)))
        return reply.unpack()[0]

    def probe(self, ifindex):
        return self.raw("(i)", (ifindex,), "Probe")[0]

    def descriptor(self, path):
        """The number of our own duplicate. That of the message closes when GLib drops the message: at any moment."""
        return self.keepalives[path]

    def close(self, path):
        os.close(self.keepalives.pop(path))

    def hand_on(self, path, seconds):
        """Passes the descriptor to a child that sleeps for that time, and closes our copy."""
        fd = self.keepalives.pop(path)
        child = os.fork()
        if child == 0:
            os.closerange(3, fd)
            os.closerange(fd + 1, 1024)
            os.set_inheritable(fd, True)
            os.execv("/bin/sleep", ["sleep", str(seconds)])
        os.close(fd)
        return child

    def listen(self):
        def on_signal(_bus, _sender, path, interface, member, arguments):
            self.heard.append([path, interface.rsplit(".", 1)[-1], member, arguments.unpack()])
        self.bus.signal_subscribe(NAME, None, None, None, None, Gio.DBusSignalFlags.NONE, on_signal)
        self.bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus.Peer", "Ping", None, None, 0, -1, None)

    def signals(self):
        context = GLib.MainContext.default()
        while context.pending():
            context.iteration(False)
        heard, self.heard = self.heard, []
        return heard

    def leases(self):
        reply, _ = self.call(MANAGER, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", None)
        return reply.unpack()[0]

    def rename(self, name):
        """Sets the process name shown in /proc/PID/comm; one byte per character."""
        ctypes.CDLL(None).prctl(15, name.encode("latin-1"))  # PR_SET_NAME

    def name(self):
        return self.bus.get_unique_name()


def main():
    os.set_inheritable(1, False)
    caller = Caller()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"result": getattr(caller, order.pop("do"))(**order)}
        except GLib.Error as error:
            answer = {"error": Gio.DBusError.get_remote_error(error) or str(error),
                      "message": Gio.DBusError.strip_remote_error(error) and error.message}
        print(json.dumps(answer), flush=True)


main()
