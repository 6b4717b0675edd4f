"""The `iris` command as a program. (A file called iris.py beside it would hide the package.)"""

import sys

try:
    from iris.cli.main import main
except KeyboardInterrupt:  # somebody was quicker than the imports
    sys.exit(130)

if __name__ == "__main__":
    main()
