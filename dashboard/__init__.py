"""The Streamlit leaderboard. It reads the result tables only."""
