"""Entry point for `deep3dmap dashboard`: runs Streamlit's command line."""

import gc


def main() -> None:
    """Run Streamlit. Garbage collection is off until the store is read, because it takes a tenth of the start-up time."""
    gc.disable()
    from streamlit.web.cli import main as streamlit

    streamlit(prog_name="streamlit")


if __name__ == "__main__":
    main()
