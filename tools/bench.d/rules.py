"""The manual alternatives to tc-hostnet, as commands: the two-line recipe known from blogs, and the same job
with all guards of tc-hostnet's native path, in the fewest possible processes."""
from testbed import BRIDGE, GATEWAY

LOOPBACK = "127.0.0.0/8"


def recipe(port, action="-I"):
    """The blog recipe's rule; "-D" removes it."""
    return ["iptables-legacy", "-w", "-t", "nat", action, "PREROUTING", "-i", BRIDGE, "-p", "tcp", "--dport",
            str(port), "-j", "DNAT", "--to-destination", f"127.0.0.1:{port}"]


def route_localnet(value):
    return ["sysctl", "-qw", f"net.ipv4.conf.{BRIDGE}.route_localnet={value}"]


def restore(path):
    return ["iptables-legacy-restore", "-w", "--noflush", str(path)]


def full_set(ports):
    """Input of iptables-legacy-restore for the guards and one DNAT per port."""
    comment = "-m comment --comment tc-hostnet:bench"
    dnat = "\n".join(f"-A TCHN-PRE -p tcp --dport {port} {comment} -j DNAT --to-destination 127.0.0.1:{port}"
                     for port in ports)
    return f"""*raw
:TCHN-RAW - [0:0]
-A TCHN-RAW -i {BRIDGE} -d {LOOPBACK} {comment} -j DROP
-A TCHN-RAW -i {BRIDGE} -s {LOOPBACK} {comment} -j DROP
-I PREROUTING -j TCHN-RAW
COMMIT
*mangle
:TCHN-POST - [0:0]
-A TCHN-POST -o {BRIDGE} -s {LOOPBACK} -m conntrack ! --ctstate DNAT {comment} -j DROP
-I POSTROUTING -j TCHN-POST
COMMIT
*filter
:TCHN-IN - [0:0]
-A TCHN-IN -m conntrack --ctstate DNAT --ctorigdst {GATEWAY} {comment} -j ACCEPT
-A TCHN-IN {comment} -j DROP
-I INPUT -i {BRIDGE} -d {LOOPBACK} -j TCHN-IN
COMMIT
*nat
:TCHN-PRE - [0:0]
{dnat}
-I PREROUTING -i {BRIDGE} -d {GATEWAY} -j TCHN-PRE
COMMIT
"""


def full_set_removal():
    """Input of iptables-legacy-restore that removes full_set(), the DNAT first and the guards last."""
    tables = (("nat", "TCHN-PRE", f"PREROUTING -i {BRIDGE} -d {GATEWAY}"),
              ("filter", "TCHN-IN", f"INPUT -i {BRIDGE} -d {LOOPBACK}"),
              ("mangle", "TCHN-POST", "POSTROUTING"), ("raw", "TCHN-RAW", "PREROUTING"))
    return "".join(f"*{table}\n-D {hook} -j {chain}\n-F {chain}\n-X {chain}\nCOMMIT\n"
                   for table, chain, hook in tables)


def recipe_set(ports):
    """Input of iptables-legacy-restore for many of the recipe's rules."""
    lines = "\n".join(f"-A PREROUTING -i {BRIDGE} -p tcp --dport {port} -j DNAT --to-destination 127.0.0.1:{port}"
                      for port in ports)
    return f"*nat\n{lines}\nCOMMIT\n"


def empty_nat():
    return "*nat\n-F PREROUTING\nCOMMIT\n"
