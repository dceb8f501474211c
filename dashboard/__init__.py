"""Streamlit dashboard for a result store; reads only the store's files."""
