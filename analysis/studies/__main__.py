"""`python -m analysis.studies`."""

import sys

from analysis.studies.study import main

sys.exit(main())
