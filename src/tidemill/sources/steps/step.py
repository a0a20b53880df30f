"""The contract between a source's task and the way it is read."""

from typing import Protocol


class SourceStep(Protocol):
    """Reads a source, one step at a time. Between two steps nothing that was fetched is unaccounted for."""

    async def step(self) -> bool:
        """Ask the source once (a window: once or more) and deal with the answer; whether there is more to be had at
        once. Raises TroubleError when it failed; then the next step does the same again."""
        ...

    async def close(self) -> None:
        """The source is polled no more."""
        ...
