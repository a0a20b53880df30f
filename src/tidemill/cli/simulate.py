"""`tidemill simulate ...`: stand-ins for the outside world. Maps options to `simulate/`, without decisions of its own.

Senders check every answer, print a summary, and exit with status 1 after an unexpected answer.
"""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from tidemill.cli.common import progress_bar
from tidemill.simulate import DATA_SERVER_PORT, METERS_PORT

app = typer.Typer(
    no_args_is_help=True, help="Stand-ins for the outside world: data servers to poll, clients that send."
)

_HOST = "127.0.0.1"

UrlOption = Annotated[str, typer.Option(help="Where Tidemill serves.", envvar="TIDEMILL_URL")]
KeyOption = Annotated[str, typer.Option(help="An API key with scopes read and write.", envvar="TIDEMILL_KEY")]
SeedOption = Annotated[int, typer.Option(help="The same seed sends the same.")]
CountOption = Annotated[int, typer.Option(help="How many requests; 0: until stopped.")]
RateOption = Annotated[float, typer.Option(help="Requests a second; 0: as fast as answers come.")]
FaultsOption = Annotated[
    str,
    typer.Option(
        help="Faults and their shares, e.g. 500=0.01,hang=0.001,garbage=0.01,slow=0.01,endless=0.001,reset=0.01"
    ),
]
PortOption = Annotated[int, typer.Option(help="The port to serve on (loopback).")]

_URL = "http://127.0.0.1:8080"


@app.command("data-server")
def data_server(
    port: PortOption = DATA_SERVER_PORT,
    seed: SeedOption = 1,
    count: Annotated[int, typer.Option(help="How many points in all; 0: no end.")] = 0,
    rate: Annotated[float, typer.Option(help="Points that become available a second; 0: all at once.")] = 10.0,
    faults: FaultsOption = "",
) -> None:
    """Serve telemetry points to whoever polls: mixed ages and tags, 404 when there is none.

    `GET /tally` says what was handed out, so that it can be compared with what was stored.
    Example: `tidemill simulate data-server --port 28462 --rate 5`, and start the server with
    TIDEMILL_TELEMETRY_URL=http://127.0.0.1:28462/
    """
    from tidemill.simulate.data_server import DataServerOptions, run_data_server

    options = DataServerOptions(host=_HOST, port=port, seed=seed, count=count, rate=rate, faults=faults)
    _serve(lambda: run_data_server(options), port)


@app.command()
def meters(
    port: PortOption = METERS_PORT,
    seed: SeedOption = 1,
    end: Annotated[str, typer.Option(help="RFC 3339 instant after which there are no values; empty: now.")] = "",
    faults: FaultsOption = "",
) -> None:
    """Serve 15-minute values of two meters, a household and a solar roof, as a metering API does.

    Example: `tidemill simulate meters --end 2023-03-01T00:00:00Z`
    """
    from tidemill.simulate.meters import MetersOptions, run_meter_server

    _serve(lambda: run_meter_server(MetersOptions(host=_HOST, port=port, seed=seed, end=end, faults=faults)), port)


@app.command()
def phones(
    url: UrlOption = _URL,
    key: KeyOption = "",
    seed: SeedOption = 1,
    count: CountOption = 100,
    rate: RateOption = 0.0,
    users: Annotated[int, typer.Option(help="How many phones.")] = 8,
    start: Annotated[str, typer.Option(help="When their walks begin (RFC 3339).")] = "2017-01-01T12:00:00Z",
    verify: Annotated[bool, typer.Option(help="At the end, compare the averages with what was sent.")] = False,
) -> None:
    """Send positions: walks, duplicates, bursts, late and broken records, two users who cross a time zone.

    Example: `tidemill simulate phones --count 500 --verify`
    """
    from tidemill.simulate.phones import PhonesOptions, run_phones

    options = PhonesOptions(
        url=url, key=key, seed=seed, count=count, rate=rate, users=users, start=start, verify=verify
    )
    _send("phones", options, run_phones)


@app.command()
def machines(
    url: UrlOption = _URL,
    key: KeyOption = "",
    seed: SeedOption = 1,
    count: CountOption = 20,
    rate: RateOption = 0.0,
    samples: Annotated[int, typer.Option(help="At most so many samples a series.")] = 2000,
) -> None:
    """Store vibration series, read them and their metrics back, compare every value, delete some.

    Example: `tidemill simulate machines --count 5`
    """
    from tidemill.simulate.machines import MachinesOptions, run_machines

    options = MachinesOptions(url=url, key=key, seed=seed, count=count, rate=rate, samples=samples)
    _send("machines", options, run_machines)


@app.command()
def files(
    url: UrlOption = _URL,
    key: KeyOption = "",
    seed: SeedOption = 1,
    count: CountOption = 100,
    rate: RateOption = 0.0,
    values: Annotated[int, typer.Option(help="Numbers in each file.")] = 100,
) -> None:
    """Drop JSON files as `curl -d @file.json` does, some of them broken, and check the rows that come out.

    Example: `tidemill simulate files --count 100 --rate 10`
    """
    from tidemill.simulate.files import FilesOptions, run_files

    _send("files", FilesOptions(url=url, key=key, seed=seed, count=count, rate=rate, values=values), run_files)


def _serve(run: Callable[[], dict[str, Any]], port: int) -> None:
    print(f"Serving on http://{_HOST}:{port} (Ctrl-C ends it)", file=sys.stderr)
    for name, value in run().items():
        print(f"{name}: {value}")


def _send(name: str, options: Any, run: Callable[[Any, Callable[[int, int], None]], Any]) -> None:
    with progress_bar() as show_progress:
        show_progress(name, 0, options.count)
        summary = run(options, lambda sent, total: show_progress(name, sent, total))
    print(summary.text())
    raise typer.Exit(summary.exit_code)
