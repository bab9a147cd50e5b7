"""Turns figures into text: medians, spreads, tables, and the machine that gave them."""
import os
import platform
import statistics


def machine():
    with open("/proc/cpuinfo") as cpuinfo:
        model = next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), "unknown")
    with open("/proc/loadavg") as loadavg:
        load = float(loadavg.read().split()[0])
    return {"cpus": os.cpu_count(), "model": model, "kernel": platform.release(), "load_at_start": load,
            "br_netfilter": os.path.exists("/proc/sys/net/bridge")}


def machine_line(facts):
    busy = "" if facts["load_at_start"] < 0.5 else " (the machine is busy: expect a wide spread)"
    return (f"{facts['cpus']} CPUs ({facts['model']}), Linux {facts['kernel']}, br_netfilter "
            f"{'loaded' if facts['br_netfilter'] else 'not loaded'}, load {facts['load_at_start']:.2f}{busy}")


def summary(values):
    """Median, quartiles and range of one figure over the rounds, with the rounds themselves."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": statistics.median(values), "q1": low, "q3": high, "min": min(values), "max": max(values),
            "rounds": values}


def ratios(values, reference):
    """Each round's ratio to the reference of the same round, so that a disturbance of a whole round cancels
    out."""
    return summary([value / base for value, base in zip(values, reference, strict=True)])


def cell(figures, digits=2):
    return f"{figures['median']:.{digits}f} ({figures['q1']:.{digits}f}–{figures['q3']:.{digits}f})"


def verdict(facts, spread):
    """Judges by the median, and says so if the goal lies between the quartiles, where this run does not
    decide it."""
    heading, unit, less, goal = facts
    def met(value):
        return value <= goal if less else value >= goal
    word = "met" if met(spread["median"]) else "missed"
    unsure = ", within the spread" if met(spread["q1"]) != met(spread["q3"]) else ""
    return f"{heading} {word} ({plain(spread['median'])} {unit}".rstrip() + f", goal {goal}{unsure})"


def outcome(facts, spread):
    """The same as data."""
    heading, unit, less, goal = facts
    median = spread["median"]
    return {"what": heading, "unit": unit, "goal": goal, "median": median,
            "met": median <= goal if less else median >= goal}


def plain(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def table(header, rows):
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  ".join([row[0].ljust(widths[0])] + [text.rjust(width)
                                                     for text, width in zip(row[1:], widths[1:])]).rstrip())
    print(flush=True)
