"""Sends messages that no D-Bus library would write: raw_bus.py SHAPE COUNT sends COUNT messages of that shape (see SHAPES)
to the helper and prints each answer as one JSON line. It is a separate program because a bus connection belongs to the
user who opened it."""
import array
import json
import os
import socket
import struct
import sys

NAME = "io.github.tchostnet.HostNet1"
PATH = "/io/github/tchostnet/HostNet1"
MANAGER, LEASE = NAME + ".Manager", NAME + ".Lease"
PROPERTIES = "org.freedesktop.DBus.Properties"
CALL, REPLY, ERROR, SIGNAL = 1, 2, 3, 4
MIB = 1 << 20


def padding(size, to):
    return b"\0" * (-size % to)


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def signature(types):
    return bytes([len(types)]) + types.encode() + b"\0"


def elements(each, count):
    """Elements that begin at multiples of 8."""
    one = each + padding(len(each), 8)
    return one * (count - 1) + each


def expose(ports=b"", options=b""):
    """The body: ports and options, already encoded as array contents."""
    body = struct.pack("<iI", 2, len(ports)) + ports
    body += padding(len(body), 4) + struct.pack("<I", len(options))
    return body + padding(len(body), 8) + options


def text_option(text):
    head = string("label") + signature("s")
    return head + padding(len(head), 4) + string(text)


def array_option(types, data, align):
    head = string("sources") + signature("a" + types)
    head += padding(len(head), 4) + struct.pack("<I", len(data))
    return head + padding(len(head), align) + data


def deep_variant(levels):
    return signature("v") * levels + signature("y") + b"\7"


PORT = struct.pack("<I", 3) + b"tcp\0" + struct.pack("<HH", 1, 1)
BYTE_OPTION = string("aaaa") + signature("y") + b"\7"
EXPOSE = "ia(sqq)a{sv}"


class Shape:
    def __init__(self, member, types="", body=b"", interface=MANAGER, path=PATH, kind=CALL, fds=0, unique=False, flags=0):
        self.__dict__.update(locals())


def set_version(types, value, align):
    body = string(MANAGER) + padding(len(string(MANAGER)), 4) + string("Version") + signature(types)
    return body + padding(len(body), align) + value


def many_strings():
    one = string("198.18.0.2")
    return array_option("s", (one + padding(len(one), 4)) * 99999 + one, 4)


SHAPES = {
    "many options": lambda: Shape("Expose", EXPOSE, expose(options=elements(BYTE_OPTION, 150000))),
    "4,000 options in 64 KiB": lambda: Shape("Expose", EXPOSE, expose(options=elements(BYTE_OPTION, 4000))),
    "many ports": lambda: Shape("Expose", EXPOSE, expose(ports=elements(PORT, 200000))),
    "2,000 ports in 64 KiB": lambda: Shape("Expose", EXPOSE, expose(ports=elements(PORT, 2000))),
    "a label of 3 MB": lambda: Shape("Expose", EXPOSE, expose(options=text_option("x" * 3 * MIB))),
    "a label of 30 KB": lambda: Shape("Expose", EXPOSE, expose(options=text_option("x" * 30000))),
    "an option of 3 MB of bytes": lambda: Shape("Expose", EXPOSE, expose(options=array_option("y", b"\1" * 3 * MIB, 1))),
    "an option of 30 KB of bytes": lambda: Shape("Expose", EXPOSE, expose(options=array_option("y", b"\1" * 30000, 1))),
    "100,000 sources": lambda: Shape("Expose", EXPOSE, expose(options=many_strings())),
    "a deep variant": lambda: Shape("Expose", EXPOSE, expose(options=string("label") + deep_variant(60))),
    "Probe with 3 MB": lambda: Shape("Probe", "ay", struct.pack("<I", 3 * MIB) + b"\1" * 3 * MIB),
    "Probe with 60 KB": lambda: Shape("Probe", "ay", struct.pack("<I", 60000) + b"\1" * 60000),
    "Release with 3 MB": lambda: Shape("Release", "s", string("x" * 3 * MIB), LEASE, PATH + "/lease/00000000"),
    "Get of a long name": lambda: Shape("Get", "ss", string(MANAGER) + padding(len(string(MANAGER)), 4)
                                        + string("x" * 3 * MIB), PROPERTIES),
    "GetAll of a long name": lambda: Shape("GetAll", "s", string("x" * 60000), PROPERTIES),
    "Set to a deep variant": lambda: Shape("Set", "ssv", set_version("v", deep_variant(60), 1), PROPERTIES),
    "Set to 3 MB": lambda: Shape("Set", "ssv", set_version("ay", struct.pack("<I", 3 * MIB) + b"\1" * 3 * MIB, 4), PROPERTIES),
    "Introspect with 3 MB": lambda: Shape("Introspect", "s", string("x" * 3 * MIB), "org.freedesktop.DBus.Introspectable"),
    "GetManagedObjects with 3 MB": lambda: Shape("GetManagedObjects", "s", string("x" * 3 * MIB),
                                                 "org.freedesktop.DBus.ObjectManager"),
    "Ping with 3 MB": lambda: Shape("Ping", "s", string("x" * 3 * MIB), "org.freedesktop.DBus.Peer"),
    "an unknown method with 3 MB": lambda: Shape("Explode", "s", string("x" * 3 * MIB)),
    "a path of 3 MB": lambda: Shape("Probe", "i", struct.pack("<i", 2), path="/" + "x" * 3 * MIB),
    "a path of 30 KB": lambda: Shape("Probe", "i", struct.pack("<i", 2), path="/" + "x" * 30000),
    "descriptors": lambda: Shape("Expose", EXPOSE, expose(), fds=16),
    "a signal of 3 MB": lambda: Shape("LeaseReleased", "s", string("x" * 3 * MIB), kind=SIGNAL, unique=True),
    "a small signal": lambda: Shape("NameOwnerChanged", "s", string(":1.1"), interface="org.freedesktop.DBus", kind=SIGNAL,
                                    unique=True),
    "a reply of 3 MB": lambda: Shape(None, "s", string("x" * 3 * MIB), kind=REPLY, unique=True),
    "an error of 3 MB": lambda: Shape(None, "s", string("x" * 3 * MIB), kind=ERROR, unique=True),
    "a call that wants no reply": lambda: Shape("Expose", EXPOSE, expose(options=elements(BYTE_OPTION, 150000)), flags=1),
}


class Bus:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["DBUS_SYSTEM_BUS_ADDRESS"].partition("path=")[2].partition(",")[0])
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        self.line()
        self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        self.line()
        self.socket.sendall(b"BEGIN\r\n")
        self.serial = 0
        self.to_bus("Hello")

    def line(self):
        data = b""
        while not data.endswith(b"\r\n"):
            data += self.socket.recv(1)

    def message(self, shape, destination):
        self.serial += 1
        fields = b""
        for code, kind, value in ((1, "o", shape.path), (2, "s", shape.interface), (3, "s", shape.member),
                                  (4, "s", "org.example.Error" if shape.kind == ERROR else None),
                                  (5, "u", self.serial if shape.kind in (REPLY, ERROR) else None),
                                  (6, "s", destination), (8, "g", shape.types or None), (9, "u", shape.fds or None)):
            if value is None or shape.kind in (REPLY, ERROR) and code in (1, 2, 3):
                continue
            fields += padding(len(fields), 8) + bytes([code]) + signature(kind)
            if kind == "u":
                fields += padding(len(fields), 4) + struct.pack("<I", value)
            elif kind == "g":
                fields += signature(value)
            else:
                fields += padding(len(fields), 4) + string(value)
        head = b"l" + bytes([shape.kind, shape.flags, 1]) + struct.pack("<III", len(shape.body), self.serial, len(fields))
        return head + fields + padding(len(fields), 8) + shape.body

    def send(self, shape, destination):
        data = self.message(shape, destination)
        if shape.fds:
            fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(shape.fds)]
            sent = self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
            data = data[sent:]
            for fd in fds:
                os.close(fd)
        self.socket.sendall(data)
        return self.serial

    def exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError("the bus has closed the connection")
            data += part
        return data

    def answer(self, serial):
        """(type, fields, body) of the answer to that call."""
        self.socket.settimeout(60)
        while True:
            head = self.exactly(16)
            body_size, _, fields_size = struct.unpack("<III", head[4:])
            fields = self.exactly(fields_size + -fields_size % 8)
            body = self.exactly(body_size)
            if head[1] in (REPLY, ERROR) and b"\5\1u\0" + struct.pack("<I", serial) in fields:
                return head[1], fields, body

    def to_bus(self, member, types="", body=b""):
        serial = self.send(Shape(member, types, body, "org.freedesktop.DBus", "/org/freedesktop/DBus"), "org.freedesktop.DBus")
        return self.answer(serial)[2]


def main(name, count):
    bus = Bus()
    shape = SHAPES[name]()
    destination = NAME
    if shape.unique:
        body = bus.to_bus("GetNameOwner", "s", string(NAME))
        destination = body[4:-1].decode()
    for _ in range(count):
        serial = bus.send(shape, destination)
        if shape.kind != CALL or shape.flags & 1:
            continue
        kind, fields, body = bus.answer(serial)
        at = fields.find(b"\4\1s\0")
        error = fields[at + 8:fields.index(b"\0", at + 8)].decode() if at >= 0 else None
        print(json.dumps({"type": kind, "error": error, "text": body[4:-1].decode() if kind == ERROR else None}), flush=True)
    bus.to_bus("GetId")  # the answer shows that the bus has delivered all earlier messages


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
