"""Command line: one file per subcommand, each with a click command object."""
