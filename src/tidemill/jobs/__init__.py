"""Long jobs in a process of their own: the worker, and the work on each kind of job."""
