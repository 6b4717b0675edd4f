"""The `iris` command as a program. (A file called iris.py beside it would hide the package.)"""

from iris.cli.main import main

if __name__ == "__main__":
    main()
