"""The metering API's own route, in its own shape, so that an existing front end can move over."""

from typing import Final

from litestar import get
from litestar.di import NamedDependency

from tidemill.api.reads_common import AnyRequest, answers, ask, parameters, taking
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.query.meterdata import PARAMETERS, Measurements


@get(
    "/meterdata/measurement",
    tags=["feeds"],
    summary="Meter data in the shape of its source",
    operation_id="listMeasurements",
    operation_class=taking(PARAMETERS),
    responses=answers(Measurements, "Records of meters, oldest first."),
    opt={"scope": "read"},
)
async def list_measurements(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Measurements:
    """Records in [start, stop), oldest first, at most `limit`; each register (OBIS code) under its own key. Timestamps
    are UTC with three fraction digits."""
    asked = parameters(request, PARAMETERS)
    found: Measurements = await ask(lambda: services.queries.meterdata.measurements(principal.tenant, asked))
    return found


READ_ROUTES: Final = [list_measurements]
