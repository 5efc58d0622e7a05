"""`python -m srx_service` is the command `srx`."""

import sys

from srx_service.cli import main

sys.exit(main())
