"""Commands of the command line, one module each; `tessy.cli` imports them when they are used."""
