"""The attempts of checks/containment.py: name and a shell script that ends with 0 if it got through. Standard library only.

@NAME@ is replaced by a fact of the machine: see `Containment.facts`. No attempt that gets through does the machine lasting harm.
"""

PROBES = {
    # Files of the machine
    "path-dotdot": "cat /../../../../../..@CANARY@",
    "path-of-init-root": "ls /proc/1/root/. | grep .",
    "path-of-init-cwd": "ls /proc/1/cwd/. | grep .",
    "path-of-descriptors": "for i in 3 4 5 6 7 8 9 10 11 12; do cat /proc/self/fd/$i/../../../../../..@CANARY@ && exit 0; done; exit 1",
    "path-chroot": "cd /; chroot ../../.. cat @CANARY@",
    "path-work-dir": "ls @WORK_DIR@",
    "path-runtime-dir": "ls /run/tepui",
    "path-other-sandbox": "cat @OTHER_SANDBOX@/stdout",
    "path-docker-socket": "ls /var/run/docker.sock",
    "leaked-descriptors": "for f in /proc/self/fd/*; do readlink $f; done | grep -vE '^(/dev/null|/mnt/mesos/sandbox/|/proc/|pipe:|/probes|/tmp/why-)' | grep .",
    "leaked-environment": "env | grep -i canary",
    "link-in-sandbox": "ln -s @CANARY@ $MESOS_SANDBOX/link-$(id -u)",
    "write-image": "echo evil > /mark",
    "write-root": "echo evil > /new-$(id -u)",
    "write-resolv-conf": "echo evil >> /etc/resolv.conf",
    "write-hosts": "echo evil >> /etc/hosts",
    "read-private": "cat /private",
    "write-own-program": "echo evil >> /proc/self/exe",
    "setuid-program": "test $(/suid/su -c 'id -u') = 0",
    # Processes of the machine
    "see-processes": "grep -q '[@]canary-process' /proc/[0-9]*/cmdline",
    "signal-process": "kill -0 @HOST_PID@",
    "kill-init": "kill -9 1",
    "init-environment": "grep . /proc/1/environ",
    "init-memory": ": < /proc/1/mem",
    "init-program": "head -c 4 /proc/1/exe | grep ELF",
    "init-descriptors": "ls /proc/1/fd/. | grep .",
    "init-oom-score": "echo 0 > /proc/1/oom_score_adj",
    "process-memory": ": < /proc/@HOST_PID@/mem",
    "process-environment": "grep -q . /proc/@HOST_PID@/environ",
    # Namespaces
    "setns-of-init": "nsenter -t 1 -m true",
    "setns-of-process": "nsenter -t @HOST_PID@ -m true",
    "setns-user-of-init": "nsenter -t 1 -U true",
    "setns-own": "nsenter --net=/proc/self/ns/net true",
    "unshare-mounts": "unshare -m true",
    "unshare-user": "unshare -U true",
    "unshare-user-root": "unshare -r true",
    "write-user-map": "echo '0 0 1' > /proc/self/uid_map",
    "unshare-pids": "unshare -p -f true",
    "unshare-network": "unshare -n true",
    "unshare-ipc": "unshare -i true",
    "unshare-names": "unshare -u true",
    # Mounts
    "mount-tmpfs": "mount -t tmpfs none /tmp",
    "mount-proc": "mount -t proc none /tmp",
    "mount-bind": "mount -o bind / /tmp",
    "mount-cgroup": "mount -t cgroup -o pids none /tmp",
    "mount-device": "mknod /tmp/disk b @DISK@; mount -o ro /tmp/disk /tmp",
    "mount-overlay": "mkdir -p /tmp/u /tmp/w /tmp/m; mount -t overlay -o lowerdir=/,upperdir=/tmp/u,workdir=/tmp/w none /tmp/m",
    "remount-sys": "mount -o remount,rw /sys",
    "remount-proc-sys": "mount -o remount,rw,bind /proc/sys",
    "unmount-mask": "umount /proc/kcore",
    "unmount-hosts": "umount /etc/hosts",
    "pivot-root": "pivot_root /tmp /tmp",
    # Devices
    "make-disk": "mknod /tmp/d-$(id -u) b @DISK@",
    "make-disk-in-dev": "mknod /dev/d-$(id -u) b @DISK@",
    "make-memory": "mknod /tmp/mem c 1 1",
    "see-disks": "ls /dev | grep -E '^(sd|vd|nvme|xvd|dm-|loop|mem|kmem|port|kvm|fuse|kmsg)'",
    "map-memory": "devmem 0",
    "loop-device": "losetup $(losetup -f) /bin/busybox",
    "read-kernel-memory": "head -c 4 /proc/kcore | grep ELF",
    "read-kernel-memory-past-mask": "head -c 4 /proc/self/../kcore | grep ELF",
    # The kernel
    "sysrq": "echo h > /proc/sysrq-trigger",
    "core-pattern": "cat /proc/sys/kernel/core_pattern > /tmp/was; cat /tmp/was > /proc/sys/kernel/core_pattern",
    "modprobe-path": "cat /proc/sys/kernel/modprobe > /tmp/was2; cat /tmp/was2 > /proc/sys/kernel/modprobe",
    "drop-caches": "echo 1 > /proc/sys/vm/drop_caches",
    "forwarding": "cat /proc/sys/net/ipv4/ip_forward > /tmp/was3; cat /tmp/was3 > /proc/sys/net/ipv4/ip_forward",
    "host-name-by-proc": "hostname > /tmp/was4; cat /tmp/was4 > /proc/sys/kernel/hostname",
    "host-name": "hostname evil-$(id -u)",
    "interrupts": "cat /proc/irq/default_smp_affinity > /tmp/was5; cat /tmp/was5 > /proc/irq/default_smp_affinity",
    "sys-write": "cat /sys/kernel/mm/ksm/run > /tmp/was6 || exit 1; cat /tmp/was6 > /sys/kernel/mm/ksm/run",
    "sys-uevent": "echo add > /sys/class/mem/null/uevent",
    "firmware": "ls /sys/firmware | grep .",
    "debug-files": "ls /sys/kernel/debug /sys/kernel/tracing | grep -v : | grep .",
    "keys": "grep . /proc/keys",
    "timers": "grep . /proc/timer_list",
    "kernel-log": "dmesg | grep .",
    "kernel-log-by-proc": "head -c 1 /proc/kmsg | grep .",
    "load-module": "insmod /bin/busybox 2>&1 | grep -v 'not permitted'",
    "unload-module": "rmmod no_such_module 2>&1 | grep -v 'not permitted'",
    "set-clock": "date -s \"$(date '+%Y-%m-%d %H:%M:%S')\" 2>&1 | grep 'not permitted' && exit 1; exit 0",
    "swap": "dd if=/dev/zero of=/tmp/swap bs=4096 count=16; mkswap /tmp/swap; swapon /tmp/swap",
    "own-cgroup": "echo $$ > /sys/fs/cgroup/pids/cgroup.procs || echo $$ > /sys/fs/cgroup/cgroup.procs",
    "make-cgroup": "mkdir /sys/fs/cgroup/pids/evil || mkdir /sys/fs/cgroup/evil",
    "release-agent": "echo /evil > /sys/fs/cgroup/pids/release_agent",
    "raise-limits": "for f in $(find /sys/fs/cgroup -name pids.max); do echo max > $f && exit 0; done; exit 1",
    "see-cgroups": "find /sys/fs/cgroup | grep -q tepui || ls /sys/fs/cgroup/cgroup.controllers && ! test -e /sys/fs/cgroup/cgroup.events",
    # Rights and limits
    "no-filter": "grep -q 'Seccomp:.0' /proc/self/status",
    "capability-of-admin": "test $((0x$(awk '/CapBnd/{print $2}' /proc/self/status) & 0x200000)) -ne 0",
    "regain-capability": "setpriv --inh-caps +sys_admin --ambient-caps +sys_admin true",
    "nice": "renice -n -20 -p $$",
    "realtime": "ionice -c 1 -n 0 true",
    "oom-immunity": "echo -1000 > /proc/self/oom_score_adj",
    "open-files": "ulimit -Hn 4000000",
    # Network and IPC
    "raw-socket": "arping -c 1 -w 1 -I lo 127.0.0.1 2>&1 | grep -v 'not permitted'",
    "add-address": "ip addr add 127.9.9.9/32 dev lo && ip addr del 127.9.9.9/32 dev lo",
    "loopback": "nc 127.0.0.1 @AGENT_PORT@ < /dev/null",
    "see-sockets": "grep -q '@tepui-canary-socket' /proc/net/unix",
    "see-connections": "grep -q \":$(printf %04X @AGENT_PORT@) \" /proc/net/tcp",
    "see-ipc": "tail -n +2 /proc/sysvipc/shm | grep .",
    "shared-memory": "echo evil > /dev/shm/tepui-evil",
    "see-shared-memory": "cat /dev/shm/tepui-canary",
}

# Each runs as a task of its own, with 64 MB; ends with 0 if nothing stopped it.
FLOODS = {
    "fork-flood": "i=0; while sleep 600 & do i=$((i+1)); test $i -gt 1000 && exit 0; done; exit 1",
    "memory-flood": "tail /dev/zero",
    "shared-memory-flood": "dd if=/dev/zero of=/dev/shm/flood bs=1M count=256",
    "device-directory-flood": "dd if=/dev/zero of=/dev/flood bs=1M count=256",
    "orphan-flood": "i=0; while test $i -lt 500; do (true &); i=$((i+1)); done; test $(ls -d /proc/[0-9]* | wc -l) -lt 50",
    "kill-everything": "kill -9 -1; exit 0",
    "left-behind": "(setsid sleep 6000 > /dev/null 2>&1 &); exit 0",
}


def _host(path):
    return [{"container_path": "x", "mode": "RW", "source": {"type": "HOST_PATH", "host_path": {"path": path}}}]


# In containers without an image, which see the machine's files as their user may: volumes, and a script that ends with 0 if a volume
# brought it more.
VOLUMES = {
    "volume-of-image-setuid": ([{"container_path": "x", "mode": "RW", "image": {"type": "DOCKER", "docker": {"name": "hostile:1"}}}],
                               "test $(./x/suid/id -u) = 0"),
    "volume-of-store": (_host("@WORK_DIR@/store/docker/layers"), "find x/ -name id | grep ."),
    "volume-of-store-by-link": (_host("@LINK@/store/docker/layers"), "find x/ -name id | grep ."),
    "volume-of-checkpoint": (_host("@WORK_DIR@/checkpoint"), "ls x | grep ."),
    "volume-of-runtime-dir": (_host("/run/tepui"), "ls x | grep ."),
    "volume-of-other-sandbox": (_host("@OTHER_SANDBOX@"), "ls x | grep ."),
}
