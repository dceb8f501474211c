"""Export of a result store as a static site for a project page or supplement; works from disk or any web server."""
