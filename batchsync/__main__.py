"""`python -m batchsync` is the same as the console script."""

from batchsync.cli.main import main

if __name__ == "__main__":
    main()
