"""The app that `deep3dmap dashboard` serves: four pages over one result store."""

import streamlit as st

from deep3dmap.dashboard.look import CLOSER
from deep3dmap.dashboard.reading import show_problems
from deep3dmap.dashboard.views import catalogue, compare, gallery, leaderboard, run, trials


def main() -> None:
    """Lay out the pages and show the one that was asked for."""
    st.set_page_config(page_title="deep3dmap", page_icon=":material/view_in_ar:", layout="wide")
    st.html(f"<style>{CLOSER}</style>")
    page = st.navigation(
        [
            st.Page(leaderboard.show, title="Leaderboard", icon=":material/leaderboard:", default=True),
            st.Page(compare.show, title="Compare", icon=":material/compare_arrows:", url_path="compare"),
            st.Page(gallery.show, title="Gallery", icon=":material/photo_library:", url_path="gallery"),
            st.Page(run.show, title="Run", icon=":material/science:", url_path="run"),
            st.Page(trials.show, title="Trials", icon=":material/pending_actions:", url_path="trials"),
            st.Page(catalogue.show, title="Catalogue", icon=":material/menu_book:", url_path="catalogue"),
        ]
    )
    with show_problems():
        page.run()


main()
