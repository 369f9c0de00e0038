# SPDX-License-Identifier: MIT
"""The machine, by what tells on the figures; never whose it is.

And a network of our own on it: a congestion control that paces what it sends,
such as bbr, takes a moment in which the machine was busy for a slow network,
and then holds a connection to some hundred messages a second for as long as it
believes so. The kernel keeps the choice for each network namespace apart, so
the benchmarks get one, with a loopback on which nobody else is.
"""

import ctypes
import fcntl
import glob
import json
import os
import re
import socket
import struct
import subprocess

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control"


def read(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return default


def isolate():
    """Leaves the machine's network, where that is allowed. Returns whether
    it was; everything that is started later comes along."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET | (CLONE_NEWUSER if os.geteuid() else 0)
    if libc.unshare(flags) != 0:
        return False
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS,
                    struct.pack("16sH14x", b"lo", IFF_UP))
    try:
        with open(CONTROL, "w", encoding="ascii") as file:
            file.write("reno")
    except OSError:
        pass  # what it is, the page says
    return True


def mitigations():
    """The weaknesses of the processor that the kernel works around."""
    active = [os.path.basename(path) for path in
              glob.glob("/sys/devices/system/cpu/vulnerabilities/*")
              if read(path).startswith("Mitigation")]
    return ", ".join(sorted(active)) or "none"


def compiler(build):
    first = subprocess.run(["cc", "--version"], stdout=subprocess.PIPE,
                           text=True, check=False).stdout.split("\n")[0]
    options = subprocess.run(["meson", "introspect", "--buildoptions", build],
                             stdout=subprocess.PIPE, text=True, check=True)
    kind = {option["name"]: option["value"]
            for option in json.loads(options.stdout)}["buildtype"]
    return f"{first}, build type {kind}"


def facts(build, isolated):
    info = read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.*)$", info, re.M)
    uname = os.uname()
    thp = re.search(r"\[(\w+)\]",
                    read("/sys/kernel/mm/transparent_hugepage/enabled"))
    return {
        "kernel": f"{uname.sysname} {uname.release} {uname.machine}",
        "processor": model.group(1) if model else "unknown",
        "cores": os.cpu_count(),
        "virtual machine": "yes" if "hypervisor" in info else "no",
        "frequency governor": read(
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "none that one can see"),
        "mitigations": mitigations(),
        "transparent huge pages": thp.group(1) if thp else "unknown",
        "network": "loopback, in a namespace of its own" if isolated
                   else "the machine's loopback",
        "congestion control": read(CONTROL, "unknown"),
        "compiler": compiler(build),
    }
