"""`python -m tidemill.store.engine`: run the embedded store."""

import sys

from tidemill.store.engine.server import main

sys.exit(main())
