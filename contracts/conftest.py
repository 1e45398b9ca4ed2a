"""What the suites share is imported by its name, as in `tests/`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
