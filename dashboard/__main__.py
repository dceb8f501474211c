"""Streamlit's command line, as `deep3dmap dashboard` starts it."""

import gc


def main() -> None:
    """Run it. Until the store is read no garbage is collected: to look through what is imported takes a tenth of the start."""
    gc.disable()
    from streamlit.web.cli import main as streamlit

    streamlit(prog_name="streamlit")


if __name__ == "__main__":
    main()
