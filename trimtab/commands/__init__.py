"""The commands, one a file. Heavy imports stand inside functions, so that `trimtab --help` is quick."""
