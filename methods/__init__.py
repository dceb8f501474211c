"""The built-in methods, one package each; the platform finds them through entry points only."""
