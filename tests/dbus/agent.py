"""A scripted polkit authentication agent for one process.

It runs as root, like the setuid helper of a real agent, and so may report a successful authentication. It prints
"ready" once registered, then one line per prompt: the action and the message. It reads one line per prompt from standard
input: "approve", "dismiss", "wrong" (authenticates a user who is not an administrator), or "wait" (never answers).
"""
import os
import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

AGENT = """
<node>
  <interface name="org.freedesktop.PolicyKit1.AuthenticationAgent">
    <method name="BeginAuthentication">
      <arg type="s"/><arg type="s"/><arg type="s"/><arg type="a{ss}"/><arg type="s"/><arg type="a(sa{sv})"/>
    </method>
    <method name="CancelAuthentication"><arg type="s"/></method>
  </interface>
</node>
"""
AUTHORITY = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority")


def start_time(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[19])


def main(pid, uid):
    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
    open_prompts = {}

    def respond(cookie, identity_uid):
        identity = ("unix-user", {"uid": GLib.Variant("u", identity_uid)})
        # polkit 122 wants the uid of the agent, 126 that of the process which it serves.
        for place, answers in enumerate((os.getuid(), uid)):
            try:
                bus.call_sync(*AUTHORITY, "AuthenticationAgentResponse2",
                              GLib.Variant("(us(sa{sv}))", (answers, cookie, identity)), None, Gio.DBusCallFlags.NONE, -1, None)
                return
            except GLib.Error:
                if place == 1:
                    raise

    def on_call(_bus, _sender, _path, _interface, member, arguments, invocation):
        if member == "CancelAuthentication":
            (cookie,) = arguments.unpack()
            waiting = open_prompts.pop(cookie, None)
            print("cancelled", flush=True)
            if waiting:
                waiting.return_dbus_error("org.freedesktop.PolicyKit1.Error.Cancelled", "cancelled")
            return invocation.return_value(None)
        action, message, _icon, _details, cookie, _identities = arguments.unpack()
        print(f"{action}\t{message}", flush=True)
        order = sys.stdin.readline().strip()
        if order == "approve":
            respond(cookie, 0)
            invocation.return_value(None)
        elif order == "wrong":
            try:
                respond(cookie, 20003)
            except GLib.Error as error:
                print(f"refused\t{error.message}", flush=True)
            invocation.return_value(None)
        elif order == "dismiss":
            invocation.return_dbus_error("org.freedesktop.PolicyKit1.Error.Cancelled", "dismissed")
        else:
            open_prompts[cookie] = invocation
        return None

    node = Gio.DBusNodeInfo.new_for_xml(AGENT)
    bus.register_object("/test/agent", node.interfaces[0], on_call, None, None)
    subject = ("unix-process", {"pid": GLib.Variant("u", pid), "start-time": GLib.Variant("t", start_time(pid)),
                                "uid": GLib.Variant("i", uid)})
    bus.call_sync(*AUTHORITY, "RegisterAuthenticationAgent",
                  GLib.Variant("((sa{sv})ss)", (subject, "en_GB.UTF-8", "/test/agent")), None, Gio.DBusCallFlags.NONE, -1, None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main(int(sys.argv[1]), int(sys.argv[2]))
