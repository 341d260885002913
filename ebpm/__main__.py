"""``python -m ebpm``."""

from ebpm.cli.main import main

if __name__ == "__main__":
    main()
