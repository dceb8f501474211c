"""The Streamlit app with all pages for one result store; served by server.py."""

from pathlib import Path

import streamlit as st

from deep3dmap.dashboard import reading
from deep3dmap.dashboard.views import catalogue, compare, gallery, home, leaderboard, live, run, sweeps

HERE = Path(__file__).parent
FOLLOW_S = 10
PAGES = {
    "": [st.Page(home.show, title="Home", icon=":material/home:", default=True)],
    "Results": [
        st.Page(leaderboard.show, title="Leaderboard", icon=":material/leaderboard:", url_path="leaderboard"),
        st.Page(compare.show, title="Compare", icon=":material/compare_arrows:", url_path="compare"),
        st.Page(gallery.show, title="Gallery", icon=":material/photo_library:", url_path="gallery"),
        st.Page(run.show, title="Run", icon=":material/science:", url_path="run"),
    ],
    "Work": [
        st.Page(sweeps.show, title="Sweeps", icon=":material/tune:", url_path="sweeps"),
        st.Page(live.show, title="Live", icon=":material/pending_actions:", url_path="live"),
    ],
    "About": [st.Page(catalogue.show, title="Catalogue", icon=":material/menu_book:", url_path="catalogue")],
}


def main() -> None:
    """Set up the navigation and show the requested page."""
    st.set_page_config(page_title="deep3dmap", page_icon=HERE / "icon.svg", layout="wide")
    st.html(HERE / "style.css")
    page = st.navigation(PAGES)
    with reading.show_problems():
        page.run()
        reading.signal_first_page()
        if page.url_path != "live":
            # The Live page refreshes itself.
            _follow(reading.snapshot().number)


@st.fragment(run_every=FOLLOW_S)
def _follow(number: int) -> None:
    """Rerun the page when the store has changed."""
    with reading.show_problems():
        if reading.snapshot().number != number:
            st.rerun()


main()
