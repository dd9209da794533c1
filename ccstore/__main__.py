"""``python -m ccstore`` is the console script ``ccstore``."""

import sys

from ccstore.cli import main

if __name__ == "__main__":
    sys.exit(main())
