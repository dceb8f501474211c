"""One run: its plan, its id, its rows and its scores."""
