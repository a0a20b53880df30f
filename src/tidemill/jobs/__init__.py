"""Long work in processes of its own: the worker, and what it does for each kind of job."""
