"""Single runs: planning, ids, scoring and result rows."""
