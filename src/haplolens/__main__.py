"""``python -m haplolens``."""

from haplolens.cli import main

if __name__ == "__main__":
    main()
