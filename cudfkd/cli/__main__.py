"""`python -m cudfkd.cli`."""

import sys

from cudfkd.cli import main

sys.exit(main())
