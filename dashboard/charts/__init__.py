"""Charts as Vega-Lite specifications built from plain records."""
