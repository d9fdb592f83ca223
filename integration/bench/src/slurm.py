"""Runs `true` so many times in Slurm, a controller and one node, and prints how many a second.

Everything is in a directory of its own, and on free ports of the loopback. The jobs are one array, which Slurm starts as fast
as it can; the node is told to have 64 cores, as Tepui's agent is, so that the machine's are kept busy.
"""
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

CONFIG = """ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=default_queue_depth=10000,batch_sched_delay=0,sched_min_interval=1,sched_interval=1
SlurmdParameters=config_overrides
MaxArraySize=100001
MaxJobCount=100000
MinJobAge=300
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


def wait_for(what, condition, limit=60):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what} did not come within {limit} s")
        time.sleep(0.05)


def main(count):
    with tempfile.TemporaryDirectory(prefix="slurm-bench.") as directory:
        home = pathlib.Path(directory)
        for name in ("state", "spool"):
            (home / name).mkdir()
        (home / "munge.key").write_bytes(os.urandom(128))
        (home / "munge.key").chmod(0o400)
        host = socket.gethostname().split(".")[0]
        (home / "slurm.conf").write_text(CONFIG.format(host=host, home=home, ports=free_ports(2)))
        environment = {**os.environ, "SLURM_CONF": str(home / "slurm.conf")}
        daemons = []

        def start(*command):
            log = open(home / f"{os.path.basename(command[0])}.out", "wb")
            daemons.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

        def asked(*command):
            return subprocess.run(command, env=environment, capture_output=True, text=True).stdout

        try:
            munge = [f"--{name}={home}/munge.{end}" for name, end in
                     (("socket", "socket"), ("key-file", "key"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"))]
            start("munged", "--foreground", "--force", "--num-threads=4", *munge)
            wait_for("munged", (home / "munge.socket").exists)
            start("slurmctld", "-D", "-i")
            start("slurmd", "-D", "-N", host)
            wait_for("an idle node", lambda: asked("sinfo", "-h", "-o", "%T").strip() == "idle")
            begun = time.monotonic()
            submitted = subprocess.run(
                ["sbatch", "--parsable", f"--array=0-{count - 1}", "--output=/dev/null", "--chdir=/tmp", "--wrap=true"],
                env=environment, capture_output=True, text=True)
            if submitted.returncode:
                sys.exit(submitted.stderr)
            wait_for("the end of all jobs", lambda: not asked("squeue", "-h", "-o", "%i").strip(), limit=600)
            took = time.monotonic() - begun
        finally:
            for daemon in reversed(daemons):
                daemon.terminate()
            for daemon in daemons:
                daemon.wait(30)
        print(count / took)


main(int(sys.argv[1]))
