"""A container runtime for a machine whose root lacks a capability: runc, given only the capabilities that root has.

Docker before 23 gives a privileged container every capability that it knows, and runc rejects the ones that this
process cannot pass on. The engine runs this file as its runtime, so it may import only the standard library.
"""

import itertools
import json
import os
import sys
from typing import Any

# Linux capabilities in the order of their numbers, from 0: include/uapi/linux/capability.h
CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()


def bounding_set(status: str) -> set[str]:
    """Return the capabilities (CAP_...) that a process may pass on, from the text of its /proc/PID/status."""
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:"))
    return {f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if mask >> number & 1}


def lacking(status: str, last: int) -> list[str]:
    """Return the capabilities that the kernel knows (numbers 0 to `last`) but the process cannot pass on."""
    held = bounding_set(status)
    return [f"CAP_{name}" for name in CAPABILITIES[: last + 1] if f"CAP_{name}" not in held]


def limit(process: dict[str, Any], held: set[str]) -> None:
    """Remove all capabilities that are not held from the process object of a runtime specification."""
    for names in (process.get("capabilities") or {}).values():
        names[:] = [name for name in names if name in held]


def main() -> None:
    values = dict(itertools.pairwise(sys.argv))  # containerd calls `runc create --bundle FOLDER` and `runc exec --process FILE`
    path = f"{values['--bundle']}/config.json" if "--bundle" in values else values.get("--process")
    if path:
        with open("/proc/self/status", encoding="ascii") as status:
            held = bounding_set(status.read())
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        limit(document.get("process", document), held)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)
    os.execvp("runc", ["runc", *sys.argv[1:]])


if __name__ == "__main__":
    main()
