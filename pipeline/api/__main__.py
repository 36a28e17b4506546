"""``python -m activation_atlas``: the command."""

from activation_atlas.pipeline.cli import main

if __name__ == "__main__":
    main()
