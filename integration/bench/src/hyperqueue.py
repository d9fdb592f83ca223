"""Runs `true` so many times in HyperQueue, a server and a worker with this machine's cores, and prints how many a second.

Progress is told once a second, so the end is known no better than that: the best rate of any second's end counts.
"""
import sys
import tempfile
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

count = int(sys.argv[1])
rates = [0.0]
with tempfile.TemporaryDirectory() as home, LocalCluster(home) as cluster:
    cluster.start_worker(WorkerConfig())
    client = cluster.client()
    job = Job(home)
    for _ in range(count):
        job.program(["/bin/sh", "-c", "true"], stdout=None, stderr=None)
    begun = time.monotonic()
    submitted = client.submit(job)

    def progress(jobs):
        finished = sum(status["finished"] for status in jobs.values())
        rates.append(finished / (time.monotonic() - begun))

    client.connection.wait_for_jobs((submitted.id,), progress)
print(max(rates))
