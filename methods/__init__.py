"""The built-in methods, one package each; the platform finds them only through entry points."""
