"""Work that is done after the answer: a queue in PostgreSQL, kept by procrastinate, in a schema of its own.

A job names a task and what it is about, and holds nothing else: what has to be done, and how far it is, stands in the
tables of the room that does it. A queue that is lost loses nothing, for that room finds again what is not done.
"""

from tallystick.jobs.queue import QUEUE_SCHEMA, Job, defer, defer_anew
from tallystick.jobs.working import JobWorker

__all__ = ["QUEUE_SCHEMA", "Job", "JobWorker", "defer", "defer_anew"]
