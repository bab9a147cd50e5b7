#!/usr/bin/python3
# Lets the containers on a bridge reach a port of 127.0.0.1 while a command runs. Needs python3-dbus.
#   expose.py BRIDGE PORT COMMAND [ARGUMENT]…
import os
import socket
import sys

import dbus

NAME, PATH = "io.github.tchostnet.HostNet1", "/io/github/tchostnet/HostNet1"

bridge, port, *command = sys.argv[1:]
manager = dbus.Interface(dbus.SystemBus().get_object(NAME, PATH), f"{NAME}.Manager")
options = {"ifname": bridge, "label": command[0], "interactive": True}
lease, keepalive = manager.Expose(
    socket.if_nametoindex(bridge), [("tcp", int(port), int(port))], options,
    signature="ia(sqq)a{sv}", timeout=600)  # a user may be typing a password

# The lease lives while any process has a duplicate of this descriptor open; here it is the command.
os.set_inheritable(keepalive.take(), True)
os.execvp(command[0], command)
